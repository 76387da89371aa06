# What the tests compare with: Python's json and simplejson.
import json
import struct
import sys

import simplejson


def describe(value):
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return described(value)
    finally:
        sys.setrecursionlimit(limit)


def described(value):
    if type(value) is float:
        return "nan" if value != value else struct.pack(">d", value).hex()
    if type(value) is list:
        return "[" + ", ".join(map(described, value)) + "]"
    if type(value) is dict:
        pairs = (described(key) + ": " + described(item) for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    return f"{type(value).__name__} {ascii(value)}"


def loads(data):
    try:
        return describe(json.loads(data.decode("utf-8")))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def dumps(value):
    try:
        return simplejson.dumps(value, ignore_nan=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
