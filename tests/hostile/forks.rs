//! Scripts that start processes and threads: too many, detached, in flight from being killed. Each
//! bounds itself by a count and a time, so that a server without a limit does the machine no harm.

use crate::arena::{Act, Arena, USUAL, each};
use crate::memory;
use crate::support::Builder;

const FAILS: &[u16] = &[500];
const DONE: &[u16] = &[200];
const ANY: &[u16] = &[200, 500, 408];
const SETTING: &str = "TABPY_SCRIPT_PROCESSES";

pub const TOO_MANY: &[Act] = &[
    Act::new(
        "fork bomb",
        &[500, 408],
        "",
        "import mmap, os, time\ncount = mmap.mmap(-1, 4096)\nend = time.time() + 8\nme = os.getpid()\n\
         while time.time() < end and sum(count[:200]) < 120:\n    \
             n = sum(count[:200])\n    count[n % 200] = 1\n    \
             try: os.fork()\n    except OSError: time.sleep(0.01)\n    time.sleep(0.002)\n\
         if os.getpid() != me:\n    time.sleep(20)\n    os._exit(0)\ntime.sleep(10)\nreturn sum(count[:200])",
    ),
    Act::new(
        "children without end",
        FAILS,
        SETTING,
        "import os, time\nfor _ in range(120):\n    if os.fork() == 0:\n        time.sleep(20)\n        os._exit(0)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "programs without end",
        FAILS,
        SETTING,
        "import subprocess, time\np = [subprocess.Popen(['sleep', 'MARK'], start_new_session=True) for _ in range(120)]\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "a chain of children whose parents leave",
        ANY,
        "",
        "import os, time\nend = time.time() + 6\nif os.fork() == 0:\n    n = 0\n    while time.time() < end and n < 400:\n        n += 1\n        os.setsid() if n % 2 else None\n        if os.fork(): os._exit(0)\n        time.sleep(0.01)\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "threads without end",
        ANY,
        "",
        "import threading, time\nfor _ in range(300): threading.Thread(target=time.sleep, args=(20,)).start()\nreturn 1",
    ),
];

pub const LEFT: &[Act] = &[
    Act::new("a child", DONE, "1", "import subprocess\nsubprocess.Popen(['sleep', 'MARK'])\nreturn 1"),
    Act::new(
        "a child of another session",
        DONE,
        "1",
        "import subprocess\nsubprocess.Popen(['sleep', 'MARK'], start_new_session=True)\nreturn 1",
    ),
    Act::new(
        "a child that ignores signals",
        DONE,
        "1",
        "import subprocess\nsubprocess.Popen(['sh', '-c', 'trap \"\" TERM INT HUP PIPE; sleep MARK; sleep MARK'], start_new_session=True)\nreturn 1",
    ),
    Act::new(
        "a detached grandchild",
        DONE,
        "1",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execvp('sleep', ['sleep', 'MARK'])\n    os._exit(0)\nos.wait()\nreturn 1",
    ),
    Act::new(
        "a grandchild of Python",
        DONE,
        "1",
        "import ctypes, os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        ctypes.CDLL(None).prctl(15, b'MARK', 0, 0, 0)\n        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n        time.sleep(60)\n    os._exit(0)\nos.wait()\nreturn 1",
    ),
    Act::new(
        "a forked twin that goes on",
        ANY,
        "",
        "import ctypes, os, time\nif os.fork() == 0:\n    ctypes.CDLL(None).prctl(15, b'MARK', 0, 0, 0)\n    time.sleep(60)\nreturn 1",
    ),
    Act::new("a twin that answers, too", ANY, "", "import os\nos.fork()\nreturn 1"),
    Act::new(
        "a twin that raises",
        ANY,
        "",
        "import os\nif os.fork() == 0: raise ValueError('twin')\nreturn 1",
    ),
    Act::new(
        "a brother",
        ANY,
        "",
        "import ctypes, os, time\nc = ctypes.CDLL(None)\n# CLONE_PARENT: a child of the parent's.\nif c.syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:\n    c.prctl(15, b'MARK', 0, 0, 0)\n    c.prctl(1, 0, 0, 0, 0)\n    c.sleep(60)\n    c._exit(0)\nreturn 1",
    ),
    Act::new(
        "a child in a PID namespace of its own",
        ANY,
        "",
        "import ctypes, os, time\nc = ctypes.CDLL(None)\nc.unshare(0x20000000)\nif os.fork() == 0:\n    c.prctl(15, b'MARK', 0, 0, 0)\n    time.sleep(60)\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "a child that is stopped",
        DONE,
        "1",
        "import os, signal, subprocess\np = subprocess.Popen(['sleep', 'MARK'])\nos.kill(p.pid, signal.SIGSTOP)\nreturn 1",
    ),
    Act::new(
        "a zombie",
        DONE,
        "1",
        "import os, time\nif os.fork() == 0: os._exit(0)\ntime.sleep(0.1)\nreturn 1",
    ),
    Act::new(
        "a pool of processes",
        ANY,
        "",
        "import json, multiprocessing\njson.kept = multiprocessing.get_context('fork').Pool(3)\nreturn json.kept.map(abs, [-1])",
    ),
    Act::new(
        "an orphan when the script dies",
        FAILS,
        "",
        "import os, subprocess\nsubprocess.Popen(['sleep', 'MARK'], start_new_session=True)\nos._exit(3)",
    ),
    Act::new(
        "an orphan when the script is late",
        &[408],
        "",
        "import os, subprocess\nsubprocess.Popen(['sleep', 'MARK'], start_new_session=True)\nwhile True: pass",
    ),
    Act::new(
        "a child that holds all descriptors",
        DONE,
        "1",
        "import subprocess\nsubprocess.Popen(['sleep', 'MARK'], close_fds=False)\nreturn 1",
    ),
    Act::new(
        "one that forks while it is killed",
        ANY,
        "",
        "import ctypes, os, time\nend = time.time() + 6\nif os.fork() == 0:\n    os.setsid()\n    ctypes.CDLL(None).prctl(15, b'MARK', 0, 0, 0)\n    n = 0\n    while time.time() < end and n < 300:\n        n += 1\n        if os.fork() == 0:\n            os.setsid()\n            time.sleep(5)\n            os._exit(0)\n        time.sleep(0.02)\n    os._exit(0)\nreturn 1",
    ),
];

