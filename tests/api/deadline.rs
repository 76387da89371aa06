//! Slow scripts: the answer at the deadline, the worker behind it, and everybody else meanwhile.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Connection, PATIENCE, Request, Response, Server, processes, server::assert_gone, wait_for,
};

const LOOP: &str = "while True: pass";

fn timeout_text(seconds: &str) -> String {
    format!(r#"{{"message": "User defined script timed out. Timeout is set to {seconds} s.", "info": {{}}}}"#)
}

/// Sends the request on connections of their own, all at once, and collects the answers.
fn at_once(server: &Server, count: usize, request: &Request) -> Vec<Response> {
    let mut connections: Vec<Connection> = (0..count).map(|_| server.connect()).collect();
    for connection in &mut connections {
        let bytes = request.bytes(connection.host());
        connection.write(&bytes).unwrap();
    }
    connections.iter_mut().map(|connection| connection.read().unwrap()).collect()
}

#[test]
fn the_deadlines_text_is_tabpys() {
    for (setting, text) in [("3", "3.0"), ("1.5", "1.5"), ("2.0", "2.0")] {
        let server = Server::builder().env("TABPY_EVALUATE_TIMEOUT", setting).start().ready();
        server.evaluate(LOOP, json!({})).is(408, &timeout_text(text));
        server.still_works();
    }
}

#[test]
fn without_the_setting_it_is_thirty_seconds() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    connection.set_patience(Duration::from_secs(40));
    let request = Request::evaluate("import time\ntime.sleep(60)", &json!({}));
    connection.send(&request).is(408, &timeout_text("30"));
    server.still_works();
}

#[test]
fn all_sorts_of_waiting_end_at_the_deadline() {
    let server = Server::builder().env("TABPY_EVALUATE_TIMEOUT", "2").start().ready();
    for script in [
        "import time\ntime.sleep(60)",
        "return sum(range(10 ** 12))",
        "import re\nre.match(r'(a+)+$', 'a' * 40 + 'b')",
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
        "import threading\nthreading.Event().wait()",
        "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\nwhile True: pass",
        "import subprocess\nsubprocess.run(['sleep', '60'])",
        "x = 10 ** 8\nreturn len(str(7 ** x))",
        "class Slow:\n    def __del__(self):\n        while True: pass\nx = Slow()\nreturn 1",
    ] {
        let response = server.evaluate(script, json!({}));
        // The last one may have answered before its arguments and names are freed.
        if !script.contains("__del__") {
            assert_eq!(response.text(), timeout_text("2.0"), "{script}");
        }
        server.still_works();
    }
}

#[test]
fn the_worker_is_replaced_and_the_next_call_is_fine() {
    let server = Server::builder()
        .env("TABPY_EVALUATE_TIMEOUT", "1")
        .env("TABPY_WORKERS", "1")
        .env("TABPY_MAX_WORKERS", "1")
        .start()
        .ready();
    let mut connection = server.connect();
    for _ in 0..3 {
        let before = server.value("import os\nreturn os.getpid()");
        connection.send(&Request::evaluate(LOOP, &json!({}))).is(408, &timeout_text("1.0"));
        // The connection lives on. A new worker may take a moment, which counts against a deadline.
        let after = wait_for(PATIENCE * 2, || {
            let answer = connection.send(&Request::evaluate("import os\nreturn os.getpid()", &json!({})));
            (answer.status == 200).then(|| answer.text())
        });
        assert!(after.is_some_and(|after| after != before));
    }
}

#[test]
fn more_endless_loops_than_workers_harm_nobody_for_long() {
    let server = Server::builder()
        .env("TABPY_EVALUATE_TIMEOUT", "2")
        .env("TABPY_WORKERS", "2")
        .env("TABPY_MAX_WORKERS", "3")
        .start()
        .ready();
    for _ in 0..2 {
        let answers = thread::scope(|scope| {
            let loops = scope.spawn(|| at_once(&server, 8, &Request::evaluate(LOOP, &json!({}))));
            while !loops.is_finished() {
                for path in ["/info", "/healthz"] {
                    assert_eq!(server.get(path).status, 200);
                }
                thread::sleep(Duration::from_millis(50));
            }
            loops.join().unwrap()
        });
        let timed_out = answers.iter().filter(|answer| answer.status == 408).count();
        assert!(timed_out >= 2, "{answers:?}");
        for answer in answers {
            assert!([408, 503].contains(&answer.status), "{answer:?}");
        }
        let works =
            wait_for(PATIENCE, || (server.evaluate("return 1", json!({})).status == 200).then_some(()));
        assert!(works.is_some());
        server.still_works();
    }
}

#[test]
fn a_request_that_never_started_says_which_setting_helps() {
    let server = Server::builder()
        .env("TABPY_EVALUATE_TIMEOUT", "2")
        .env("TABPY_WORKERS", "1")
        .env("TABPY_MAX_WORKERS", "1")
        .start()
        .ready();
    let answers = at_once(&server, 6, &Request::evaluate(LOOP, &json!({})));
    let waited: Vec<&Response> = answers.iter().filter(|answer| answer.status == 503).collect();
    // One runs; one more may have begun when the first was ended at the same deadline.
    assert!(waited.len() >= 4, "{answers:?}");
    for answer in waited {
        let (message, info) = answer.error(503);
        assert!(format!("{message} {info}").contains("TABPY_MAX_WORKERS"), "{message} {info}");
        let seconds: u32 = answer.header("Retry-After").unwrap().parse().unwrap();
        assert!(seconds >= 1);
    }
}

