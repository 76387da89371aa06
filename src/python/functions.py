"""Deployed functions within a worker: loading them, what they tell of themselves, and the words for what
goes wrong. Which function a name means, and calling it, is functions.rs's."""

import ast
import builtins
import inspect
import linecache
import os
import pickle
import re
import sys
import threading
import traceback
import types

import _tabpy_rs
import _tabpy_rs_archive
import _tabpy_rs_settings as settings
from _tabpy_rs_archive import WrongPython
from _tabpy_rs_foreign import changes_others
from _tabpy_rs_state import BEYOND_REPAIR, PROCESS, SETTINGS, risk_of_function

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

# Where the words for a query's failure go on from; a failure within a failure is told once.
FAILED = "Error querying function "

# The objects' folder: what lies in it is a function's source.
FOLDER = None

# The `tabpy` of scripts, which sources find among their names too.
TABPY = None

_MODULE = "tabpy_function_"

# A source is run by one thread; another that wants it waits until it is whole.
_RUNNING = threading.RLock()


class NotLoaded(Exception):
    """Why a function could not be loaded, in words for whoever deployed it."""


class Failed(dict):
    """What `tabpy.query` returns when it fails; reading its response says why."""

    def __missing__(self, key):
        error = KeyError(key)
        if key == "response":
            error.tabpy_reason = _reason(self)
        raise error


def _reason(failed):
    message, info = failed.get("message"), failed.get("info")
    if not isinstance(info, dict):
        return info or message
    error = info.get("error") or ""
    return error if error.startswith(FAILED) else f"{message}: {error}"


def load(folder, kind, function, python):
    """The function of an object as (what is called, its risk, what it has set up)."""
    try:
        if kind == "source":
            with _RUNNING:
                module = _run_source(folder)
            found, risk, changes = _named(module, function), _risk_of_source(module), module.__settings__
            return found, risk | PROCESS | SETTINGS if changes else risk, changes or None
        found = _callable_of(_read_archive(folder, python))
        return found, _risk_of(found), None
    except NotLoaded:
        raise
    except BaseException as error:
        raise NotLoaded(_why_not(error, python)) from None


def forget(folder):
    """Lets go of a source that is not in force any more."""
    sys.modules.pop(_module_name(folder), None)
    linecache.cache.pop(os.path.join(folder, "source.py"), None)


def try_out(folder, kind, function, python):
    """Loads an object as a worker would, and gives what there is to say of each of its functions."""
    import _tabpy_rs_published as published

    try:
        if kind == "archive":
            found = _read_archive(folder, python)
            return [published.of_archive(found, _callable_of(found))]
        module = _run_source(folder)
        if function is None:
            return published.of_module(module)
        return [published.of(function, _named(module, function))]
    except NotLoaded:
        raise
    except BaseException as error:
        raise NotLoaded(_why_not(error, python)) from None


