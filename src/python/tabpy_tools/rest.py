"""Requests to a server, by the standard library alone. What they carry is never printed or logged."""

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request


class ResponseError(Exception):
    """The server's answer is an error."""

    def __init__(self, status_code, body):
        super().__init__("Unexpected server response")
        self.status_code = status_code
        self.message, self.info = body, None
        try:
            told = json.loads(body)
            self.message, self.info = told["message"], told["info"]
        except (ValueError, KeyError, TypeError):
            pass

    def __str__(self):
        return f"({self.status_code}) {self.message} {self.info}"


class Service:
    """A server at its address, with the credentials that it wants."""

    def __init__(self, address):
        self.address = address if address.endswith("/") else address + "/"
        self._authorization = None
        # A proxy is for the world outside; and servers on localhost have certificates for other names.
        unchecked = ssl._create_unverified_context()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=unchecked),
            _NoRedirect,
        )

    def set_credentials(self, username, password):
        plain = f"{username}:{password}".encode()
        self._authorization = "Basic " + base64.b64encode(plain).decode("ascii")

    def get(self, path, timeout=None):
        return self._send("GET", path, None, {}, timeout)

    def post(self, path, data, timeout=None):
        return self._send("POST", path, json.dumps(data).encode(), {"Content-Type": "application/json"}, timeout)

    def put(self, path, data):
        return self._send("PUT", path, json.dumps(data).encode(), {"Content-Type": "application/json"}, None)

    def put_bytes(self, path, data, headers):
        return self._send("PUT", path, data, headers, None)

    def delete(self, path):
        return self._send("DELETE", path, None, {}, None)

    def _send(self, method, path, data, headers, timeout):
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        if self._authorization is not None:
            request.add_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=timeout) as response:
                body = response.read()
        except urllib.error.HTTPError as error:
            # Its own text and attributes hold the request, and that the credentials.
            status, text = error.code, error.read().decode("utf-8", "replace")
            raise ResponseError(status, text) from None
        except (urllib.error.URLError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ConnectionError(f"the server at {self.address} does not answer: {reason}") from None
        return json.loads(body) if body else {}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Credentials are for the server that was named."""

    def redirect_request(self, *_):
        return None


def quoted(name):
    return urllib.parse.quote(name, safe="")
