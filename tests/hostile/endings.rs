//! Scripts that end: by exceptions made to end programs, by the death of their process, and by
//! code that runs when everything is over.

use crate::arena::{Act, USUAL, ample, each};

const FAILS: &[u16] = &[500];
const FAILS_OR_LATE: &[u16] = &[500, 408];
/// Where the act comes after the answer, or may be seen through.
const ANY: &[u16] = &[200, 500, 408];

pub const EXCEPTIONS: &[Act] = &[
    Act::new("sys.exit", FAILS, "SystemExit : 3", "import sys\nsys.exit(3)"),
    Act::new("sys.exit of an object", FAILS, "SystemExit", "import sys\nsys.exit(object())"),
    Act::new("exit builtin", FAILS, "", "exit(4)"),
    Act::new("KeyboardInterrupt", FAILS, "KeyboardInterrupt", "raise KeyboardInterrupt"),
    Act::new("StopIteration", FAILS, "StopIteration", "raise StopIteration"),
    Act::new("StopAsyncIteration", FAILS, "StopAsyncIteration", "raise StopAsyncIteration"),
    Act::new("GeneratorExit", FAILS, "GeneratorExit", "raise GeneratorExit"),
    Act::new("BaseException", FAILS, "Own", "class Own(BaseException): pass\nraise Own"),
    Act::new("SystemError", FAILS, "SystemError", "raise SystemError('x')"),
    Act::new(
        "raise in a thread",
        &[200],
        "1",
        "import threading, sys\nt = threading.Thread(target=sys.exit)\nt.start()\nt.join()\nreturn 1",
    ),
    Act::new(
        "interrupt_main",
        ANY,
        "",
        "import _thread, time\n_thread.interrupt_main()\ntime.sleep(0.2)\nreturn 1",
    ),
    Act::new(
        "async exception",
        ANY,
        "",
        "import ctypes, threading, time\nctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(threading.main_thread().ident), ctypes.py_object(SystemExit))\ntime.sleep(0.2)\nreturn 1",
    ),
    Act::new(
        "group",
        FAILS,
        "ExceptionGroup",
        "raise BaseExceptionGroup('g', [SystemExit(), KeyboardInterrupt()])",
    ),
];

pub const HOSTILE_EXCEPTIONS: &[Act] = &[
    Act::new(
        "__str__ raises",
        FAILS,
        "",
        "class E(Exception):\n    def __str__(self): raise SystemExit(9)\nraise E()",
    ),
    Act::new(
        "__str__ loops",
        FAILS_OR_LATE,
        "",
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E()",
    ),
    Act::new(
        "__str__ is no text",
        FAILS,
        "",
        "class E(Exception):\n    def __str__(self): return 5\nraise E()",
    ),
    Act::new(
        "__str__ ends the process",
        FAILS,
        "",
        "import os\nclass E(Exception):\n    def __str__(self): os._exit(0)\nraise E()",
    ),
    Act::new("a text of 300 MB", FAILS, "", "raise ValueError('x' * (300 * 2 ** 20))"),
    Act::new("a zero in the text", FAILS, "", "raise ValueError('a \\x00 b')"),
    Act::new(
        "a circle of causes",
        FAILS,
        "",
        "a = ValueError('a')\nb = ValueError('b')\na.__cause__ = b\nb.__cause__ = a\nraise a",
    ),
    Act::new(
        "a class name that is a lie",
        FAILS,
        "",
        "class E(Exception):\n    __slots__ = ()\nE.__name__ = 'x' * 1000000\nE.__qualname__ = 'y'\nE.__module__ = 5\nraise E()",
    ),
    Act::new(
        "a metaclass that raises",
        FAILS,
        "",
        "class M(type):\n    def __getattribute__(cls, n): raise SystemExit\nclass E(Exception, metaclass=M): pass\nraise E()",
    ),
    Act::new(
        "__class__ that loops",
        FAILS_OR_LATE,
        "",
        "class E(Exception):\n    @property\n    def __class__(self):\n        while True: pass\nraise E()",
    ),
    Act::new(
        "a traceback of 50,000 frames",
        FAILS,
        "",
        "import sys\nsys.setrecursionlimit(60000)\ndef f(n):\n    if n == 0: raise ValueError('deep')\n    f(n - 1)\nf(50000)",
    ),
    Act::new(
        "__traceback__ of another",
        FAILS,
        "",
        "e = ValueError('x')\ntry:\n    1 / 0\nexcept Exception as other:\n    tb = other.__traceback__\nraise e.with_traceback(tb)",
    ),
];

