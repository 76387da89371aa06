"""Whether a script changes what is not its own: modules, their classes, and the lists and dictionaries in
them. Judged by its text alone. Who means harm can hide from this, so what runs beside it does not rely on
it; but what people write without thinking of others is found, whichever package it concerns."""

import ast

from _tabpy_rs_state import READABLE

# Methods that change the object they belong to.
_CHANGING = frozenset(
    "add append appendleft clear discard extend insert pop popitem register register_error remove reverse setdefault sort update "
    "__delattr__ __delitem__ __setattr__ __setitem__".split()
)

# Functions that change the module they belong to.
_REGISTERING = frozenset("register register_error".split())

# Functions whose only use is to change something for everybody, beside those that begin with `set_`: `sns.set()`,
# `calendar.setfirstweekday(6)`.
_SETTING = frozenset("set setfirstweekday".split())

# Those whose effect is looked after by itself.
_SET_BACK = READABLE | frozenset("set_event_loop set_event_loop_policy set_state".split())

# Calls that may hand out a module or a class.
_REVEALING = frozenset("getattr import_module type vars __import__ reload".split())

# Code that nobody has read yet, and ways to what no name leads to.
_UNSEEN = frozenset("exec eval compile".split())
_BACK_DOORS = frozenset(
    "_getframe currentframe f_back f_builtins f_globals get_objects get_referents get_referrers gi_frame tb_frame "
    "__globals__ __subclasses__".split()
)

# Put right after every script that names them.
_PUT_RIGHT = {("os", "environ"), ("sys", "path"), ("sys", "stdout"), ("sys", "stderr")}


def changes_others(body, provided):
    """Whether the statements may change what outlives them. `provided` are the modules that scripts use without an
    import."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    modules, names = _imported(nodes)
    modules |= set(provided) - {node.id for node in nodes if _is_new(node)}
    foreign = _spread(nodes, modules | names)
    return any(_changes(node, foreign, modules) for node in nodes) or (
        any(_stores_attribute(node) for node in nodes) and _hands_out(nodes, modules)
    )


def makes_classes(body):
    """Whether a class may be made without a statement that shows what is in it."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    asked = {id(node.func) for node in nodes if isinstance(node, ast.Call) and len(node.args) == 1}
    return any(isinstance(node, ast.Name) and node.id == "type" and id(node) not in asked for node in nodes)


def _imported(nodes):
    """Names of modules, and names of what was taken out of modules."""
    modules, names = set(), set()
    for node in nodes:
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return modules, names


def _spread(nodes, foreign):
    """With the names that other names' contents were given to."""
    foreign = set(foreign)
    while True:
        before = len(foreign)
        for node in nodes:
            if isinstance(node, ast.Assign):
                targets, value = node.targets, node.value
            elif isinstance(node, (ast.AnnAssign, ast.NamedExpr, ast.For, ast.comprehension)):
                targets = [node.target]
                value = node.iter if isinstance(node, (ast.For, ast.comprehension)) else node.value
            else:
                continue
            if value is not None and _is_foreign(value, foreign):
                foreign |= {inner.id for target in targets for inner in ast.walk(target) if _is_new(inner)}
        if len(foreign) == before:
            return foreign


def _is_new(node):
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


def _is_foreign(value, foreign):
    """Whether an expression is a name that is not the script's own, or what lies in it."""
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", None)
        return called in _REVEALING and not (called == "type" and len(value.args) != 1)
    if isinstance(value, (ast.Tuple, ast.List)):
        return any(_is_foreign(item, foreign) for item in value.elts)
    while isinstance(value, (ast.Attribute, ast.Subscript)):
        value = value.value
    return isinstance(value, ast.Name) and value.id in foreign


def _changes(node, foreign, modules):
    if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        return _is_foreign(node.value, foreign) and not _is_put_right(node)
    if isinstance(node, ast.Attribute):
        return node.attr in _BACK_DOORS
    if isinstance(node, ast.Name):
        return node.id in _UNSEEN or node.id in _BACK_DOORS
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
        return bool(node.args) and _is_foreign(node.args[0], foreign)
    if _sets(node.func) and _is_foreign(node.func, foreign):
        return True
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _CHANGING:
        return False
    owner = node.func.value
    # A module's own function of that name, as in np.append(a, b), is no method.
    if isinstance(owner, ast.Name) and owner.id in modules and node.func.attr not in _REGISTERING:
        return False
    return _is_foreign(owner, foreign) and not _is_put_right(owner)


def _sets(function):
    """Whether a function is by its name one that sets something."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "use":
        # Of a style. The choice of a backend, as in `matplotlib.use("Agg")`, changes nothing on a server.
        owner = getattr(function, "value", None)
        return "style" in (getattr(owner, "attr", None), getattr(owner, "id", None))
    return (name in _SETTING or name.startswith("set_")) and name not in _SET_BACK


def _is_put_right(node):
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return (node.value.id, node.attr) in _PUT_RIGHT
        node = node.value
    return False


def _stores_attribute(node):
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, (ast.Store, ast.Del)) and not _is_own(node.value)
    return isinstance(node, ast.Name) and node.id in ("setattr", "delattr")


def _is_own(value):
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def _hands_out(nodes, modules):
    """Whether a module is passed on as a whole, to where another name may stand for it."""
    attributes = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    return any(
        isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and node.id in modules
        and id(node) not in attributes
        for node in nodes
    )
