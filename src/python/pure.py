"""Whether a script computes its answer from its arguments and does nothing else. One that cannot reach
anything beyond its own values leaves nothing behind, and may run while the next request waits in the same
process. What is not on these lists is not pure: a script that is judged too strictly is only served as
every other script is."""

import ast
import builtins
import math
import re

_SYNTAX = (
    ast.alias, ast.arguments, ast.arg, ast.keyword, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
    # Statements.
    ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.If, ast.For, ast.While, ast.Pass, ast.Break,
    ast.Continue, ast.Try, ast.ExceptHandler, ast.Raise, ast.FunctionDef,
    # Expressions. A pattern of `match` reads attributes that no name shows, so there are none here.
    ast.BoolOp, ast.NamedExpr, ast.BinOp, ast.UnaryOp, ast.Lambda, ast.IfExp, ast.Dict, ast.Set, ast.ListComp,
    ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Compare, ast.Call, ast.JoinedStr,
    ast.FormattedValue, ast.Attribute, ast.Subscript, ast.Starred, ast.Name, ast.List, ast.Tuple, ast.Slice,
)  # fmt: skip

# Functions and types that reach nothing but what they are given.
_FUNCTIONS = frozenset(
    "abs all any bool chr dict divmod enumerate filter float frozenset int isinstance iter len list map max min next ord pow "
    "range reversed round set slice sorted str sum tuple zip ArithmeticError AssertionError Exception IndexError KeyError "
    "LookupError OverflowError RuntimeError StopIteration TypeError UnicodeError ValueError ZeroDivisionError".split()
)

# Methods of numbers, texts and collections. Not `format`, whose text may name any attribute.
_METHODS = frozenset(
    "add append as_integer_ratio bit_length capitalize casefold clear copy count difference discard endswith expandtabs extend "
    "find fromkeys get index insert intersection is_integer isalnum isalpha isascii isdecimal isdigit isdisjoint islower "
    "isnumeric isspace issubset issuperset istitle isupper items join keys ljust lower lstrip partition pop popitem remove "
    "replace reverse rfind rindex rjust rpartition rsplit rstrip setdefault sort split splitlines startswith strip swapcase "
    "symmetric_difference title union update upper values zfill".split()
) | frozenset(name for name in vars(math) if not name.startswith("_"))

_ARGUMENT = re.compile("_arg[0-9]+")


def is_pure(body, provided):
    """Whether these statements of a script are. `provided` are the names that it finds without importing them."""
    nodes = [node for statement in body for node in ast.walk(statement)]
    # A name that one of the script's functions binds is another one outside of that.
    beyond = set(vars(builtins)) | set(provided) | {"tabpy", "_user_script"}
    names = {name for node in nodes for name in _bound(node) if name not in beyond and not name.startswith("__")}
    return all(_is_harmless(node, names | _FUNCTIONS) for node in nodes)


def _bound(node):
    """The names that a node gives a meaning."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, (ast.FunctionDef, ast.ExceptHandler)) and node.name:
        return [node.name]
    if isinstance(node, ast.alias):
        return [node.asname or node.name]
    return []


def _is_harmless(node, names):
    if isinstance(node, ast.Name):
        return node.id in names or _ARGUMENT.fullmatch(node.id) is not None
    if isinstance(node, ast.Attribute):
        return isinstance(node.ctx, ast.Load) and node.attr in _METHODS
    if isinstance(node, ast.Constant):
        # Bytes are decoded by what their text names, which may be a module that is imported for it.
        return not isinstance(node.value, bytes)
    if isinstance(node, ast.FunctionDef):
        return not node.decorator_list
    if isinstance(node, ast.Import):
        return all(alias.name == "math" for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module == "math" and not node.level and all(alias.name in _METHODS for alias in node.names)
    return isinstance(node, _SYNTAX)
