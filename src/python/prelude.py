"""What the worker prepares in Python itself: compiling a user's script, the names that scripts use
without importing them, the `tabpy` object, and the words for errors. Nothing here is called for a script
that was compiled before and does not fail."""

import ast
import builtins
import dis
import errno
import importlib
import os
import re
import signal
import sys
import threading
import types

from _tabpy_rs_foreign import changes_others, makes_classes
from _tabpy_rs_place import folders, forget_folders, hint, move
from _tabpy_rs_pure import is_pure
from _tabpy_rs_state import BEYOND_REPAIR, State, reseed, risk_of

SCRIPT = "<script>"

# The module whose part scripts were in TabPy: what they keep for `__name__ == "__main__"` is not meant to run here.
# It has no file and nothing in it, but dataclasses, for one, look up a class's module by its name.
SCRIPT_MODULE = "tabpy.tabpy_server.handlers.evaluation_plane_handler"
sys.modules.setdefault(SCRIPT_MODULE, types.ModuleType(SCRIPT_MODULE))

# TabPy's module imports these, so scripts in the field use them without an import of their own.
# Prep's wrapper relies on `pd`.
PROVIDED = {
    "pandas": ("pandas", None),
    "pd": ("pandas", None),
    "json": ("json", None),
    "requests": ("requests", None),
    "logging": ("logging", None),
    "uuid": ("uuid", None),
    "simplejson": ("simplejson", None),
    "pyarrow": ("pyarrow", None),
    "timedelta": ("datetime", "timedelta"),
}

# A script that looks names up at run time may reach any of the provided ones.
DYNAMIC = {"eval", "exec", "globals", "compile", "__builtins__", "builtins"}

DID_NOT_RESPOND = (
    "The endpoint you're trying to query did not respond. Please make sure the endpoint exists "
    "and the correct set of arguments are provided."
)


class EmptyScript(Exception):
    """The script holds no statement."""


# A sum of a thousand terms is a tree a thousand levels deep, and so are as many `elif`s. Python's compiler follows
# three times as many in a text as functions may call each other, but no more than those in a tree that it is handed.
_LEVELS = 3500


def compile_script(source, argument_names):
    """As `_compiled`, with room for what TabPy can compile."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _LEVELS))
    try:
        return _compiled(source, argument_names)
    finally:
        sys.setrecursionlimit(limit)


def _compiled(source, argument_names):
    """The code object of the script as a function's body, the provided names that it may use, whether
    it names itself, what it may leave behind (see `risk_of`), and whether it is pure.

    The text is compiled as it stands, so strings and line numbers stay the user's own."""
    body = _parse(source)
    if not body:
        raise EmptyScript
    parameters = ", ".join(["tabpy", *argument_names])
    module = ast.parse(f"def _user_script({parameters}): pass", SCRIPT)
    module.body[0].body = body
    try:
        compiled = compile(module, SCRIPT, "exec", dont_inherit=True)
    except SyntaxError as error:
        error.filename = "<string>"
        raise
    code = next(c for c in compiled.co_consts if isinstance(c, types.CodeType))
    names = names_of(code)
    risk = risk_of(names, operations_of(code), runs_later(code) or makes_classes(body))
    if changes_others(body, PROVIDED):
        risk |= BEYOND_REPAIR
    if names & DYNAMIC:
        provided = list(PROVIDED)
    else:
        provided = [name for name in PROVIDED if name in names]
    return code, provided, "_user_script" in names, risk, risk == 0 and is_pure(body, PROVIDED)


def _parse(source):
    try:
        return ast.parse(source, "<string>").body
    except IndentationError as error:
        # Tableau users indent a whole script to fit their calculation: TabPy takes that.
        try:
            return _parse_indented(source)
        except SyntaxError as second:
            # Where the first line is indented, only the second try has seen more than that line.
            if _begins_indented(source):
                _one_line_up(second)
                error = second
        # The last word is TabPy's own form: what it takes, we take.
        body = _parse_as_tabpy(source)
        if body is None:
            raise error from None
        return body


def _parse_indented(source):
    tree = ast.parse("if 1:\n" + source, "<string>")
    rest = tree.body[1:] or tree.body[0].orelse
    if rest:
        position = ("<string>", rest[0].lineno, 1, None)
        raise IndentationError("unindent does not match any outer indentation level", position)
    ast.increment_lineno(tree, -1)
    return tree.body[0].body


def _begins_indented(source):
    first = re.search(r"^([ \t\f]*)[^\s#]", source, re.MULTILINE)
    return first is not None and first[1] != ""


def _one_line_up(error):
    error.lineno -= 1
    if error.end_lineno is not None:
        error.end_lineno -= 1
    error.msg = re.sub(r"\bon line (\d+)", lambda found: f"on line {int(found[1]) - 1}", error.msg)


def _parse_as_tabpy(source):
    text = "def _user_script():\n" + "".join(f" {line}\n" for line in source.splitlines())
    try:
        tree = ast.parse(text, "<string>")
    except SyntaxError:
        return None
    ast.increment_lineno(tree, -1)
    return tree.body[0].body


