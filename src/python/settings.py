"""Settings of a process and of its libraries that can be read and written: what a function has left in
them is put back, where a script that touches them ends its worker."""

import gc
import locale
import logging
import os
import socket
import sys
import warnings


def _logging():
    root = logging.getLogger()
    return root.level, list(root.handlers), logging.root.manager.disable


def _set_logging(state):
    root = logging.getLogger()
    level, root.handlers[:], logging.root.manager.disable = state[0], state[1], state[2]
    root.setLevel(level)


def _hooks():
    return sys.excepthook, sys.unraisablehook, sys.displayhook


def _set_hooks(hooks):
    sys.excepthook, sys.unraisablehook, sys.displayhook = hooks


def _callbacks():
    return list(gc.callbacks)


def _set_callbacks(callbacks):
    gc.callbacks[:] = callbacks


def _digits():
    return sys.get_int_max_str_digits() if hasattr(sys, "get_int_max_str_digits") else None


def _set_digits(digits):
    if digits is not None:
        sys.set_int_max_str_digits(digits)


def _numpy():
    numpy = sys.modules.get("numpy")
    return None if numpy is None else dict(numpy.get_printoptions())


def _set_numpy(options):
    if options is not None:
        # The old form of printing can be asked for, and not be set again as what it was.
        sys.modules["numpy"].set_printoptions(**{k: v for k, v in options.items() if k != "override_repr"})


def _pandas():
    config = sys.modules.get("pandas._config.config")
    if config is None:
        return None
    return {name: config.get_option(name) for name in config._registered_options}


def _set_pandas(options):
    if options is None:
        return
    config = sys.modules["pandas._config.config"]
    for name, value in options.items():
        if config.get_option(name) != value:
            config.set_option(name, value)


def _matplotlib():
    matplotlib = sys.modules.get("matplotlib")
    return None if matplotlib is None else dict.copy(matplotlib.rcParams)


def _set_matplotlib(parameters):
    if parameters is not None:
        dict.update(sys.modules["matplotlib"].rcParams, parameters)


_ALL = [
    (_logging, _set_logging),
    (_hooks, _set_hooks),
    (_callbacks, _set_callbacks),
    (gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)),
    (sys.getswitchinterval, sys.setswitchinterval),
    (lambda: (socket.getdefaulttimeout(),), lambda timeout: socket.setdefaulttimeout(*timeout)),
    (lambda: locale.setlocale(locale.LC_ALL), lambda name: locale.setlocale(locale.LC_ALL, name)),
    (_digits, _set_digits),
    (_numpy, _set_numpy),
    (_pandas, _set_pandas),
    (_matplotlib, _set_matplotlib),
]


def _set_environment(environment):
    os.environ.clear()
    os.environ.update(environment)


def _set_path(path):
    sys.path[:] = path


def _set_filters(filters):
    warnings.filters[:] = filters
    warnings._filters_mutated()


def _numpy_errors():
    numpy = sys.modules.get("numpy")
    return None if numpy is None else numpy.geterr()


def _set_numpy_errors(errors):
    sys.modules["numpy"].seterr(**errors)


# What state.py puts right by itself.
_PROCESS = [
    (lambda: dict(os.environ), _set_environment),
    (lambda: list(sys.path), _set_path),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (lambda: list(warnings.filters), _set_filters),
    (_numpy_errors, _set_numpy_errors),
    (os.getcwd, os.chdir),
]


def read():
    return [get() for get, _ in _ALL]


def write(state):
    """Writes back what has changed. A library that was not there at first has nothing to go back to."""
    for (get, put), before in zip(_ALL, state):
        if before is not None and get() != before:
            put(before)


def read_all():
    return [get() for get, _ in _ALL + _PROCESS]


def changes_since(state):
    """What has changed, each as its place and its value now."""
    now = read_all()
    return [(place, value) for place, value in enumerate(now) if value is not None and value != state[place]]


def apply(changes):
    for place, value in changes:
        get, put = (_ALL + _PROCESS)[place]
        if get() != value:
            put(value)
