//! Large bodies go to a worker while they come, and long answers leave it while they are written. Nobody sees a
//! difference: neither who sends slowly, nor who gets an error, nor who waits meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::large::resident;
use crate::support::processes::Process;
use crate::support::{Connection, PATIENCE, Request, Server, wait_for};

/// A body of several megabytes whose answer is its number of rows.
fn large(rows: usize) -> Request {
    let values: Vec<f64> = (0..rows).map(|row| row as f64 / 7.0).collect();
    Request::evaluate("return len(_arg1)", &json!({"_arg1": values}))
}

/// A connection on which a large body was sent but for the rest; of so many bytes, `part` are sent.
fn begun(server: &Server, part: impl FnOnce(usize) -> usize) -> (Connection, Vec<u8>) {
    let mut connection = server.connect();
    let mut bytes = large(400_000).bytes(connection.host());
    let rest = bytes.split_off(part(bytes.len()));
    connection.write(&bytes).unwrap();
    (connection, rest)
}

fn two_workers() -> Server {
    Server::builder().env("TABPY_WORKERS", 2).env("TABPY_MAX_WORKERS", 2).start().ready()
}

#[test]
fn a_body_that_stops_coming_keeps_no_worker() {
    let server = two_workers();
    let mut stopped: Vec<_> = (0..4).map(|_| begun(&server, |length| length - 1000)).collect();
    for _ in 0..20 {
        server.still_works();
        std::thread::sleep(Duration::from_millis(25));
    }
    for (connection, rest) in &mut stopped {
        connection.write(rest).unwrap();
        connection.read().unwrap().is(200, "400000");
    }
}

#[test]
fn a_body_that_begins_fast_and_goes_on_slowly_keeps_no_worker() {
    let server = Server::builder().env("TABPY_WORKERS", 3).env("TABPY_MAX_WORKERS", 3).start().ready();
    let is_enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut connection, rest) = begun(&server, |length| length / 2);
                    let (drops, rest) = rest.split_at(300);
                    let mut drops = drops.chunks(1);
                    while !is_enough.load(Ordering::Relaxed)
                        && let Some(drop) = drops.next()
                    {
                        connection.write(drop).unwrap();
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    let was_slow = drops.len() > 0;
                    connection.write(&[&drops.collect::<Vec<_>>().concat(), rest].concat()).unwrap();
                    connection.read().unwrap().is(200, "400000");
                    was_slow
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        let all_idle =
            || server.get("/metrics").text().contains("tabpy_workers{state=\"idle\"} 3").then_some(());
        let idle = wait_for(PATIENCE, all_idle);
        is_enough.store(true, Ordering::Relaxed);
        assert_eq!((idle, slow.into_iter().all(|slow| slow.join().unwrap())), (Some(()), true));
    });
}

#[test]
fn workers_that_die_while_a_body_comes_cost_it_nothing() {
    let server = two_workers();
    for part in 1..8 {
        let (mut connection, rest) = begun(&server, |length| length / 8 * part);
        // The one that reads it, and the other one.
        server
            .processes()
            .into_iter()
            .filter(|process| process.name() == "tabpy-worker")
            .for_each(Process::kill);
        connection.write(&rest).unwrap();
        connection.read().unwrap().is(200, "400000");
    }
}

#[test]
fn a_client_that_leaves_while_it_sends_costs_nobody_anything() {
    let server = two_workers();
    for part in 1..8 {
        drop(begun(&server, |length| length / 8 * part));
        server.still_works();
    }
    server.send(&large(400_000)).is(200, "400000");
}

#[test]
fn an_error_far_into_a_body_is_told_as_in_a_small_one() {
    let server = Server::start().ready();
    let body = String::from_utf8(large(400_000).bytes("host")).unwrap();
    let body = &body[body.find("\r\n\r\n").unwrap() + 4..];
    let rest_of = |text: &str| text.find("], \"").or_else(|| text.find("]}")).unwrap();
    let end = rest_of(body);
    for (wrong, complaint, at) in [
        (" 1", "Expecting ',' delimiter", 1),
        (", ", "Expecting value", 2),
        (", \"é", "Unterminated string starting at", 2),
    ] {
        let broken = format!("{}{wrong}{}", &body[..end], if at == 1 { &body[end..] } else { "" });
        let info = server.post("/evaluate", broken).info(500, "Error processing script");
        let at = end + at;
        assert_eq!(info, format!("JSONDecodeError : {complaint}: line 1 column {} (char {at})", at + 1));
        server.still_works();
    }
}

#[test]
fn an_error_far_into_an_answer_is_the_only_answer() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    let mut ask = |script: &str| connection.send(&Request::evaluate(script, &json!({"_arg1": [1, 2]})));
    let info = ask("return [1.5] * 500000 + [object()]").info(500, "Error processing script");
    assert_eq!(info, "TypeError : Object of type object is not JSON serializable");
    let info = ask("return (1 / (400000 - i) for i in range(500000))").info(500, "Error processing script");
    assert!(info.starts_with("ZeroDivisionError : division by zero"), "{info}");
    let end = "def rows():\n    yield from range(500000)\n    import os\n    os._exit(3)\nreturn rows()";
    let info = ask(end).info(500, "Error processing script");
    assert_eq!(info, "The script ended its Python process (exit code 3).");
    ask("return 1").is(200, "1");
}

