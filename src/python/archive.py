"""Reading archives: pickles of functions, made elsewhere by cloudpickle. Bytecode of another Python may load
and then crash the process when it is called, so it is looked at before."""

import dis
import opcode
import pickle
import sys
import types

_OLDER = "Python 3.8, 3.9 or 3.10"


class WrongPython(Exception):
    """The archive holds bytecode of the Python that is named."""


class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        found = super().find_class(module, name)
        if name == "_builtin_type" and module.partition(".")[0] == "cloudpickle":
            return lambda kind: _code if kind == "CodeType" else found(kind)
        return _code if found is types.CodeType else found


def _code(*parts):
    try:
        code = types.CodeType(*parts)
    except (TypeError, ValueError):
        # Python 3.11 has added two parts to what a code object is made of.
        raise WrongPython(_OLDER if len(parts) < 18 else "another version of Python") from None
    # The code object would give its bytecode as if every cache were in its place.
    if not _runs_here(parts[6]):
        raise WrongPython("another version of Python")
    return code


def _runs_here(bytecode):
    """Whether bytecode is laid out as this Python's: known instructions, and room for each one's cache."""
    if sys.version_info < (3, 11):
        return all(not dis.opname[op].startswith("<") for op in bytecode[::2])
    place, resumes = 0, False
    caches = _caches()
    while place < len(bytecode):
        operation = bytecode[place]
        name = dis.opname[operation]
        if name.startswith("<") or name == "CACHE":
            return False
        resumes |= name == "RESUME"
        room = caches.get(name, 0)
        place += 2
        if any(bytecode[place : place + 2 * room : 2]):
            return False
        place += 2 * room
    return resumes


def _caches():
    """How many cache entries follow an instruction, by its name."""
    entries = opcode._inline_cache_entries
    if isinstance(entries, dict):
        return entries
    return {opcode.opname[operation]: count for operation, count in enumerate(entries) if count}
