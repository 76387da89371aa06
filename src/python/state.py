"""What a script may have changed of its process: put right after it, or told as beyond repair.

Most scripts compute and return, and looking would cost more than they do: one is looked after only
where its code names something that reaches beyond itself, or sets attributes."""

import builtins
import datetime
import decimal
import gc
import json
import math
import os
import random
import re
import signal
import statistics
import sys
import threading
import time
import warnings

import _tabpy_rs_settings as settings

# What a script may have touched, judged by its code; added up they are its risk.
PROCESS, OBJECTS, RANDOM, BEYOND_REPAIR, SETTINGS, FIGURES, LATER = 1, 2, 4, 8, 16, 32, 64

_NAMES = {
    # The process: directory, environment, signals, descriptors, limits.
    PROCESS: "os sys signal threading _thread subprocess multiprocessing concurrent asyncio resource socket shutil "
    "chdir environ tempfile settrace setprofile setrecursionlimit tzset warnings decimal "
    "filterwarnings simplefilter seterr seterrcall importlib inspect gc builtins __builtins__ exec eval __import__",
    # Objects that other scripts will meet: modules and classes.
    OBJECTS: "setattr delattr vars globals exec eval compile __import__ __dict__ __class__ __globals__ __builtins__ "
    "__subclasses__ __bases__ __mro__ modules reload importlib gc inspect builtins types pickle joblib dill",
    RANDOM: "random seed manual_seed",
    # pyplot keeps them until they are closed, and draws on the last one.
    FIGURES: "matplotlib pyplot pylab seaborn plot hist boxplot savefig",
    # Code of the script's that runs when its objects are collected, which may be in the middle of another script.
    # Where a class may have been made of what nobody has read, it may have such code as well.
    LATER: "weakref setattr exec eval compile types locals vars getattr pickle joblib dill __prepare__ __class__ __dict__",
    # Nobody can say what is left as it was.
    BEYOND_REPAIR: "ctypes cffi _ctypes setlocale set_option options rcParams set_printoptions set_num_threads atexit "
    "addaudithook freeze get_objects get_referents get_referrers faulthandler nice setpriority sched_setaffinity sched_setscheduler setrlimit prlimit putenv "
    "unsetenv set_wakeup_fd set_threshold callbacks meta_path path_hooks excepthook unraisablehook displayhook "
    "set_int_max_str_digits setswitchinterval set_asyncgen_hooks basicConfig disable addHandler setLevel captureWarnings setdefaulttimeout "
    "__del__ walk_stack walk_tb f_locals set_debug mock unittest.mock monkeypatch field_size_limit "
    "register_dataframe_accessor register_series_accessor register_index_accessor",
}
_NAMES = {risk: frozenset(names.split()) for risk, names in _NAMES.items()}

# What a function's names are looked after for by themselves: a worker that ends takes loaded functions with it.
READABLE = {
    *"setlocale set_option options rcParams set_printoptions set_threshold excepthook unraisablehook displayhook".split(),
    *"set_int_max_str_digits setswitchinterval basicConfig disable addHandler setLevel captureWarnings".split(),
    *"callbacks setdefaulttimeout".split(),
}

# Opcodes that change an object which may live longer than the script.
_CHANGING = {"STORE_ATTR", "DELETE_ATTR"}

# Modules whose attributes scripts rely on.
_WATCHED = [builtins, json, math, os, random, re, statistics, time, datetime, decimal, warnings, threading, signal]
_WATCHED_IF_LOADED = ["numpy", "pandas", "numpy.random", "simplejson", "requests"]
_WATCHED_CLASSES = [("pandas", "DataFrame"), ("pandas", "Series")]


def risk_of(names, operations, runs_later=False):
    """The risk of a script that uses these names and opcodes, and may have code that runs after it; 0 for most."""
    risk = sum(kind for kind, risky in _NAMES.items() if names & risky)
    if runs_later:
        risk |= LATER
    return risk | OBJECTS if operations & _CHANGING else risk


def risk_of_function(names, operations, runs_later=False):
    """The same for a deployed function: settings that can be compared are put right instead."""
    risk = risk_of(names - READABLE, operations, runs_later)
    return risk | SETTINGS if names & READABLE else risk