#[test]
fn the_limit_for_answers_holds_for_all_parts_together() {
    let server = Server::builder().env("TABPY_MAX_RESPONSE_SIZE_MB", 1).start().ready();
    server.evaluate("return 'x' * (1 << 20)", json!({})).error(500);
    let script = |rows: usize| format!("return ['123456'] * {rows}");
    // Ten bytes a row, with quotes, comma and space.
    let fits = server.evaluate(&script(104_857), json!({}));
    assert_eq!((fits.status, fits.body.len()), (200, 1_048_570));
    let info = server.evaluate(&script(104_858), json!({})).info(500, "Error processing script");
    assert!(info.contains("larger than 1 MB, the limit of TABPY_MAX_RESPONSE_SIZE_MB"), "{info}");
}

#[test]
fn what_is_printed_while_an_answer_is_written_is_told_with_it() {
    let server = Server::start().ready();
    let script =
        "def rows():\n    print('begins')\n    yield from range(300000)\n    print('ends')\nreturn rows()";
    let answer = server.send(&Request::evaluate(script, &json!({})).header("TabPy-Details", "true"));
    assert_eq!(answer.json().as_array().unwrap().len(), 300_000);
    // "begins\nends\n"
    assert_eq!(answer.header("TabPy-Output"), Some("YmVnaW5zCmVuZHMK"));
}

#[test]
fn what_later_scripts_print_is_told_as_well() {
    let server = Server::builder().env("TABPY_WORKERS", 1).start().ready();
    server.evaluate("import os\nreturn 1", json!({})).is(200, "1");
    for (status, end) in [(200, ""), (500, "    raise ValueError\n")] {
        let script = "import os\ndef rows():\n    yield from range(60000)\n    print('ends')\n";
        let script = format!("{script}{end}return rows()");
        let request = Request::evaluate(&script, &json!({})).header("TabPy-Details", "true");
        for time in 0..40 {
            let answer = server.send(&request);
            assert_eq!((answer.status, answer.header("TabPy-Output")), (status, Some("ZW5kcwo=")), "{time}");
        }
    }
}

#[test]
fn one_long_text_among_many_values_is_read_as_it_is() {
    let server = two_workers();
    let (numbers, text) = (vec![1.25; 300_000], "y".repeat(200_000));
    for columns in
        [json!({"_arg1": numbers, "_arg2": [text, text]}), json!({"_arg1": [text, text], "_arg2": numbers})]
    {
        let script =
            "return [len(_arg1), len(_arg2), sum(len(x) for x in _arg1 + _arg2 if isinstance(x, str))]";
        let answer = server.evaluate(script, columns).json();
        assert_eq!(answer[2], 400_000);
        assert_eq!(answer[0].as_u64().unwrap() + answer[1].as_u64().unwrap(), 300_002);
    }
}

/// A script with what it takes to write to the wire what only the worker should.
fn forging(what: &str) -> String {
    format!(
        "import os, struct\ndef frame(id, length, impure, more):\n    \
         return b'PRpt' + struct.pack('<I8sQII4BB3x', 200, id, length, 0, 0, 1, 0, 0, impure, more)\n\
         def write(wire, text):\n    while text: text = text[os.write(wire, text):]\n{what}"
    )
}

/// A child process reads the request's id off the first part, and then takes the worker's place.
fn by_a_child(frames: &str) -> String {
    format!(
        "wire = os.dup(64)\nr, w = os.pipe()\nos.dup2(w, 64)\nif os.fork() == 0:\n    \
         id = os.read(r, 40)[8:16]\n    while True: write(wire, {frames})\nreturn iter(range(10**8))"
    )
}

#[test]
fn a_script_that_forges_frames_fills_no_memory_but_its_own() {
    let server =
        Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_RESPONSE_SIZE_MB", 10).start().ready();
    let before = resident(&server);
    for what in [
        "while True: write(64, frame(bytes(8), 0, 1, 0) * 1000)".to_owned(),
        by_a_child("frame(id, 98304, 0, 1) + b'1' * 98304"),
        by_a_child("frame(id, 0, 1, 0) * 1000"),
    ] {
        let info = server.evaluate(&forging(&what), json!({})).info(500, "Error processing script");
        assert!(info.starts_with("The script wrote to a descriptor of the server's"), "{info}");
        assert!(resident(&server) < before + (60 << 10), "{what}: {} {before}", resident(&server));
        server.still_works();
    }
}

#[test]
fn a_copy_of_the_process_has_no_say_in_the_answer() {
    let server = Server::start().ready();
    let script = "import os\ndef rows():\n    yield from range(200000)\n    os.fork()\n    yield from range(200000)\nreturn rows()";
    let answer = server.evaluate(script, json!({}));
    assert_eq!(answer.json().as_array().map(Vec::len), Some(400_000));
    server.still_works();
}
