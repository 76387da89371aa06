//! Scripts that never end by themselves: the deadline's answer at once, their process gone, and
//! room for others all the while.

use std::thread;
use std::time::{Duration, Instant};

use crate::arena::{Act, Arena, DEADLINE, USUAL, Workers, each, judge};
use crate::support::{Connection, PATIENCE};

const LATE: &[u16] = &[408];
const TOO_SLOW: &str = "User defined script timed out. Timeout is set to 3.0 s.";

pub const LOOPS: &[Act] = &[
    Act::new("endless loop", LATE, TOO_SLOW, "while True: pass"),
    Act::new(
        "swallowed exceptions",
        LATE,
        TOO_SLOW,
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
    ),
    Act::new(
        "finally that loops",
        LATE,
        TOO_SLOW,
        "def f():\n    try:\n        while True: pass\n    finally:\n        f()\nf()",
    ),
    Act::new("a sum without end", LATE, TOO_SLOW, "return sum(range(10 ** 13))"),
    Act::new("a power without end", LATE, TOO_SLOW, "x = 10 ** 8\nreturn len(str(7 ** x))"),
    Act::new("a regular expression", LATE, TOO_SLOW, "import re\nre.match(r'(a+)+$', 'a' * 50 + 'b')"),
    Act::new(
        "settrace that loops",
        LATE,
        TOO_SLOW,
        "import sys\ndef trace(*a):\n    while True: pass\nsys.settrace(trace)\ndef f(): pass\nf()",
    ),
    Act::new(
        "a greedy thread",
        LATE,
        TOO_SLOW,
        "import sys, threading\nsys.setswitchinterval(10 ** 6)\ndef loop():\n    while True: pass\nfor _ in range(4): threading.Thread(target=loop).start()\nloop()",
    ),
    Act::new(
        "an import that loops",
        LATE,
        TOO_SLOW,
        "import sys\nclass F:\n    def find_spec(self, *a):\n        while True: pass\nsys.meta_path.insert(0, F())\nimport colorsys",
    ),
];

pub const SLEEPS: &[Act] = &[
    Act::new("sleep", LATE, TOO_SLOW, "import time\ntime.sleep(3600)"),
    Act::new("sleep in C", LATE, TOO_SLOW, "import ctypes\nc = ctypes.CDLL(None)\nwhile True: c.sleep(3600)"),
    Act::new(
        "sleep in C that keeps Python's lock",
        LATE,
        TOO_SLOW,
        "import ctypes\nc = ctypes.PyDLL(None)\nwhile True: c.sleep(3600)",
    ),
    Act::new("pause", LATE, TOO_SLOW, "import ctypes\nctypes.PyDLL(None).pause()"),
    Act::new(
        "SIGSTOP to itself",
        LATE,
        TOO_SLOW,
        "import os, signal\nwhile True: os.kill(os.getpid(), signal.SIGSTOP)",
    ),
    Act::new(
        "all signals blocked",
        LATE,
        TOO_SLOW,
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: time.sleep(3600)",
    ),
    Act::new(
        "traced by nobody",
        LATE,
        TOO_SLOW,
        "import ctypes, os, signal, time\nctypes.CDLL(None).ptrace(0, 0, 0, 0)\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(3600)",
    ),
    Act::new(
        "a lock taken twice",
        LATE,
        TOO_SLOW,
        "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()",
    ),
    Act::new(
        "a thread joined that never ends",
        LATE,
        TOO_SLOW,
        "import threading\ne = threading.Event()\nt = threading.Thread(target=e.wait)\nt.start()\nt.join()",
    ),
    Act::new("a pipe that nobody writes to", LATE, TOO_SLOW, "import os\nr, w = os.pipe()\nos.read(r, 1)"),
    Act::new(
        "a connection that nobody makes",
        LATE,
        TOO_SLOW,
        "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('')\ns.listen()\ns.accept()",
    ),
    Act::new(
        "a child that never ends",
        LATE,
        TOO_SLOW,
        "import subprocess\nsubprocess.run(['sleep', 'MARK'])",
    ),
    Act::new(
        "a child with all signals blocked",
        LATE,
        TOO_SLOW,
        "import subprocess, signal\nsubprocess.run(['sh', '-c', 'trap \"\" TERM INT HUP; sleep MARK; sleep MARK'], start_new_session=True)",
    ),
    Act::new("a lower priority", LATE, TOO_SLOW, "import os\nos.nice(19)\nwhile True: pass"),
];

#[test]
fn loops_end_at_the_deadline() {
    each(USUAL, |builder| builder, LOOPS);
}

#[test]
fn sleeps_in_python_and_in_c_end_at_the_deadline() {
    each(USUAL, |builder| builder, SLEEPS);
}

fn begin(arena: &Arena, count: usize, script: &str) -> Vec<Connection> {
    (0..count).map(|_| arena.begin(script)).collect()
}

#[test]
fn more_loops_than_kept_workers_slow_nobody() {
    let arena = Arena::start(Workers(2, 8), |builder| builder);
    for name in ["6 loops, 2 workers kept", "again"] {
        let mut loops = begin(&arena, 6, "while True: pass");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(DEADLINE) / 2 {
            assert_eq!(arena.get("/info").status, 200);
            thread::sleep(Duration::from_millis(50));
        }
        for connection in &mut loops {
            judge(&LOOPS[0], &arena.read(connection).unwrap());
        }
        assert!(started.elapsed() < Duration::from_secs(DEADLINE) + PATIENCE);
        arena.holds(name, &arena.marker());
    }
}

#[test]
fn more_loops_than_workers_may_ever_be_are_survived() {
    let arena = Arena::start(USUAL, |builder| builder);
    let mut loops = begin(&arena, 12, "while True: pass");
    let started = Instant::now();
    // /info waits for no worker.
    while started.elapsed() < Duration::from_secs(DEADLINE) {
        let asked = Instant::now();
        assert_eq!(arena.get("/info").status, 200);
        assert!(asked.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(50));
    }
    let act = Act::new("12 loops, 4 workers at most", &[408, 503], "", "");
    let answers: Vec<u16> = loops
        .iter_mut()
        .map(|connection| {
            let answer = arena.read(connection).unwrap();
            judge(&act, &answer);
            answer.status
        })
        .collect();
    let ran = answers.iter().filter(|status| **status == 408).count();
    assert!(ran >= 4, "{answers:?}");
    let calls = arena.recovers(act.name, &arena.marker());
    eprintln!("figures: {}: {} good calls were asked to come later", act.name, calls.turned_away.len());
}

#[test]
fn sleepers_do_not_keep_quick_calls_waiting() {
    let arena = Arena::start(Workers(1, 6), |builder| builder);
    let mut sleepers = begin(&arena, 5, "import time\ntime.sleep(2)\nreturn 'slept'");
    thread::sleep(Duration::from_millis(300));
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let asked = Instant::now();
        assert_eq!(arena.value("return 1"), "1");
        slowest = slowest.max(asked.elapsed());
    }
    eprintln!("figures: quick calls beside 5 sleepers: slowest {} ms", slowest.as_millis());
    for connection in &mut sleepers {
        arena.read(connection).unwrap().is(200, "\"slept\"");
    }
    arena.holds("5 sleepers", &arena.marker());
}
