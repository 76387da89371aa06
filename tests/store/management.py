"""Manages functions as TabPy's own client and plain requests do, and prints each answer, a line each, with
what changes from run to run left out. The same run against TabPy and this server tells them apart.

    python management.py URL STATE_PATH
"""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import cloudpickle
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.query_object import QueryObject

address, state = sys.argv[1:]
# The client waits a second before it asks, and between two questions.
time.sleep = lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.05))


def normal(text):
    text = text.replace(os.path.realpath(state), "STATE")
    text = re.sub(r'"(creation_time|last_modified_time)": \d+', r'"\1": 0', text)
    return re.sub(r'"uuid": "[^"]*"', '"uuid": "*"', text)


def ask(label, method, path, body=None):
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    data = body.encode() if body is not None else None
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            status, headers, text = answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, headers, text = error.code, error.headers, error.read().decode()
    kind = headers["Content-Type"] or ""
    print(f"{label} | {status} | {kind} | {normal(text)}")


def call(label, function, *args, **kwargs):
    try:
        outcome = repr(function(*args, **kwargs))
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    print(f"{label} | {normal(outcome)}")


def add(x, y):
    """Adds two numbers."""
    return x + y


class Stored(QueryObject):
    def query(self, x):
        return x

    def get_docstring(self):
        return "stored"

    def get_methods(self):
        return []


def stage(name, version, obj, folder="endpoints"):
    path = os.path.join(state, "staging", folder, name, str(version))
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "pickle_archive"), "wb") as file:
        cloudpickle.dump(obj, file)
    return path


ask("nothing deployed", "GET", "/endpoints")
ask("nothing deployed, with a slash", "GET", "/endpoints/")
ask("nothing in the status", "GET", "/status")
ask("where to upload", "GET", "/configurations/endpoint_upload_destination")
ask("a missing one", "GET", "/endpoints/add")

for label, body in {
    "no body": None,
    "bad JSON": "{",
    "no name": {},
    "a list": [],
    "a bad name": {"name": "a/b", "type": "model"},
    "no source": {"name": "add", "type": "model"},
    "no source and no type": {"name": "add"},
    "a source that is no text": {"name": "add", "type": "model", "src_path": 5},
    "an odd source": {"name": "add", "type": "model", "src_path": "/tmp/*"},
    "an alias without a target": {"name": "add", "type": "alias"},
}.items():
    ask("adding, " + label, "POST", "/endpoints", body)
ask("updating a missing one", "PUT", "/endpoints/add", {"name": "add"})
ask("updating without a body", "PUT", "/endpoints/add")
ask("updating with bad JSON", "PUT", "/endpoints/add", "{")
ask("deleting a missing one", "DELETE", "/endpoints/add")

client = Client(address + "/")
schema = {"input": {"type": "object", "properties": {"y": {"type": "number"}, "x": {"type": "number"}}}, "ä": [1, 2.5, None]}
call("deploying", client.deploy, "add", add, "Adds", schema=schema)
ask("after that", "GET", "/endpoints/add")
ask("in the list", "GET", "/endpoints")
ask("in the status", "GET", "/status")
call("deploying again", client.deploy, "add", add, "Adds")
call("deploying over it", client.deploy, "add", add, "Adds more", override=True, is_public=True)
ask("after it was overridden", "GET", "/endpoints/add")
ask("in the status", "GET", "/status")
call("calling by position", lambda: client.query("add", 2, 3)["response"])
call("calling by name", lambda: client.query("add", x="a", y="b")["response"])
call("describing", client.update_endpoint_info, "add", description="New", schema={"b": 1, "a": 2}, is_public=False)
ask("after it was described", "GET", "/endpoints/add")
call("describing a missing one", client.update_endpoint_info, "nope", description="x")
call("deploying a lambda with a space in its name", client.deploy, "my add", lambda x: x * 2, None)
ask("its description", "GET", "/endpoints/my%20add")
call("calling it", lambda: client.query("my add", 4)["response"])
ask("adding one that is there", "POST", "/endpoints", {"name": "add", "type": "model", "src_path": "x"})

path = stage("raw", 1, Stored())
ask("adding by hand", "POST", "/endpoints", {"name": "raw", "type": "model", "src_path": path, "version": 1, "methods": []})
ask("updating it without a source", "PUT", "/endpoints/raw", {"name": "raw", "type": "model"})
ask("updating it with an odd source", "PUT", "/endpoints/raw", {"name": "raw", "src_path": "/tmp/*"})
ask("describing it", "PUT", "/endpoints/raw", {"description": "by hand", "docstring": "d", "src_path": path})
path = stage("raw", 2, Stored())
ask("a new version", "PUT", "/endpoints/raw", {"src_path": path, "should_update_version": True, "is_public": True})
ask("calling it", "POST", "/query/raw", {"data": [[1, None]]})
ask("deleting it", "DELETE", "/endpoints/raw")
ask("deleting it again", "DELETE", "/endpoints/raw")
ask("its staging folder is", "GET", "/endpoints/raw")
print("staging holds", sorted(os.listdir(os.path.join(state, "staging", "endpoints"))))
call("removing", client.remove, "add")
call("removing a missing one", client.remove, "add")
call("what is left", lambda: sorted(client.get_endpoints()))
ask("a HEAD", "HEAD", "/endpoints")
ask("another method", "PATCH", "/endpoints/add", {})
