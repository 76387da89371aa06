//! Scripts that take memory, in one piece, bit by bit and in children, and what is still allowed.
//! Each takes at most 2 GB, so that a server without a limit does the machine no harm.

use crate::arena::{Act, Arena, USUAL, ample, each, rows};
use crate::support::Builder;

const FAILS: &[u16] = &[500];
const SETTING: &str = "TABPY_WORKER_MEMORY_MB";

pub const TAKES: &[Act] = &[
    Act::new("one piece", FAILS, SETTING, "x = b'x' * (1200 * 2 ** 20)\nreturn len(x)"),
    Act::new("a piece larger than any machine", FAILS, "MemoryError", "return len(bytearray(10 ** 15))"),
    Act::new(
        "bit by bit",
        FAILS,
        SETTING,
        "x = []\nfor _ in range(1200): x.append(b'x' * 2 ** 20)\nreturn len(x)",
    ),
    Act::new("small objects", FAILS, SETTING, "return len([float(i) for i in range(20 * 10 ** 6)])"),
    Act::new("numpy", FAILS, SETTING, "import numpy\nreturn float(numpy.ones(130 * 10 ** 6).sum())"),
    Act::new(
        "an anonymous mapping",
        FAILS,
        SETTING,
        "import mmap\nm = mmap.mmap(-1, 1000 * 2 ** 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\nfor i in range(0, len(m), 4096): m[i] = 1\nreturn 1",
    ),
    Act::new(
        "a shared mapping",
        FAILS,
        SETTING,
        "import mmap\nm = mmap.mmap(-1, 1000 * 2 ** 20)\nfor i in range(0, len(m), 4096): m[i] = 1\nreturn 1",
    ),
    Act::new(
        "a file in memory",
        FAILS,
        "",
        "import os\nf = os.memfd_create('x')\nfor _ in range(1000): os.write(f, b'x' * 2 ** 20)\nimport time\ntime.sleep(10)\nraise ValueError('nothing stopped it')",
    ),
    Act::new(
        "MemoryError swallowed",
        &[500, 408],
        "",
        "x = []\nimport time\nend = time.time() + 20\nwhile time.time() < end and len(x) < 1500:\n    try: x.append(b'x' * 2 ** 20)\n    except MemoryError: pass\nreturn len(x)",
    ),
    Act::new(
        "in threads",
        FAILS,
        SETTING,
        "import threading\nkept = []\ndef take():\n    for _ in range(100): kept.append(b'x' * 2 ** 20)\nt = [threading.Thread(target=take) for _ in range(10)]\nfor x in t: x.start()\nfor x in t: x.join()\nreturn len(kept) if len(kept) >= 1000 else kept[10 ** 9]",
    ),
    Act::new(
        "in forked children",
        FAILS,
        SETTING,
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = b'x' * (150 * 2 ** 20)\n        time.sleep(20)\n        os._exit(0)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "in other programs",
        FAILS,
        SETTING,
        "import subprocess, sys\np = [subprocess.Popen(['python3', '-c', 'x = b\"x\" * (150 * 2 ** 20); import time; time.sleep(20)', 'MARK']) for _ in range(6)]\nimport time\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "in a grandchild of another session",
        FAILS,
        SETTING,
        // As much as the kernel's limit on each process lets it have, which is more than is allowed.
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        x = b'x' * (450 * 2 ** 20)\n        time.sleep(20)\n    os._exit(0)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "in a grandchild of another session, twice detached",
        FAILS,
        SETTING,
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n            x = b'x' * (450 * 2 ** 20)\n            time.sleep(20)\n        os._exit(0)\n    os._exit(0)\nos.wait()\ntime.sleep(10)\nreturn 1",
    ),
    Act::new("the answer's text", &[500, 408], "", "return ['x' * 1000] * (600 * 1000)"),
    Act::new(
        "C's malloc",
        FAILS,
        "",
        "import ctypes\nc = ctypes.CDLL(None)\nc.malloc.restype = ctypes.c_void_p\nfor _ in range(100):\n    p = c.malloc(10 * 2 ** 20)\n    if not p: raise MemoryError('malloc')\n    ctypes.memset(p, 1, 10 * 2 ** 20)\nimport time\ntime.sleep(1)\nreturn 1",
    ),
];

pub fn limited(builder: Builder) -> Builder {
    ample(builder).env("TABPY_WORKER_MEMORY_MB", "300")
}

#[test]
fn too_much_memory_is_an_error_that_names_the_setting() {
    each(USUAL, limited, TAKES);
}

#[test]
fn memory_under_the_limit_is_there() {
    let arena = Arena::start(USUAL, limited);
    for script in [
        "x = b'x' * (150 * 2 ** 20)\nreturn 1",
        "import numpy\nnumpy.ones(15 * 10 ** 6).sum()\nreturn 1",
        // Address space is no memory.
        "import mmap\nm = mmap.mmap(-1, 20 * 2 ** 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ)\nreturn 1",
        "import sklearn.linear_model\nreturn 1",
        // What is read through pages of the parent's is not its own.
        "import subprocess\nreturn subprocess.run(['python3', '-c', 'print(1)'], capture_output=True).returncode + 1",
    ] {
        assert_eq!(arena.value(script), "1", "{script}");
    }
    arena.holds("150 MB of 300", &arena.marker());
}

#[test]
fn memory_kept_from_call_to_call_does_not_add_up() {
    let arena = Arena::start(USUAL, limited);
    let keeps = [
        "import json\njson.kept = getattr(json, 'kept', []) + [b'x' * (60 * 2 ** 20)]\nreturn 1",
        "import builtins\nbuiltins.kept = getattr(builtins, 'kept', []) + [b'x' * (60 * 2 ** 20)]\nreturn 1",
        "import ctypes\nc = ctypes.CDLL(None)\nc.malloc.restype = ctypes.c_void_p\nctypes.memset(c.malloc(60 * 2 ** 20), 1, 60 * 2 ** 20)\nreturn 1",
        "class A: pass\nimport gc\ngc.disable()\na = A()\na.a = a\na.b = b'x' * (60 * 2 ** 20)\nreturn 1",
    ];
    for script in keeps {
        for _ in 0..15 {
            assert_eq!(arena.value(script), "1", "{script}");
        }
        arena.holds("60 MB kept 15 times", &arena.marker());
    }
}

/// What is small as JSON and large as objects counts as the script's memory, and hurts nobody.
#[test]
fn a_body_that_grows_in_the_worker_is_that_requests_error() {
    let bodies =
        [("empty lists", "[]"), ("empty objects", "{}"), ("numbers", "1e5"), ("texts", "\"\\u20ac\"")];
    rows(
        bodies.into_iter(),
        || Arena::start(USUAL, limited),
        |arena, value| {
            let values = vec![value; 20 * 1024 * 1024 / (value.len() + 1)].join(",");
            let body = format!(r#"{{"script": "return len(_arg1)", "data": {{"_arg1": [{values}]}}}}"#);
            let request = crate::support::Request::post("/evaluate", body)
                .login(crate::arena::USER, crate::arena::PASSWORD);
            let answer = arena.server().send(&request);
            match answer.status {
                200 => {}
                408 => drop(answer.error(408)),
                status => {
                    let (message, info) = answer.error(status);
                    assert_eq!(status, 500, "{message} {info}");
                    assert!(format!("{message} {info}").contains(SETTING), "{message} {info}");
                }
            }
            arena.holds("a body of 20 MB", &arena.marker());
        },
    );
}