pub const THREADS: &[Act] = &[
    Act::new(
        "a runaway thread",
        DONE,
        "1",
        "import threading\ndef loop():\n    while True: pass\nthreading.Thread(target=loop).start()\nreturn 1",
    ),
    Act::new(
        "a runaway daemon thread",
        DONE,
        "1",
        "import threading\ndef loop():\n    while True: pass\nthreading.Thread(target=loop, daemon=True).start()\nreturn 1",
    ),
    Act::new(
        "a thread that Python does not know",
        DONE,
        "1",
        "import _thread, time\n_thread.start_new_thread(time.sleep, (60,))\nreturn 1",
    ),
    Act::new(
        "a thread of C",
        DONE,
        "1",
        "import ctypes\nc = ctypes.CDLL(None)\nt = ctypes.c_ulong()\nc.pthread_create(ctypes.byref(t), None, c.pause, None)\nreturn 1",
    ),
    Act::new(
        "a thread that takes memory",
        DONE,
        "1",
        "import threading, time\ndef take():\n    x = []\n    for _ in range(1500):\n        x.append(b'x' * 2 ** 20)\n        time.sleep(0.005)\nthreading.Thread(target=take, daemon=True).start()\nreturn 1",
    ),
    Act::new(
        "a thread that prints",
        DONE,
        "1",
        "import threading, time\ndef talk():\n    for _ in range(2000):\n        print('x' * 1000)\n        time.sleep(0.001)\nthreading.Thread(target=talk, daemon=True).start()\nreturn 1",
    ),
    Act::new(
        "an executor",
        DONE,
        "1",
        "import concurrent.futures, json, time\njson.kept = concurrent.futures.ThreadPoolExecutor(3)\njson.kept.submit(time.sleep, 60)\nreturn 1",
    ),
];

fn limited(builder: Builder) -> Builder {
    memory::limited(builder).env("TABPY_SCRIPT_PROCESSES", "32")
}

#[test]
fn too_many_processes_are_an_error_that_names_the_setting() {
    each(USUAL, limited, TOO_MANY);
}

#[test]
fn no_process_outlives_its_script() {
    each(USUAL, limited, LEFT);
}

#[test]
fn no_thread_outlives_its_script_for_long() {
    each(USUAL, limited, THREADS);
}

#[test]
fn ten_children_are_allowed() {
    let arena = Arena::start(USUAL, limited);
    let script = "import subprocess\np = [subprocess.Popen(['sleep', '0.3']) for _ in range(10)]\nreturn [x.wait() for x in p]";
    assert_eq!(arena.value(script), "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]");
    arena.holds("10 children", &arena.marker());
}
