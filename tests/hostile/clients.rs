//! Clients that leave: what they asked for is ended within 5 s, with all that it started, and the
//! room is others' again.

use std::thread::sleep;
use std::time::Duration;

use crate::arena::{Arena, Workers};
use crate::support::{PATIENCE, processes, wait_for};

const LONG: &str = "60";

#[test]
fn the_script_of_a_client_that_left_is_gone() {
    let arena = Arena::start(Workers(2, 6), |builder| builder.env("TABPY_EVALUATE_TIMEOUT", LONG));
    for (name, rest) in [
        ("a loop", "while True: pass"),
        ("a sleep that keeps Python's lock", "ctypes.PyDLL(None).sleep(60)"),
        (
            "a script that ignores signals",
            "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
        ),
        ("a child", "import subprocess\nsubprocess.run(['sleep', 'MARK'])"),
        (
            "a detached child",
            "import subprocess\nsubprocess.Popen(['sleep', 'MARK'], start_new_session=True)\nwhile True: pass",
        ),
        ("a child in its stead", "import os, time\nif os.fork() == 0:\n    os.setsid()\ntime.sleep(60)"),
    ] {
        let marker = arena.marker();
        let script = format!("import ctypes\nctypes.CDLL(None).prctl(15, b'MARK', 0, 0, 0)\n{rest}")
            .replace("MARK", &marker);
        let crowd: Vec<_> = (0..4).map(|_| arena.begin(&script)).collect();
        let begun = wait_for(PATIENCE, || (processes::with_name(&marker).len() >= 4).then_some(()));
        assert!(begun.is_some(), "{name}: the scripts never ran");
        drop(crowd);
        let gone = wait_for(PATIENCE, || processes::with_name(&marker).is_empty().then_some(()));
        assert!(gone.is_some(), "{name}: the scripts run on");
        arena.holds(name, &marker);
    }
}

#[test]
fn requests_that_wait_are_forgotten_when_their_client_leaves() {
    let arena = Arena::start(Workers(1, 2), |builder| builder.env("TABPY_EVALUATE_TIMEOUT", LONG));
    let marker = arena.marker();
    let script =
        format!("import ctypes\nctypes.CDLL(None).prctl(15, b'{marker}', 0, 0, 0)\nwhile True: pass");
    let crowd: Vec<_> = (0..40).map(|_| arena.begin(&script)).collect();
    let begun = wait_for(PATIENCE, || (processes::with_name(&marker).len() >= 2).then_some(()));
    assert!(begun.is_some(), "the scripts never ran");
    drop(crowd);
    let gone = wait_for(PATIENCE, || processes::with_name(&marker).is_empty().then_some(()));
    assert!(gone.is_some(), "scripts of clients that left run on");
    arena.recovers("40 clients that left", &marker);
    // None of them may start afterwards.
    sleep(Duration::from_secs(1));
    assert!(processes::with_name(&marker).is_empty());
    arena.recovers("later", &marker);
}

#[test]
fn clients_that_leave_in_the_middle_of_the_answer() {
    let arena = Arena::start(Workers(2, 4), |builder| builder);
    for _ in 0..20 {
        let mut connection = arena.begin("return ['x' * 1000] * 5000");
        connection.read_head().unwrap();
        drop(connection);
    }
    arena.holds("20 that left", &arena.marker());
}
