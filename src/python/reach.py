"""Whether a script changes what it imports, judged by its syntax: other scripts import the same modules,
and nobody could say later what was in them. A script that hides what it does is not found out here."""

import ast

# Methods that change what they are called on.
_MUTATING = frozenset(
    "append appendleft extend insert pop popitem popleft clear update remove setdefault add discard sort reverse "
    "__setitem__ __delitem__ __setattr__ __delattr__".split()
)
_REGISTERING = frozenset("register register_error register_option".split())

# What is put right after a script.
_RESTORED = {("os", "environ"), ("sys", "path"), ("warnings", "filters")}

# Calls whose result is part of their first argument.
_TRANSPARENT = {"vars", "type", "getattr"}


def changes_imports(body, provided):
    """Whether these statements store into a module, or into what they took from one; `provided` are names
    that are there without an import."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    known = _imported(nodes)
    bound = {node.id for node in nodes if type(node) is ast.Name and type(node.ctx) is not ast.Load}
    for name in provided:
        if name not in bound:
            known.setdefault(name, (name,))
    _follow_aliases(nodes, known)
    return any(_changes(node, known) for node in nodes)


def _imported(nodes):
    """Where each name that an import binds leads."""
    known = {}
    for node in nodes:
        if type(node) is ast.Import:
            for alias in node.names:
                path = tuple(alias.name.split("."))
                known[alias.asname or path[0]] = path if alias.asname else path[:1]
        elif type(node) is ast.ImportFrom:
            for alias in node.names:
                known[alias.asname or alias.name] = (*(node.module or "").split("."), alias.name)
    return known


def _follow_aliases(nodes, known):
    for node in nodes:
        if type(node) is ast.Assign and type(node.value) in (ast.Name, ast.Attribute, ast.Subscript):
            path = _path(node.value, known)
            for target in node.targets:
                if path is not None and type(target) is ast.Name:
                    known.setdefault(target.id, path)


def _changes(node, known):
    if type(node) in (ast.Attribute, ast.Subscript):
        return type(node.ctx) is not ast.Load and _is_kept(_path(node.value, known))
    if type(node) is not ast.Call:
        return False
    if type(node.func) is ast.Name:
        return node.func.id in ("setattr", "delattr") and node.args and _is_kept(_path(node.args[0], known))
    if type(node.func) is not ast.Attribute:
        return False
    path = _path(node.func.value, known)
    if node.func.attr in _REGISTERING:
        return path is not None
    # A module's own function may have such a name.
    return node.func.attr in _MUTATING and _is_kept(path) and len(path) > 1


def _is_kept(path):
    return path is not None and path not in _RESTORED


def _path(node, known):
    """What an expression is part of, or None where that was not imported."""
    if type(node) is ast.Name:
        return known.get(node.id)
    if type(node) is ast.Attribute:
        path = _path(node.value, known)
        return None if path is None else (*path, node.attr)
    if type(node) is ast.Subscript:
        path = _path(node.value, known)
        return None if path is None else (*path, "[]")
    if type(node) is ast.Call:
        function = node.func
        if type(function) is ast.Name and function.id in _TRANSPARENT and node.args:
            path = _path(node.args[0], known)
            return None if path is None else (*path, "()")
        if type(function) is ast.Name and function.id == "__import__":
            return ("()",)
        if type(function) is ast.Attribute and (_path(function.value, known) or ("",))[0] == "importlib":
            return ("()",)
    return None
