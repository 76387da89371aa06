//! Scripts that answer well and leave something that goes off later, in the middle of somebody
//! else's call if their process is used again. The good client calls on for as long as that takes.

use std::thread::sleep;
use std::time::Duration;

use crate::arena::{Act, Arena, ONE, rows};

const DONE: &[u16] = &[200];

pub const BOMBS: &[Act] = &[
    Act::new("signal.alarm", DONE, "1", "import signal\nsignal.alarm(1)\nreturn 1"),
    Act::new(
        "signal.alarm with a handler",
        DONE,
        "1",
        "import os, signal\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(1))\nsignal.alarm(1)\nreturn 1",
    ),
    Act::new(
        "setitimer",
        DONE,
        "1",
        "import signal\nfor t in (signal.ITIMER_REAL, signal.ITIMER_PROF, signal.ITIMER_VIRTUAL): signal.setitimer(t, 0.5, 0.5)\nreturn 1",
    ),
    Act::new(
        "timer_create",
        &[200, 500],
        "",
        "import ctypes\nc = ctypes.CDLL('librt.so.1')\nt = ctypes.c_void_p()\nc.timer_create(0, None, ctypes.byref(t))\nc.timer_settime(t, 0, (ctypes.c_long * 4)(0, 0, 0, 500000000), None)\nreturn 1",
    ),
    Act::new(
        "faulthandler",
        DONE,
        "1",
        "import faulthandler\nfaulthandler.dump_traceback_later(1, exit=True)\nreturn 1",
    ),
    Act::new(
        "a thread that ends the process",
        DONE,
        "1",
        "import os, threading, time\ndef later():\n    time.sleep(0.7)\n    os._exit(0)\nthreading.Thread(target=later).start()\nreturn 1",
    ),
    Act::new(
        "a timer",
        DONE,
        "1",
        "import os, threading\nthreading.Timer(0.7, os._exit, (1,)).start()\nreturn 1",
    ),
    Act::new(
        "a child that kills its parent",
        DONE,
        "1",
        "import os, signal, time\nparent = os.getpid()\nif os.fork() == 0:\n    time.sleep(0.7)\n    if os.getppid() == parent: os.kill(parent, signal.SIGKILL)\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "a child that stops its parent",
        DONE,
        "1",
        "import os, signal, time\nparent = os.getpid()\nif os.fork() == 0:\n    time.sleep(0.7)\n    if os.getppid() == parent: os.kill(parent, signal.SIGSTOP)\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "processor time",
        DONE,
        "1",
        "import resource, time\nu = int(time.process_time())\nresource.setrlimit(resource.RLIMIT_CPU, (u + 1, u + 1))\nreturn 1",
    ),
    Act::new(
        "a thread that raises in the main one",
        &[200, 500],
        "",
        "import ctypes, threading, time\nmain = threading.main_thread().ident\ndef later():\n    for _ in range(200):\n        time.sleep(0.01)\n        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), ctypes.py_object(SystemExit))\nthreading.Thread(target=later, daemon=True).start()\nreturn 1",
    ),
    Act::new(
        "a pending call",
        &[200, 500],
        "",
        "import ctypes\nf = ctypes.pythonapi._exit if hasattr(ctypes.pythonapi, '_exit') else None\nctypes.pythonapi.Py_AddPendingCall(ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p), None)\nreturn 1",
    ),
    Act::new(
        "SIGIO on a pipe",
        DONE,
        "1",
        "import fcntl, json, os, signal\nr, w = os.pipe()\njson.kept = (r, w)\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getpid())\nfcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\nif os.fork() == 0:\n    import time\n    time.sleep(0.5)\n    os.write(w, b'x')\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "memory that grows in a thread",
        DONE,
        "1",
        "import threading, time\ndef later():\n    x = []\n    for _ in range(60):\n        x.append(b'x' * (10 * 2 ** 20))\n        time.sleep(0.02)\n    time.sleep(5)\nthreading.Thread(target=later, daemon=True).start()\nreturn 1",
    ),
    Act::new(
        "a garbage collection with a trap",
        &[200, 500],
        "",
        "import gc, os\nclass D:\n    def __del__(self): os._exit(1)\nd = D()\nd.d = d\nd = None\nreturn 1",
    ),
    Act::new(
        "an audit hook that waits",
        &[200, 500],
        "",
        "import os, sys, time\nend = time.time() + 0.7\ndef hook(*a):\n    if time.time() > end: os._exit(1)\nsys.addaudithook(hook)\nreturn 1",
    ),
];

#[test]
fn what_goes_off_later_hits_nobody_else() {
    let start = || Arena::start(ONE, |builder| builder.env("TABPY_WORKER_MEMORY_MB", "300"));
    rows(BOMBS.iter().map(|act| (act.name, act)), start, |arena, act| {
        let marker = arena.marker();
        for _ in 0..2 {
            arena.answer(act, &marker);
            sleep(Duration::from_millis(1500));
        }
        arena.holds(act.name, &marker);
    });
}
