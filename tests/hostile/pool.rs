//! The pool itself: it grows and shrinks, turns away what it cannot take, replaces what dies, and
//! ends in order. After each event come 1,000 quick calls, none of which fails.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::arena::{Act, Arena, DEADLINE, ONE, USUAL, Workers, ample, judge};
use crate::support::processes::{self, Process};
use crate::support::server::assert_gone;
use crate::support::{Connection, PATIENCE, START_PATIENCE, wait_for};

const LOOP: &str = "while True: pass";

fn thousand_quick_calls(arena: &Arena, name: &str) {
    let mut connection = arena.connect();
    let mut slowest = Duration::ZERO;
    for value in 0..1000 {
        let asked = Instant::now();
        connection
            .send(&arena.request("return _arg1", json!({"_arg1": [value]})))
            .is(200, &format!("[{value}]"));
        slowest = slowest.max(asked.elapsed());
    }
    eprintln!("figures: 1,000 quick calls after {name}: slowest {} ms", slowest.as_millis());
    arena.holds(name, &arena.marker());
}

/// The processes below the server by number and start.
fn family(arena: &Arena) -> Vec<Process> {
    processes::descendants(arena.front())
}

#[test]
fn it_grows_to_its_most_and_shrinks_again() {
    let arena = Arena::start(Workers(1, 6), |builder| builder);
    let mut sleepers: Vec<Connection> = (0..5)
        .map(|_| arena.begin("import time\na = time.time()\ntime.sleep(2)\nreturn [a, time.time()]"))
        .collect();
    thread::sleep(Duration::from_millis(500));
    let asked = Instant::now();
    assert_eq!(arena.value("return 1"), "1");
    eprintln!("figures: a quick call beside 5 sleepers: {} ms", asked.elapsed().as_millis());
    let times: Vec<(f64, f64)> = sleepers
        .iter_mut()
        .map(|connection| serde_json::from_slice(&arena.read(connection).unwrap().body).unwrap())
        .collect();
    let last_start = times.iter().map(|time| time.0).fold(f64::MIN, f64::max);
    let first_end = times.iter().map(|time| time.1).fold(f64::MAX, f64::min);
    assert!(last_start < first_end, "they ran one after the other: {times:?}");
    thousand_quick_calls(&arena, "growth");
    let started = Instant::now();
    let grown = family(&arena).len();
    let shrunk = wait_for(Duration::from_secs(100), || (family(&arena).len() < grown).then_some(()));
    assert!(shrunk.is_some(), "{grown} processes after 100 s, {} at the start", arena.before().processes);
    eprintln!("figures: the pool shrank after {} s", started.elapsed().as_secs());
    arena.holds("shrinking", &arena.marker());
}