def _run_source(folder):
    """The module of a source, which is run once and kept as long as its object."""
    name, path = _module_name(folder), os.path.join(folder, "source.py")
    if name in sys.modules:
        return sys.modules[name]
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    module = types.ModuleType(name)
    module.__file__ = path
    module.tabpy = TABPY
    module.__code__ = code
    # Classes look their module up, when they are pickled for example.
    sys.modules[name] = module
    # What a file sets for itself holds while its functions run; what its imports set is of no account.
    sets = risk_of_function(set(code.co_names), set()) & (PROCESS | SETTINGS)
    before = settings.read_all() if sets else None
    try:
        exec(code, module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    module.__settings__ = settings.changes_since(before) if sets else []
    return module


def set_up(changes):
    """Puts in force what a function has set when it was loaded."""
    settings.apply(changes)


def _module_name(folder):
    return _MODULE + os.path.basename(folder)


def _named(module, name):
    found = getattr(module, name, None)
    if callable(found):
        return found
    there = [n for n, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == module.__name__]
    there = f"it has {', '.join(there)}" if there else "it has none"
    raise NotLoaded(f"the source has no function '{name}' at its top level; {there}")


def _read_archive(folder, python):
    if python is not None and python != VERSION:
        raise WrongPython(f"Python {python}")
    with open(os.path.join(folder, "pickle_archive"), "rb") as file:
        return _tabpy_rs_archive.Unpickler(file).load()


def _callable_of(found):
    from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

    if type(found) is CustomQueryObject:
        function = found.custom_query
        if not callable(function):
            raise NotLoaded(f"the archive holds a {type(function).__name__}, which cannot be called")
        # As where the function came from: whoever wrote it there had `tabpy` only as a name.
        names = getattr(function, "__globals__", None)
        if names is not None and function.__module__ in ("__main__", _tabpy_rs.SCRIPT_MODULE):
            names.setdefault("tabpy", TABPY)
        return function
    query = getattr(found, "query", None)
    if callable(query):
        return query
    if callable(found):
        return found
    raise NotLoaded(f"the archive holds a {type(found).__name__}, which cannot be called")


def _why_not(error, python):
    if isinstance(error, WrongPython):
        return (
            f"the archive was made by {error}, and Python {VERSION} runs here. Deploy it again from Python {VERSION}, "
            "or deploy its source, which fits every version"
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        if name == "cloudpickle":
            return "archives need cloudpickle, which is not installed where scripts run: add it to requirements.txt"
        return f"it needs the module '{error.name}', which is not installed here: add it to requirements.txt{_place(error)}"
    if isinstance(error, pickle.UnpicklingError | EOFError):
        return f"the archive is no pickle, or cut short: {type(error).__name__} : {_text(error)}"
    text = _tabpy_rs.bounded(f"{type(error).__name__} : {_text(error)}{_place(error)}")
    return text + _tabpy_rs.setting_behind(error)


def _text(error):
    if isinstance(error, SyntaxError):
        # Its own text would name the file, which is none of the user's.
        return str(error.msg)
    try:
        return str(error)
    except BaseException as second:
        return f"(its text could not be made: {type(second).__name__})"


def _place(error):
    """The line of the function's source behind an error, in brackets; for an archive, the number alone."""
    if isinstance(error, SyntaxError) and _is_source(error.filename):
        number, line = error.lineno, linecache.getline(error.filename, error.lineno or 0)
    else:
        found = None
        for frame in _frames(error.__traceback__):
            if _is_source(frame.filename) or (found is None and _is_foreign(frame.filename)):
                found = frame
        if found is None:
            return ""
        number = found.lineno
        if not _is_source(found.filename):
            name = os.path.basename(found.filename)
            return f" (line {number} of {name})" if name and not name.startswith("<") else f" (line {number})"
        line = linecache.getline(found.filename, number)
    line = _tabpy_rs.shown_line(line)
    return f" (line {number}: {line})" if line else f" (line {number})"


def _frames(trace):
    return traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False)


def _is_source(filename):
    return bool(filename) and FOLDER is not None and filename.startswith(FOLDER) and filename.endswith("/source.py")


def _is_foreign(filename):
    """Whether a file is where an archive's function came from: nothing that is here."""
    return not filename.startswith("<frozen") and not filename.startswith("<tabpy-rs") and not os.path.exists(filename)


def missing(name, version, kept):
    """The failure of a query for what is not there."""
    if version and kept:
        return Failed(message="UnknownURI", info=f"Endpoint '{name}' has no version {version}; kept are {kept}")
    return Failed(message="UnknownURI", info=f"Endpoint '{name}' does not exist")


def failed(name, text):
    """The failure of a query that did not come to its function."""
    return Failed(message=f"{FAILED}'{name}'", info={"uri": name, "error": text, "type": "QueryFailed"})


def not_loaded(name, error):
    text = _text(error) if isinstance(error, NotLoaded) else _why_not(error, None)
    return failed(name, f"the function did not load: {text}")


def raised(name, function, arguments, named, error):
    """The failure of a function that was called: whether its arguments fit is said, too."""
    reason = getattr(error, "tabpy_reason", None) if type(error) is KeyError else None
    if reason is not None and reason.startswith(FAILED):
        return failed(name, reason)
    text = f"{type(error).__name__} : {_text(error)}"
    if reason is not None:
        text = f"{text}: {reason}"
    if isinstance(error, TypeError) and _is_misfit(function, arguments, named, error):
        text += f" (the arguments do not fit function '{name}'{_what_it_takes(function)})"
    else:
        text += _place(error)
    return failed(name, _tabpy_rs.bounded(text) + _tabpy_rs.setting_behind(error))


def _what_it_takes(function):
    try:
        taken = str(inspect.signature(function))
    except Exception:
        return ""  # a default value may not be shown
    # The name under which a source is loaded means nothing to its author.
    return ", which takes " + re.sub(r"\btabpy_function_\w+\.", "", taken)


def unwritten(name, error):
    """The failure of a query whose result cannot be written."""
    text = _tabpy_rs.bounded(f"{type(error).__name__} : {_text(error)}")
    return Failed(message="Error processing query", info=f"{text} (in what function '{name}' returned)")


def _is_misfit(function, arguments, named, error):
    # A function that was entered has a frame.
    if error.__traceback__ is not None:
        return False
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        return True
    except ValueError:
        pass  # no signature is known
    return False


def _risk_of_source(module):
    """The risk of calling what a source defines; what it did when it was run is looked at by itself."""
    codes = [constant for constant in module.__code__.co_consts if isinstance(constant, types.CodeType)]
    risk = _risk_of_codes(codes)
    with open(module.__file__, "rb") as file:
        statements = ast.parse(file.read()).body
    # Its imports tell whose a name is.
    kept = [statement for statement in statements if isinstance(statement, _LATER)]
    return risk | BEYOND_REPAIR if changes_others(kept, ()) else risk


_LATER = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _risk_of(function):
    """The risk of a function that came without a source: its code, and that of what came with it."""
    codes, waiting, seen = [], [function], set()
    while waiting and len(seen) < 1000:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, types.MethodType):
            waiting += [found.__func__, type(found.__self__)]
        elif isinstance(found, types.FunctionType):
            if _is_installed(found.__module__):
                continue
            codes.append(found.__code__)
            waiting += [cell.cell_contents for cell in found.__closure__ or () if _is_filled(cell)]
            waiting += [found.__globals__.get(name) for name in _tabpy_rs.names_of(found.__code__)]
        elif isinstance(found, type):
            if not _is_installed(found.__module__):
                waiting += list(vars(found).values())
        elif isinstance(found, (staticmethod, classmethod)):
            waiting.append(found.__func__)
        elif isinstance(found, property):
            waiting += [found.fget, found.fset, found.fdel]
        elif callable(found) and not isinstance(found, types.BuiltinFunctionType):
            waiting.append(type(found))
    return _risk_of_codes(codes)


def _is_filled(cell):
    try:
        cell.cell_contents
    except ValueError:
        return False
    return True


def _is_installed(module):
    """Whether a module is one that is imported by name; archives bring the others along."""
    return module != "__main__" and getattr(sys.modules.get(module), "__file__", builtins) is not builtins


def _risk_of_codes(codes):
    risk = 0
    for code in codes:
        risk |= risk_of_function(
            _tabpy_rs.names_of(code), _tabpy_rs.operations_of(code), _tabpy_rs.runs_later(code)
        )
    return risk