def names_of(code):
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_of(constant)
    return names


def operations_of(code):
    operations = {instruction.opname for instruction in dis.get_instructions(code)}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            operations |= operations_of(constant)
    return operations


# Generators and coroutines are ended where they stand when they are collected; of their code, these run then.
_ENDED_LATER = 0x20 | 0x80 | 0x200  # CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of inspect, which is large
_HANDLING = {"PUSH_EXC_INFO", "SETUP_FINALLY", "SETUP_WITH"}


def runs_later(code):
    """Whether some of the code may run when the script is over."""
    if code.co_flags & _ENDED_LATER:
        if any(instruction.opname in _HANDLING for instruction in dis.get_instructions(code)):
            return True
    return any(isinstance(constant, types.CodeType) and runs_later(constant) for constant in code.co_consts)


def provide(name):
    """The object behind a provided name, or None where its package is not installed."""
    module, attribute = PROVIDED[name]
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return found if attribute is None else getattr(found, attribute)


def source_line(source, number):
    """One line of the script, as Python counts lines, short enough to show."""
    lines = re.split(r"\r\n|\r|\n", source)
    return shown_line(lines[number - 1]) if 1 <= number <= len(lines) else ""


def shown_line(line):
    """A line of source as errors show it: short, and without a password."""
    line = _SECRET.sub(r"\1...", line.strip())
    return line if len(line) <= 160 else line[:157] + "..."


# TabPy's client sends scripts that sign in.
_SECRET = re.compile(r"(set_credentials\s*\(?).+")


def bounded(text):
    """A text that is not too long for an answer."""
    return text if len(text) <= 100_000 else text[:100_000] + "..."


def describe(error, trace, source, compiling):
    """TabPy's `Type : text`, and then the user's own line."""
    try:
        text = str(error)
    except BaseException as second:
        text = f"(its text could not be made: {type(second).__name__})"
    text = f"{type(error).__name__} : {bounded(text)}"
    number = _line_of(error, trace, compiling)
    line = "" if number is None else source_line(source, number)
    if number is not None:
        text += f" (line {number}: {line})" if line else f" (line {number})"
    # A compiler's MemoryError is about nesting.
    return text if compiling else text + (_hint(error) or hint(error, trace, line))


def setting_behind(error):
    """The setting that a deployed function has met."""
    return _hint(error) or hint(error, error.__traceback__, "")


def _hint(error):
    """The setting behind a limit that the script has met."""
    if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return " (TABPY_WORKER_MEMORY_MB limits the memory of a script)"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return " (TABPY_SCRIPT_DISK_MB limits what a script writes)"
    return ""


def _line_of(error, trace, compiling):
    if compiling:
        return error.lineno if isinstance(error, SyntaxError) else None
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == SCRIPT:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def missing_response(error):
    """The reason, when reading the response of a failed `tabpy.query` is what went wrong."""
    reason = getattr(error, "tabpy_reason", None) if type(error) is KeyError else None
    return None if reason is None else f"{DID_NOT_RESPOND} {reason}."


def keep_signals():
    """A platform sends SIGTERM to every process, but the server ends its workers itself. A handler
    that does nothing, rather than SIG_IGN, because child processes would inherit that."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # As Python has it where it sets signals up itself: a file that grows too large is an OSError.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


# A process that a script forks is the script's to end, by SIGTERM too, and from its first moment on.
_HELD = threading.local()


def _hold_signals():
    _HELD.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


def _release_signals():
    signal.pthread_sigmask(signal.SIG_SETMASK, _HELD.mask)


def _be_ended():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _release_signals()


def set_up_output():
    """Line by line, so that what was printed before a script is stopped is in the log."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")


def base_globals():
    return {"__name__": SCRIPT_MODULE, "__builtins__": builtins}


# Modules whose import left threads behind.
THREADED = []


def preload(modules):
    """Imports what scripts are known to use; returns a sentence for each that is missing."""
    warnings = []
    threads = _threads()
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            warnings.append(f"{module} of TABPY_PRELOAD could not be imported: {type(error).__name__} : {error}")
        if _threads() > threads:
            THREADED.append(module)
            threads = _threads()
    return warnings


def _threads():
    return len(os.listdir("/proc/self/task"))


# What scripts begin with, as it was before the process was copied.
STATE = None

# Python writes to a function's own code until it has run so often.
WARM = 10


def before_fork():
    """What each copy of the process would else do for itself, and have its own pages for."""
    global STATE
    for _ in range(WARM):
        compile_script("import os\nreturn os.getpid()", ["_arg1"])
    STATE = _state()


def after_fork(modules, places, confined):
    """What a copy of the process does first."""
    move(*places, confined)
    reseed()
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_be_ended)
    return preload(modules)


def watch_state(imported):
    """The state that scripts begin with; what was imported since may have added to it."""
    if imported:
        return _state()
    STATE.settle()
    return STATE


def _state():
    """Own classes included."""
    return State([sys.modules["_tabpy_rs_functions"].Failed])
