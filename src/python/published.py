"""What deployed functions tell of themselves: their names, descriptions and schemas."""

import collections.abc
import datetime
import inspect
import json
import sys
import types
import typing

from _tabpy_rs_functions import NotLoaded

_PLAIN = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}

_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)

# Types of packages that may not be there, by module and name.
_COLUMNS = {("numpy", "ndarray"), ("pandas", "Series"), ("pandas", "Index")}
_TABLES = {("pandas", "DataFrame")}


def of_module(module):
    """All that a source publishes: what it marks, or else its public top-level functions."""
    own = [
        (name, found)
        for name, found in vars(module).items()
        if inspect.isfunction(found) and (found.__module__ == module.__name__ or hasattr(found, "__published__"))
    ]
    marked = [(name, found, told) for name, found in own for told in getattr(found, "__published__", [])]
    if not marked:
        public = getattr(module, "__all__", None)
        taken = [(n, found) for n, found in own if (n in public if public is not None else not n.startswith("_"))]
        if not taken:
            raise NotLoaded("the source has no public function at its top level, so there is nothing to publish")
        return [of(name, found) for name, found in taken]
    names = [told["name"] or name for name, _, told in marked]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise NotLoaded(f"the source publishes two functions as '{min(twice)}'")
    return [_described(name, found, told) for name, found, told in marked]


def of(name, function):
    """One function of a source."""
    marks = getattr(function, "__published__", [None])
    return _described(name, function, marks[0])


def of_archive(found, function):
    """What an archive holds, which knows no name for itself."""
    from tabpy.tabpy_tools.query_object import QueryObject

    about = _described(None, function, None)
    if isinstance(found, QueryObject):
        docstring, description = found.get_docstring(), getattr(found, "description", "")
        about["docstring"] = docstring if isinstance(docstring, str) else None
        about["description"] = description if isinstance(description, str) and description else None
        about["dependencies"] = [name for name in found.get_dependencies() or [] if isinstance(name, str)]
    return _written(about)


def _described(name, function, told):
    told = told or {"name": None, "public": False, "description": None, "schema": None}
    docstring = inspect.getdoc(function) if not isinstance(function, type) else function.__doc__
    docstring = docstring if isinstance(docstring, str) and docstring.strip() else None
    first = docstring.strip().partition("\n\n")[0].replace("\n", " ") if docstring else None
    return _written({
        "name": told["name"] or name,
        "function": name,
        "docstring": docstring,
        "description": told["description"] or first,
        "schema": _checked(told["schema"]) or _schema(function),
        "public": told["public"],
        "dependencies": [],
    })


def _written(about):
    """The same with texts that every reader takes: halves of letters have no UTF-8."""
    return {
        key: found.encode("utf-8", "replace").decode() if isinstance(found, str) else found
        for key, found in about.items()
    }


def _checked(schema):
    if schema is None:
        return None
    try:
        return json.loads(json.dumps(schema))
    except (TypeError, ValueError) as error:
        raise NotLoaded(f"the schema is no JSON: {error}") from None


def _schema(function):
    """The schema that a function's type hints make, if it has any."""
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(inspect.unwrap(getattr(function, "__func__", function)))
    except Exception:
        return None  # hints that cannot be read are none
    if not hints:
        return None
    properties, required = {}, []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        about = _of_hint(hints.get(parameter.name, typing.Any))
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        elif isinstance(parameter.default, (bool, int, float, str)):
            about = {**about, "default": parameter.default}
        properties[parameter.name] = about
    taken = {"type": "object", "properties": properties}
    if required:
        taken["required"] = sorted(required)
    return {"input": taken, "output": _of_hint(hints.get("return", typing.Any))}


def _of_hint(hint):
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _of_hint(inner[0])
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of_hint(one) for one in inner]}
    kind = origin or hint
    if not isinstance(kind, type):
        return {}
    if kind in _LISTS:
        return _list_of(inner)
    if kind in _OBJECTS:
        values = _of_hint(inner[1]) if len(inner) == 2 else {}
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    if _is_one_of(kind, _COLUMNS):
        return {"type": "array"}
    if _is_one_of(kind, _TABLES):
        return {"type": "object", "additionalProperties": {"type": "array"}}
    return {}


def _list_of(inner):
    kinds = [_of_hint(one) for one in inner if one is not Ellipsis]
    items = kinds[0] if kinds and all(kind == kinds[0] for kind in kinds) else {}
    return {"type": "array", "items": items} if items else {"type": "array"}


def _is_one_of(kind, names):
    return any(getattr(sys.modules.get(module), name, None) is kind for module, name in names)
