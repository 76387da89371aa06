"""Where a worker's Python lives: the folders it imports from, the one it writes to, and which setting
would have allowed a script what it was denied."""

import errno
import os
import re
import sys

# What scripts may read, write, and whether they reach the network; None where they are not confined.
CONFINED = None

_HINTS = {
    "read": " (TABPY_SCRIPT_READ names further paths that scripts may read)",
    "write": " (TABPY_SCRIPT_WRITE names further paths that scripts may write)",
    "network": " (TABPY_SCRIPT_NETWORK=false closes the network to scripts)",
}

_WRITES = re.compile(
    r"""["'][rb]*[wax+][bt+]*["']|to_|save|write|dump|O_WRONLY|O_RDWR|O_CREAT|mkdir|makedirs|remove|unlink|rename|rmtree|copy|touch"""
)


def folders():
    """Where this Python imports from, and what the environment names for libraries to read."""
    found = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, *sys.path]
    found.append(os.path.dirname(os.path.realpath(sys.executable)))
    for name in ("LD_LIBRARY_PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "TZDIR"):
        found += os.environ.get(name, "").split(":")
    return sorted({path for path in found if os.path.isabs(path)})


def move(old, own, confined):
    """Has everything that was to be written into the one folder written into the other."""
    global CONFINED
    CONFINED = confined
    for name, value in list(os.environ.items()):
        if value == old or value.startswith(old + "/"):
            os.environ[name] = own + value[len(old) :]
    forget_folders()


def forget_folders():
    """Has modules look again for the folders that they have made or found."""
    temporary = sys.modules.get("tempfile")
    if temporary is not None:
        temporary.tempdir = None
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None:
        processes.current_process()._config.pop("tempdir", None)


def hint(error, trace, line):
    """Names the setting that would have allowed what failed, as far as one can tell; else empty."""
    if CONFINED is None:
        return ""
    read, write, network = CONFINED
    if not network and _was_cut_off(error):
        return _HINTS["network"]
    if not isinstance(error, PermissionError) or not isinstance(error.filename, (str, bytes)):
        return ""
    try:
        path = os.path.realpath(os.fsdecode(error.filename))
    except OSError:
        return _HINTS["read"]  # a link that must not be read
    if any(_is_within(path, place) for place in [os.getcwd(), *write]):
        return ""  # it is the file's own mode
    if any(_is_within(path, place) for place in read) or not os.path.lexists(path):
        return _HINTS["write"]
    return _HINTS["write" if _would_write(trace, line) else "read"]


def _would_write(trace, line):
    """A guess, from the mode that the innermost function was given, or from the script's line."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    mode = trace.tb_frame.f_locals.get("mode") if trace is not None else None
    return bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(_WRITES.search(line))


def _was_cut_off(error):
    """Whether a socket that was refused is behind the error: libraries wrap it in errors of their own."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, PermissionError) and error.errno == errno.EACCES and error.filename is None:
            return True
        if type(error).__name__ == "gaierror":
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_within(path, place):
    return path == place or path.startswith(place.rstrip("/") + "/")