pub const DEATHS: &[Act] = &[
    Act::new("os._exit(0)", FAILS, "", "import os\nos._exit(0)"),
    Act::new("os._exit(1)", FAILS, "", "import os\nos._exit(1)"),
    Act::new("exit of C", FAILS, "", "import ctypes\nctypes.CDLL(None).exit(0)"),
    Act::new("segmentation fault", FAILS, "", "import ctypes\nctypes.string_at(0)"),
    Act::new("abort", FAILS, "", "import os\nos.abort()"),
    Act::new("SIGKILL to itself", FAILS, "", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
    Act::new(
        "SIGBUS",
        FAILS,
        "",
        "import mmap, tempfile\nf = tempfile.TemporaryFile()\nf.truncate(4096)\nm = mmap.mmap(f.fileno(), 4096)\nf.truncate(0)\nreturn m[0]",
    ),
    Act::new("a jump to nowhere", FAILS, "", "import ctypes\nreturn ctypes.CFUNCTYPE(ctypes.c_int)(8)()"),
    Act::new(
        "double free",
        ANY,
        "",
        "import ctypes\nc = ctypes.CDLL(None)\nc.malloc.restype = ctypes.c_void_p\np = c.malloc(5000)\nc.free(ctypes.c_void_p(p))\nc.free(ctypes.c_void_p(p))\nreturn 1",
    ),
    Act::new("a fatal error of Python", FAILS, "", "import ctypes\nctypes.pythonapi.Py_FatalError(b'mine')"),
    Act::new(
        "None taken away",
        FAILS_OR_LATE,
        "",
        "import ctypes\nfor _ in range(100000): ctypes.pythonapi.Py_DecRef(ctypes.py_object(None))\nreturn 1",
    ),
    Act::new(
        "the interpreter ended",
        FAILS_OR_LATE,
        "",
        "import ctypes\nctypes.pythonapi.Py_Finalize()\nreturn 1",
    ),
    Act::new(
        "the lock of Python given away",
        FAILS_OR_LATE,
        "",
        "import ctypes\nctypes.PyDLL(None).PyEval_SaveThread()\nreturn 1",
    ),
    Act::new(
        "a trap",
        FAILS,
        "",
        "import os, signal\nos.kill(os.getpid(), signal.SIGTRAP)\nimport time\ntime.sleep(60)",
    ),
    Act::new("another program in its place", FAILS_OR_LATE, "", "import os\nos.execv('/bin/true', ['true'])"),
    Act::new(
        "another program that waits",
        FAILS_OR_LATE,
        "",
        "import os\nos.execv('/bin/sleep', ['sleep', 'MARK'])",
    ),
    Act::new(
        "a program that talks on all descriptors",
        FAILS_OR_LATE,
        "",
        "import os\nfor d in range(3, 64):\n    try: os.set_inheritable(d, True)\n    except OSError: pass\nos.execv('/bin/sh', ['sh', '-c', 'for d in 3 4 5 6 7 8 9; do echo forged >&$d; done; sleep MARK'])",
    ),
];

pub const AFTERWARDS: &[Act] = &[
    Act::new("atexit", &[200], "1", "import atexit, os\natexit.register(os._exit, 7)\nreturn 1"),
    Act::new(
        "atexit that loops, and an exit",
        FAILS_OR_LATE,
        "",
        "import atexit, sys\ndef loop():\n    while True: pass\natexit.register(loop)\nsys.exit(1)",
    ),
    Act::new(
        "atexit that loops, and C's exit",
        FAILS_OR_LATE,
        "",
        "import atexit, ctypes\ndef loop():\n    while True: pass\natexit.register(loop)\nctypes.pythonapi.Py_Exit(0)",
    ),
    Act::new(
        "__del__ that loops",
        ANY,
        "",
        "class D:\n    def __del__(self):\n        while True: pass\nd = D()\nreturn 1",
    ),
    Act::new(
        "__del__ that ends the process",
        ANY,
        "",
        "import os\nclass D:\n    def __del__(self): os._exit(3)\nd = D()\nreturn 1",
    ),
    Act::new(
        "__del__ that raises",
        &[200],
        "1",
        "class D:\n    def __del__(self): raise SystemExit(3)\nd = D()\nreturn 1",
    ),
    Act::new(
        "__del__ that comes back to life",
        ANY,
        "",
        "import json\nclass D:\n    def __del__(self): json.kept = self\nd = D()\nreturn 1",
    ),
    Act::new(
        "__del__ of an argument's place",
        ANY,
        "",
        "class D(list):\n    def __del__(self):\n        import time\n        time.sleep(60)\nreturn D([1])",
    ),
    Act::new(
        "a generator that will not close",
        ANY,
        "",
        "def g():\n    while True:\n        try: yield 1\n        finally:\n            while True: pass\nx = g()\nnext(x)\nreturn 1",
    ),
    Act::new(
        "weakref.finalize",
        ANY,
        "",
        "import weakref, os, json\nclass D: pass\njson.d = D()\nweakref.finalize(json.d, os._exit, 5)\nreturn 1",
    ),
    Act::new(
        "a cycle with a trap",
        ANY,
        "",
        "import os\nclass D:\n    def __del__(self): os._exit(3)\na = D()\na.self = a\ndel a\nreturn 1",
    ),
    Act::new("gc callback", ANY, "", "import gc, os\ngc.callbacks.append(lambda *a: os._exit(3))\nreturn 1"),
    Act::new(
        "os.register_at_fork",
        ANY,
        "",
        "import os\nos.register_at_fork(before=lambda: os._exit(1), after_in_child=lambda: os._exit(2))\nreturn 1",
    ),
    Act::new(
        "audit hook",
        ANY,
        "",
        "import sys\ndef no(*a): raise RuntimeError('no')\nsys.addaudithook(no)\nreturn 1",
    ),
];

/// Values that misbehave while the answer is written.
pub const ANSWERS: &[Act] = &[
    Act::new(
        "items() without end",
        FAILS_OR_LATE,
        "",
        "class D(dict):\n    def items(self):\n        while True: yield ('a', 1)\n    __iter__ = keys = items\nreturn D(a=1)",
    ),
    Act::new(
        "tolist() that loops",
        ANY,
        "",
        "class A:\n    def tolist(self):\n        while True: pass\n    to_list = to_dict = isoformat = item = __iter__ = __float__ = __index__ = tolist\nreturn A()",
    ),
    Act::new(
        "tolist() that ends the process",
        ANY,
        "",
        "import os\nclass A:\n    def tolist(self): os._exit(3)\n    to_list = to_dict = isoformat = item = __iter__ = tolist\nreturn A()",
    ),
    Act::new(
        "a list that grows while it is read",
        ANY,
        "",
        "x = []\nclass S:\n    def __iter__(self):\n        x.append(S())\n        return iter([1])\nx.append(S())\nreturn x",
    ),
    Act::new(
        "a list that shrinks while it is read",
        ANY,
        "",
        "x = []\nclass S:\n    def __iter__(self):\n        x.clear()\n        return iter([1])\nx.extend([S(), 1, 2, 3])\nreturn x",
    ),
    Act::new(
        "an iterator that raises SystemExit",
        FAILS,
        "",
        "def g():\n    yield 1\n    raise SystemExit(3)\nreturn g()",
    ),
    Act::new(
        "a text of another class",
        ANY,
        "",
        "class S(str):\n    def __str__(self): raise KeyboardInterrupt\n    __repr__ = encode = __len__ = __str__\nreturn S('x')",
    ),
    Act::new(
        "a float of another class",
        ANY,
        "",
        "class F(float):\n    def __repr__(self): return '], \"forged\": ['\n    __str__ = __repr__\nreturn F(1.5)",
    ),
    Act::new(
        "an int of another class",
        ANY,
        "",
        "class I(int):\n    def __repr__(self): return 'forged'\n    __str__ = __repr__\nreturn I(1)",
    ),
    Act::new("a class that lies about itself", ANY, "", "class A:\n    __class__ = dict\nreturn A()"),
    Act::new(
        "memory that is gone",
        ANY,
        "",
        "import numpy, ctypes\nreturn numpy.ctypeslib.as_array((ctypes.c_double * 8).from_address(64))",
    ),
    Act::new(
        "an array of another shape than it says",
        ANY,
        "",
        "import numpy\na = numpy.lib.stride_tricks.as_strided(numpy.zeros(1), shape=(10 ** 7,), strides=(8,))\nreturn a",
    ),
];

#[test]
fn exceptions_that_end_programs() {
    each(USUAL, ample, EXCEPTIONS);
}

#[test]
fn exceptions_that_are_traps_themselves() {
    each(USUAL, ample, HOSTILE_EXCEPTIONS);
}

#[test]
fn deaths_of_the_process() {
    each(USUAL, ample, DEATHS);
}

#[test]
fn code_that_runs_afterwards() {
    each(USUAL, |builder| builder, AFTERWARDS);
}

#[test]
fn answers_that_are_traps() {
    each(USUAL, ample, ANSWERS);
}