#[test]
fn a_full_queue_answers_at_once() {
    let server = Server::builder()
        .env("TABPY_QUEUE_SIZE", "2")
        .env("TABPY_WORKERS", "1")
        .env("TABPY_MAX_WORKERS", "1")
        .start()
        .ready();
    let sleeper = Request::evaluate("import time\ntime.sleep(3)\nreturn 'slept'", &json!({}));
    let mut first = server.connect();
    first.write(&sleeper.bytes(first.host())).unwrap();
    thread::sleep(Duration::from_millis(300));
    let quick = Request::evaluate("return _arg1", &json!({"_arg1": [7]}));
    let answers = at_once_without_waiting(&server, 6, &quick);
    first.read().unwrap().is(200, "\"slept\"");
    let mut full = 0;
    for mut connection in answers {
        let answer = connection.read().unwrap();
        if answer.status == 200 {
            answer.is(200, "[7]");
            continue;
        }
        full += 1;
        let (message, info) = answer.error(503);
        assert!(format!("{message} {info}").contains("TABPY_QUEUE_SIZE"), "{message} {info}");
        assert!(answer.header("Retry-After").unwrap().parse::<u32>().unwrap() >= 1);
    }
    assert_eq!(full, 4, "two of six fit in the queue");
    server.still_works();
}

fn at_once_without_waiting(server: &Server, count: usize, request: &Request) -> Vec<Connection> {
    (0..count)
        .map(|_| {
            let mut connection = server.connect();
            let bytes = request.bytes(connection.host());
            connection.write(&bytes).unwrap();
            connection
        })
        .collect()
}

#[test]
fn the_pool_grows_while_all_are_busy() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "3").start().ready();
    let script = "import time\na = time.time()\ntime.sleep(4)\nreturn [a, time.time()]";
    let answers = at_once(&server, 3, &Request::evaluate(script, &json!({})));
    let times: Vec<(f64, f64)> = answers
        .iter()
        .map(|answer| serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}")))
        .collect();
    let last_start = times.iter().map(|time| time.0).fold(f64::MIN, f64::max);
    let first_end = times.iter().map(|time| time.1).fold(f64::MAX, f64::min);
    assert!(last_start < first_end, "they ran one after the other: {times:?}");
}

#[test]
fn the_deadline_counts_from_the_last_byte() {
    let server = Server::builder().env("TABPY_EVALUATE_TIMEOUT", "1").start().ready();
    let mut connection = server.connect();
    let bytes = Request::evaluate("return _arg1", &json!({"_arg1": [1]})).bytes(connection.host());
    connection.write_slowly(&bytes, bytes.len() / 8 + 1, Duration::from_millis(250)).unwrap();
    connection.read().unwrap().is(200, "[1]");
}

#[test]
fn the_whole_process_tree_ends_at_the_deadline() {
    let server = Server::builder().env("TABPY_EVALUATE_TIMEOUT", "1").start().ready();
    let marker = format!("36{}.25", server.port());
    for (sort, how) in [("plain", ""), ("in a session of its own", ", start_new_session=True")] {
        let script = format!(
            "import subprocess\nsubprocess.Popen(['sleep', '{marker}']{how})\n\
             subprocess.Popen(['sh', '-c', 'sleep {marker}; true'])\nwhile True: pass"
        );
        server.evaluate(&script, json!({})).is(408, &timeout_text("1.0"));
        let gone = wait_for(PATIENCE, || processes::with_argument(&marker).is_empty().then_some(()));
        processes::with_argument(&marker).into_iter().for_each(processes::Process::kill);
        assert!(gone.is_some(), "a process ({sort}) outlived its script");
    }
    server.still_works();
}

#[test]
fn a_client_that_leaves_has_its_script_ended() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    let marker = format!("37{}.25", server.port());
    let script = format!("import subprocess\nsubprocess.run(['sleep', '{marker}'])\nreturn 1");
    let mut connection = server.connect();
    connection.write(&Request::evaluate(&script, &json!({})).bytes(connection.host())).unwrap();
    let running = wait_for(PATIENCE, || processes::with_argument(&marker).first().copied());
    let running = running.expect("the script never ran");
    drop(connection);
    assert_gone(&[running]);
    server.still_works();
}

#[test]
fn clients_that_leave_in_crowds_do_no_harm() {
    let server = Server::start().ready();
    for _ in 0..5 {
        let crowd = at_once_without_waiting(
            &server,
            20,
            &Request::evaluate("return list(range(100000))", &json!({})),
        );
        drop(crowd);
    }
    let works = wait_for(PATIENCE, || (server.evaluate("return 1", json!({})).status == 200).then_some(()));
    assert!(works.is_some());
    server.still_works();
}
