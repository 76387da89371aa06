//! What holds for each request holds for several that go together: numbers, queue, log and the end.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::crowd::{ADD, COUNT, asks, busy, figure, read, taught, teach, together, waiting, workers};
use crate::support::{PATIENCE, Request, Response, Server, server::assert_gone, wait_for};

/// The fields of the lines that say how requests went, by the end of their ids.
fn lines(server: &Server, begin: &str, count: usize) -> Vec<Value> {
    let found = || {
        let lines: Vec<Value> = server
            .log()
            .lines()
            .filter(|line| line.contains(begin) && line.contains("duration_ms"))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (lines.len() >= count).then_some(lines)
    };
    let mut lines = wait_for(PATIENCE, found).unwrap_or_else(|| panic!("{}", server.log()));
    lines.sort_by_key(|line| line["span"]["request_id"].as_str().unwrap().to_owned());
    lines
}

#[test]
fn each_has_its_line_in_the_log() {
    let server = workers(1).env("TABPY_TRUST_PROXY", "true").start().ready();
    let doubled = "return _arg1 * 2 if _arg1[0] != 3 else 1 / 0";
    let ask = |place: usize| {
        let data = serde_json::json!({"_arg1": vec![place; place + 1]});
        Request::evaluate(doubled, &data).header("X-Request-Id", format!("among-{place}"))
    };
    teach(&server, &asks(doubled, 1));
    let requests: Vec<Request> = (0..9).map(ask).collect();
    let before = figure(&server, "tabpy_requests_total{route=\"/evaluate\",status=\"200\"}");
    let answers = together(&server, &requests);
    let lines = lines(&server, "among-", 9);
    assert_eq!(lines.len(), 9, "{lines:?}");
    for (place, (line, answer)) in lines.iter().zip(&answers).enumerate() {
        assert_eq!(line["span"]["request_id"], format!("among-{place}"));
        assert_eq!(line["status"], if place == 3 { 500 } else { 200 }, "{line}");
        assert_eq!(line["status"], answer.status);
        assert_eq!(line["rows_in"], place + 1, "{line}");
        assert_eq!(line["rows_out"].as_u64().unwrap_or(0), if place == 3 { 0 } else { 2 * place as u64 + 2 });
        assert!(line["worker"].as_u64().unwrap() >= 1, "{line}");
        let [queued, whole] = ["queue_ms", "duration_ms"].map(|name| line[name].as_f64().unwrap());
        assert!(queued <= whole, "{line}");
    }
    // Eight of the nine, and five of those who make certain that they wait.
    let after = figure(&server, "tabpy_requests_total{route=\"/evaluate\",status=\"200\"}");
    assert_eq!(after - before, 13.0);
    assert_eq!(figure(&server, "tabpy_queue_length"), 0.0);
}

/// The workers that the lines of the log name, with how many requests each has served.
fn served(lines: &[Value]) -> Vec<(u64, usize)> {
    let numbers: Vec<u64> = lines.iter().map(|line| line["worker"].as_u64().unwrap()).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    distinct.into_iter().map(|one| (one, numbers.iter().filter(|number| **number == one).count())).collect()
}

#[test]
fn a_worker_serves_no_more_than_its_number_of_requests() {
    for most in [1, 2, 5, 9] {
        let server = workers(1).env("TABPY_WORKER_REQUESTS", most).start().ready();
        for value in 0..12 {
            server.send(&asks(ADD, value)).is(200, &format!("[{}]", value + 1));
        }
        let requests: Vec<Request> = (0..20).map(|value| asks(ADD, value)).collect();
        for (value, answer) in together(&server, &requests).into_iter().enumerate() {
            answer.is(200, &format!("[{}]", value + 1));
        }
        let served = served(&lines(&server, "/evaluate", 33));
        assert!(served.iter().all(|(_, count)| *count <= most), "{most} at most: {served:?}");
    }
}

#[test]
fn beyond_the_queue_is_a_503() {
    let server = workers(1).env("TABPY_QUEUE_SIZE", "5").start().ready();
    teach(&server, &asks(ADD, 1));
    let requests: Vec<Request> = (0..30).map(|value| asks(ADD, value)).collect();
    let answers = together(&server, &requests);
    let full: Vec<&Response> = answers.iter().filter(|answer| answer.status != 200).collect();
    // Thirty requests take 30 ms to send on a quick machine; on a slow one the sleeper may end meanwhile.
    assert!(full.len() <= 25, "{} turned away", full.len());
    for answer in full {
        let (message, info) = answer.error(503);
        assert!(format!("{message} {info}").contains("TABPY_QUEUE_SIZE"), "{message} {info}");
        assert!(answer.header("Retry-After").unwrap().parse::<u32>().unwrap() >= 1);
    }
    for (value, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.status == 200) {
        answer.is(200, &format!("[{}]", value + 1));
    }
    server.still_works();
}

/// Told while they wait, or while the first of them takes its time and the others wait again.
#[test]
fn sigterm_lets_all_of_them_finish() {
    for pause in [0, 450] {
        let mut server = taught(workers(1));
        let family = server.processes();
        let mut sleeper = busy(&server);
        let requests = [asks(ADD, 1), asks(COUNT, 8_000_000), asks(ADD, 2), asks(ADD, 3), asks(ADD, 4)];
        let mut all = waiting(&server, &requests);
        // What the server has not read yet it need not answer.
        let come = || (figure(&server, "tabpy_queue_length") >= 5.0).then_some(());
        let _ = wait_for(Duration::from_millis(300), come);
        thread::sleep(Duration::from_millis(pause));
        server.signal(Signal::TERM);
        for (wanted, answer) in ["[2]", "8000000", "[3]", "[4]", "[5]"].iter().zip(read(&mut all)) {
            answer.is(200, wanted);
        }
        sleeper.read().unwrap().is(200, "\"slept\"");
        assert_eq!(server.wait(), Some(0));
        assert_gone(&family);
    }
}

/// Without this the other acts would find right answers and prove nothing.
#[test]
fn who_waits_goes_together_until_another_script_has_run() {
    let server = workers(1).start().ready();
    teach(&server, &asks(ADD, 1));
    let requests: Vec<Request> = (0..12).map(|value| asks(ADD, value)).collect();
    let counted = || figure(&server, "tabpy_requests_together_total");
    let gone = wait_for(PATIENCE, || {
        together(&server, &requests);
        Some(counted()).filter(|count| *count > 0.0)
    });
    assert!(gone.is_some_and(|count| count >= 2.0), "{gone:?}");
    server.evaluate("import os\nreturn 1", json!({})).is(200, "1");
    let before = counted();
    let mut sleeper = busy(&server);
    for (value, answer) in (1..).zip(read(&mut waiting(&server, &requests))) {
        answer.is(200, &format!("[{value}]"));
    }
    sleeper.read().unwrap().is(200, "\"slept\"");
    assert_eq!(counted(), before);
}

#[test]
fn a_worker_that_has_long_run_nothing_else_makes_way_for_a_new_one() {
    let server = workers(1).start().ready();
    server.evaluate("import os\nreturn 1", json!({})).is(200, "1");
    let counted = || figure(&server, "tabpy_requests_together_total");
    let call = |value: usize| {
        let mut connection = server.connect();
        for _ in 0..1000 {
            connection.send(&asks(ADD, value)).is(200, &format!("[{}]", value + 1));
        }
    };
    thread::scope(|scope| (0..8).for_each(|value| drop(scope.spawn(move || call(value)))));
    assert!(counted() > 0.0);
    assert_eq!(figure(&server, "tabpy_workers_ended_total{reason=\"served\"}"), 1.0);
}