#[test]
fn beyond_the_queue_is_a_503_at_once() {
    let arena = Arena::start(ONE, |builder| builder.env("TABPY_QUEUE_SIZE", "3"));
    let mut running = arena.begin("import time\ntime.sleep(2)\nreturn 'slept'");
    thread::sleep(Duration::from_millis(300));
    let mut crowd: Vec<Connection> = (0..20).map(|_| arena.begin("return 1")).collect();
    let asked = Instant::now();
    let answers: Vec<_> = thread::scope(|scope| {
        let read = |connection| (arena.read(connection).unwrap(), asked.elapsed());
        let readers: Vec<_> =
            crowd.iter_mut().map(|connection| scope.spawn(move || read(connection))).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let mut turned_away = 0;
    for (answer, after) in answers {
        if answer.status == 503 {
            turned_away += 1;
            judge(&Act::new("queue", &[503], "TABPY_QUEUE_SIZE", ""), &answer);
            assert!(answer.header("Retry-After").unwrap().parse::<u32>().unwrap() >= 1);
            assert!(after < Duration::from_millis(1500), "it waited before it was turned away");
        } else {
            answer.is(200, "1");
        }
    }
    // The good client may hold a place of the three.
    assert!((17..=18).contains(&turned_away), "{turned_away} of 20 turned away");
    arena.read(&mut running).unwrap().is(200, "\"slept\"");
    arena.recovers("a full queue", &arena.marker());
    thousand_quick_calls(&arena, "a full queue");
}

#[test]
fn a_request_that_never_started_says_so_at_its_deadline() {
    let arena = Arena::start(ONE, |builder| builder);
    let mut crowd: Vec<Connection> = (0..6).map(|_| arena.begin(LOOP)).collect();
    let started = Instant::now();
    let mut late = 0;
    for connection in &mut crowd {
        let answer = arena.read(connection).unwrap();
        assert!(started.elapsed() < Duration::from_secs(DEADLINE) + PATIENCE);
        judge(&Act::new("queued", &[408, 503], "", ""), &answer);
        if answer.status == 503 {
            judge(&Act::new("queued", &[503], "TABPY_MAX_WORKERS", ""), &answer);
        } else {
            late += 1;
        }
    }
    assert!((1..=2).contains(&late), "{late} of 6 loops ran with one worker");
    arena.recovers("a queue of loops", &arena.marker());
    thousand_quick_calls(&arena, "a queue of loops");
}

#[test]
fn whatever_is_killed_from_outside_is_replaced() {
    let arena = Arena::start(USUAL, ample);
    let members = family(&arena);
    let is_parent = |process: &Process| !processes::descendants(process.pid).is_empty();
    eprintln!(
        "killing {} processes, {} of them parents of others",
        members.len(),
        members.iter().filter(|p| is_parent(p)).count()
    );
    for (number, process) in members.iter().enumerate() {
        process.kill();
        let killed = Instant::now();
        let works = wait_for(PATIENCE, || {
            let answer = arena.evaluate("return 1", json!({}));
            if answer.status != 200 {
                answer.error(answer.status);
            }
            (answer.status == 200).then_some(())
        });
        assert!(works.is_some(), "nothing works after the kill; log:\n{}", arena.server().log());
        assert!(killed.elapsed() < START_PATIENCE, "{:?}", killed.elapsed());
        eprintln!("figures: works {} ms after the kill of process {number}", killed.elapsed().as_millis());
        // Calls that ran in the killed process were lost; no others may be.
        let lost = arena.good_calls();
        assert!(lost.failures.len() <= 2, "{:?}", lost.failures);
        let healthy = wait_for(PATIENCE, || (arena.good_calls().failures.is_empty()).then_some(()));
        assert!(healthy.is_some());
        thousand_quick_calls(&arena, "a kill from outside");
    }
    // All at once.
    family(&arena).into_iter().for_each(Process::kill);
    let works = wait_for(PATIENCE, || (arena.evaluate("return 1", json!({})).status == 200).then_some(()));
    assert!(works.is_some(), "nothing works after all were killed");
    thread::sleep(Duration::from_millis(500));
    arena.good_calls();
    thousand_quick_calls(&arena, "a kill of all");
}

/// Stopped, a process is neither dead nor of use.
#[test]
fn whatever_is_stopped_from_outside_is_replaced() {
    let arena = Arena::start(USUAL, |builder| builder);
    for process in family(&arena) {
        processes::signal(process.pid, Signal::STOP);
        let works =
            wait_for(PATIENCE * 2, || (arena.evaluate("return 1", json!({})).status == 200).then_some(()));
        assert!(works.is_some(), "nothing works after {:?} was stopped", process.command_line());
        thread::sleep(Duration::from_millis(500));
        let calls = arena.good_calls();
        // A call that runs in a stopped worker ends at its deadline.
        assert!(calls.failures.len() <= 2, "{:?}", calls.failures);
    }
    family(&arena).iter().for_each(|process| processes::signal(process.pid, Signal::CONT));
    thread::sleep(Duration::from_secs(DEADLINE + 1));
    arena.good_calls();
    thousand_quick_calls(&arena, "stops from outside");
}

#[test]
fn workers_are_recycled_after_their_number_of_requests() {
    let arena = Arena::start(USUAL, |builder| builder.env("TABPY_WORKER_REQUESTS", "50"));
    let numbers = |family: Vec<Process>| family.iter().map(|process| process.pid).collect::<BTreeSet<u32>>();
    let before = numbers(family(&arena));
    for round in 0..4 {
        let mut connection = arena.connect();
        for value in 0..100 {
            let request = arena.request("return _arg1", json!({"_arg1": [value]}));
            connection.send(&request).is(200, &format!("[{value}]"));
        }
        arena.holds(&format!("round {round} of 100 calls"), &arena.marker());
    }
    let after = numbers(family(&arena));
    assert!(
        after.difference(&before).count() >= 1,
        "the same processes after 400 calls: {before:?} {after:?}"
    );
    thousand_quick_calls(&arena, "recycling");
}

#[test]
fn a_worker_that_grew_is_retired() {
    let arena = Arena::start(ONE, |builder| {
        builder.env("TABPY_WORKER_MEMORY_MB", "200").env("TABPY_EVALUATE_TIMEOUT", "6")
    });
    // Loggers are kept for ever, with their names.
    let grows = "import logging, time\nfor n in range(60): logging.getLogger(str(time.time()) + 'x' * 2 ** 20)\nreturn 1";
    let pids = || family(&arena).iter().map(|process| process.pid).collect::<BTreeSet<u32>>();
    // More than the limit in all, and half of it each second time.
    for _ in 0..3 {
        let before = pids();
        arena.evaluate(grows, json!({})).is(200, "1");
        arena.evaluate(grows, json!({})).is(200, "1");
        let replaced = wait_for(PATIENCE, || (!pids().is_subset(&before)).then_some(()));
        assert!(replaced.is_some(), "120 MB stay in use");
    }
    thousand_quick_calls(&arena, "growth of a worker");
}

#[test]
fn sigterm_lets_calls_finish_beside_hostile_ones() {
    for times in [1, 2, 5] {
        let mut arena = Arena::start(Workers(3, 4), |builder| builder);
        let mut good = arena.begin("import time\ntime.sleep(1.5)\nreturn 'finished'");
        let mut hostile = arena
            .begin("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass");
        let marker = arena.marker();
        let mut detached = arena.begin(&format!(
            "import subprocess, time\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)\ntime.sleep(60)"
        ));
        let begun = wait_for(PATIENCE, || (!processes::with_argument(&marker).is_empty()).then_some(()));
        assert!(begun.is_some());
        let members = family(&arena);
        let mut server = arena.take_server();
        for _ in 0..times {
            server.signal(Signal::TERM);
            members.iter().for_each(|process| processes::signal(process.pid, Signal::TERM));
            thread::sleep(Duration::from_millis(100));
        }
        good.read().unwrap().is(200, "\"finished\"");
        hostile.read().unwrap().error(408);
        detached.read().unwrap().error(408);
        let ended = wait_for(PATIENCE, || {
            Process::of(server.pid()).is_none_or(|process| !process.runs()).then_some(())
        });
        assert!(ended.is_some(), "it does not end");
        assert_eq!(server.wait(), Some(0), "{}", server.log());
        assert_gone(&members);
        assert!(processes::with_argument(&marker).is_empty());
    }
}

/// Nothing tells the workers but the kernel, and a script may have asked it not to.
#[test]
fn workers_die_with_a_server_that_is_killed() {
    for script in [
        "import time\ntime.sleep(60)",
        "while True: pass",
        "import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\nwhile True: pass",
        "import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\nctypes.PyDLL(None).sleep(60)",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.fork()\ntime.sleep(60)",
        "import subprocess\nsubprocess.run(['sleep', 'MARK'], start_new_session=True)",
    ] {
        let mut arena = Arena::start(USUAL, |builder| builder.env("TABPY_EVALUATE_TIMEOUT", "60"));
        let marker = arena.marker();
        let _running = arena.begin(&script.replace("MARK", &marker));
        // A call before that tried to outlive its parent: refused where workers are confined.
        let tried = arena.evaluate("import ctypes\nreturn ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)", json!({}));
        assert!(["0", "-1"].contains(&tried.text().as_str()), "{}", tried.text());
        thread::sleep(Duration::from_millis(700));
        let members = family(&arena);
        let mut server = arena.take_server();
        let killed = Instant::now();
        server.signal(Signal::KILL);
        assert_eq!(server.wait(), None);
        let gone = wait_for(PATIENCE, || members.iter().all(|process| !process.runs()).then_some(()));
        let left = || members.iter().filter(|p| p.runs()).map(|p| p.command_line()).collect::<Vec<_>>();
        assert!(gone.is_some(), "left after {script:?}: {:?}", left());
        eprintln!("figures: all gone {} ms after kill -9 of the server", killed.elapsed().as_millis());
    }
}
