"""TabPy's client for deploying and calling functions, as scripts use it within a worker. Functions go to the
server by HTTP, so nothing needs to be written where the server keeps its own."""

import json
import re
import sys
import urllib.parse

from .custom_query_object import CustomQueryObject
from .query_object import QueryObject
from .rest import ResponseError, Service, quoted

_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]+(:\d+)?(/[\w\-./]*)?")
_NAME = re.compile(r"[\w -]+")


class Endpoint(dict):
    """A deployed function's description, by key or as an attribute."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{name} has not been set yet.") from None

    def __setattr__(self, name, value):
        self[name] = value


class Client:
    """A server, by its address: `Client("http://localhost:9004/")`."""

    def __init__(self, endpoint, query_timeout=1000, remote_server=False, localhost_endpoint=None):
        for address in (endpoint, *([localhost_endpoint] if localhost_endpoint is not None else [])):
            _check_address(address)
        self._endpoint = endpoint
        # A script that runs in the server already deploys from where it is.
        self._remote_server = remote_server
        self._localhost_endpoint = localhost_endpoint
        self._service = Service(endpoint)
        self._query_timeout = 0.0
        self.query_timeout = query_timeout

    def __repr__(self):
        return f"<{type(self).__name__} connected to {self._endpoint!r}>"

    def set_credentials(self, username, password):
        """Signs in as this user from now on."""
        self._service.set_credentials(username, password)

    @property
    def query_timeout(self):
        """Seconds that a query may take."""
        return self._query_timeout

    @query_timeout.setter
    def query_timeout(self, value):
        if type(value) in (int, float) and value > 0:
            self._query_timeout = value

    def get_status(self):
        """Whether functions were loaded, by their names."""
        return self._service.get("status")

    def get_endpoints(self, type=None):
        """The deployed functions by name; `type` is "model", "alias" or None for both."""
        found = {}
        for name, about in self._service.get("endpoints").items():
            if type is None or about.get("type") == type:
                found[name] = Endpoint({**about, "name": name})
        return found

    def get_models(self):
        """The deployed functions by name, without aliases."""
        return self.get_endpoints("model")

    def query(self, name, *args, **kwargs):
        """Calls a deployed function, with positional or with named arguments."""
        if args and kwargs:
            raise ValueError("A query takes positional arguments or named ones, not both.")
        timeout = self._query_timeout or None
        return self._service.post("query/" + quoted(name), {"data": args or kwargs}, timeout)

    def deploy(self, name, obj, description="", schema=None, override=False, is_public=False):
        """Deploys a function, or another object that answers queries, under a name."""
        _check_name(name)
        there = name in self.get_endpoints()
        if there and not override:
            raise RuntimeError(
                f"An endpoint with that name ({name}) already exists. Use \"override = True\" to force update an "
                "existing endpoint."
            )
        if description is None:
            text = getattr(obj, "__doc__", None)
            description = text.strip() if isinstance(text, str) else ""
        query_object = obj if isinstance(obj, QueryObject) else CustomQueryObject(obj, description)
        about = {"description": description, "public": "true" if is_public else "false"}
        headers = {
            "Content-Type": "application/x-cloudpickle",
            "TabPy-Python": f"{sys.version_info.major}.{sys.version_info.minor}",
        }
        if schema is not None:
            headers["TabPy-Schema"] = json.dumps(schema)
        path = f"functions/{quoted(name)}?{urllib.parse.urlencode(about)}"
        try:
            return self._service.put_bytes(path, _pickled(query_object), headers)
        except ResponseError as error:
            if error.status_code == 422:
                raise RuntimeError(f"LoadFailed: {error.info or error.message}") from None
            raise

    def alias(self, name, existing_endpoint_name, description=None):
        """Gives a deployed function another name."""
        _check_name(name)
        about = {
            "name": name,
            "type": "alias",
            "target": existing_endpoint_name,
            "version": 1,
            "description": description or f"Alias for {existing_endpoint_name}",
            "methods": [],
            "dependencies": [existing_endpoint_name],
        }
        there = self.get_endpoints().get(name)
        if there is None:
            self._service.post("endpoints", about)
        else:
            about.update(version=there["version"] + 1, should_update_version=True)
            self._service.put("endpoints/" + quoted(name), about)

    def update_endpoint_info(self, name, description=None, schema=None, is_public=None):
        """Changes what is told of a deployed function; what is None stays as it is."""
        endpoint = self.get_endpoints().get(name)
        if endpoint is None:
            raise RuntimeError(f"No endpoint with that name ({name}) exists. Please select an existing endpoint to update")
        wanted = {"description": (description, str), "schema": (schema, dict), "is_public": (is_public, bool)}
        for key, (value, kind) in wanted.items():
            if value is None:
                continue
            if type(value) is not kind:
                raise RuntimeError(f"Type of {key} must be {kind.__name__}")
            endpoint[key] = value
        path = self._service.get("configurations/endpoint_upload_destination")["path"]
        endpoint["src_path"] = f"{path}/endpoints/{name}/{endpoint['version']}"
        endpoint["should_update_version"] = False
        self._service.put("endpoints/" + quoted(name), endpoint)

    def remove(self, name):
        """Removes a deployed function."""
        self._service.delete("endpoints/" + quoted(name))


def _pickled(query_object):
    try:
        import cloudpickle
    except ImportError:
        message = "Deploying needs cloudpickle, which is not installed where scripts run: add it to requirements.txt"
        raise ModuleNotFoundError(message, name="cloudpickle") from None
    return cloudpickle.dumps(query_object)


def _check_address(address):
    if not isinstance(address, str):
        raise TypeError("Endpoint name must be a string")
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is no address of a server: http(s)://HOST:PORT/ is expected")


def _check_name(name):
    if not isinstance(name, str):
        raise TypeError("Endpoint name must be a string")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"endpoint name {name} can only contain: a-z, A-Z, 0-9, underscore, hyphens and spaces."
        )