def _descriptors():
    """Where each open descriptor leads."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the listing's own
    return found


class State:
    """The process as the first script finds it. Most of it is read once, before the process is copied: reading a
    thousand objects writes to the page of each."""

    def __init__(self, own):
        self.recursion_limit = sys.getrecursionlimit()
        self.path = list(sys.path)
        self.filters = list(warnings.filters)
        self.handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self.modules = [(module.__name__, module) for module in _WATCHED]
        self.modules += [(name, sys.modules[name]) for name in _WATCHED_IF_LOADED if name in sys.modules]
        self.contents = [dict(vars(module)) for _, module in self.modules]
        self.classes = [*own, json.JSONEncoder, json.JSONDecoder]
        for module, name in _WATCHED_CLASSES:
            if module in sys.modules:
                self.classes.append(getattr(sys.modules[module], name))
        self.class_contents = [dict(vars(kind)) for kind in self.classes]
        numpy = sys.modules.get("numpy")
        self.numpy_errors = None if numpy is None else (numpy.geterr(), numpy.geterrcall())
        self.settings = settings.read()
        self.settle()

    def settle(self):
        """Reads again what each copy of the process has of its own."""
        self.environment = dict(os.environ)
        self.directory = os.getcwd()
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.umask = os.umask(0o22)
        os.umask(self.umask)
        # It makes its locks anew in a copy.
        self.contents[_WATCHED.index(threading)] = dict(vars(threading))
        self.descriptors = _descriptors()

    def restore(self, risk, loaded=False):
        """Puts right what can be; False where the process had better end. What functions that were just
        `loaded` have added to modules stays, since they may rely on it."""
        try:
            if risk & BEYOND_REPAIR:
                return False
            if risk & LATER and not _have_it_run():
                return False
            if risk & OBJECTS and not self._objects_are_clean(loaded):
                return False
            if risk & SETTINGS:
                settings.write(self.settings)
            if risk & PROCESS:
                if not self._process_is_clean():
                    return False
                self._put_process_right()
            if risk & RANDOM:
                reseed()
            if risk & FIGURES:
                _close_figures()
            return True
        except BaseException:
            return False

    def _process_is_clean(self):
        if sys.gettrace() is not None or sys.getprofile() is not None:
            return False
        if signal.getitimer(signal.ITIMER_REAL)[0] or signal.getitimer(signal.ITIMER_VIRTUAL)[0]:
            return False
        now = _descriptors()
        return all(now.get(name) == target for name, target in self.descriptors.items())

    def _objects_are_clean(self, accept=False):
        for place, (name, module) in enumerate(self.modules):
            if sys.modules.get(name) is not module or not _settle(vars(module), self.contents[place], accept):
                return False
        contents = zip(self.classes, self.class_contents)
        return all(_settle(vars(kind), before, accept) for kind, before in contents)

    def _put_process_right(self):
        zone = os.environ.get("TZ")
        if os.environ != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        # Also a script that has put the variable back may have had the zone read before that.
        if zone != self.environment.get("TZ") or time.tzname is not self._known(time)["tzname"]:
            self._put_zone_right()
        os.chdir(self.directory)
        os.umask(self.umask)
        sys.setrecursionlimit(self.recursion_limit)
        sys.path[:] = self.path
        if warnings.filters != self.filters:
            warnings.filters[:] = self.filters
            warnings._filters_mutated()
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        for number, handler in self.handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        decimal.setcontext(decimal.Context())
        if self.numpy_errors is not None:
            numpy = sys.modules["numpy"]
            numpy.seterr(**self.numpy_errors[0])
            numpy.seterrcall(self.numpy_errors[1])
        if "asyncio" in sys.modules:
            # A loop that was closed, or was made somebody's own, is found by whoever asks for one next.
            sys.modules["asyncio"].set_event_loop_policy(None)

    def _known(self, module):
        """What one of the watched modules held."""
        return self.contents[_WATCHED.index(module)]

    def _put_zone_right(self):
        time.tzset()
        # The same zone again, in new objects.
        self._known(time).update((name, getattr(time, name)) for name in ("tzname", "timezone", "altzone", "daylight"))


def _settle(now, before, accept):
    """Whether a namespace is as before, or, where that is acceptable, has only grown."""
    if not _changed(now, before):
        return True
    if accept and not any(now.get(name, State) is not value for name, value in before.items()):
        before.update(now)
        return True
    return False


def _changed(now, before):
    """Whether a namespace has other contents; a module that came to it by a later import is none."""
    for name, value in before.items():
        if now.get(name, State) is not value:
            return True
    if len(now) == len(before):
        return False
    return any(name not in before and type(value) is not type(os) for name, value in now.items())


# As they were before any script could put something else in their place.
_collect, _freeze, _clock = gc.collect, gc.freeze, time.perf_counter

# Longer than it takes to look through what a script leaves, in seconds.
_LONG = 0.001


def _have_it_run():
    """Has what waits for its objects' end run now; false, if that leaves more of the kind again and again."""
    began = _clock()
    nothing_left = any(not _collect() for _ in range(5))
    if _clock() - began > _LONG:
        # That was for what stays: large packages, loaded functions. No collection looks through it again.
        _freeze()
    return nothing_left


def _close_figures():
    pyplots = sys.modules.get("matplotlib._pylab_helpers")
    if pyplots is not None and pyplots.Gcf.figs:
        pyplots.Gcf.destroy_all()


def reseed():
    """Random numbers of one's own."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()
