//! Requests that wait again, since one before them takes its time: whoever runs them then, runs them once, for
//! somebody who still waits.

use std::thread;
use std::time::{Duration, Instant};

use crate::crowd::{
    ADD, COUNT, ENDLESS, asks, busy, busy_for, read, taught, teach, together, waiting, worker, workers,
};
use crate::support::Request;

/// A second or less on any machine, and much longer than what is waited for among others.
const LONG: f64 = 4_000_000.0;

/// The endless one went on to another worker while the first of them took its time. It must not run in both.
#[test]
fn an_endless_one_keeps_one_worker() {
    let server = taught(workers(2).env("TABPY_EVALUATE_TIMEOUT", "4"));
    let mut sleepers = [busy_for(&server, 0.3), busy_for(&server, 0.6)];
    let requests =
        [asks(COUNT, LONG), asks(COUNT, ENDLESS), asks(ADD, 2), asks(ADD, 3), asks(ADD, 4), asks(ADD, 5)];
    let asked = Instant::now();
    let mut all = waiting(&server, &requests);
    let mut behind = all.split_off(2);
    let answers = read(&mut behind);
    assert!(asked.elapsed() < Duration::from_secs(3), "they waited {:?}: {answers:?}", asked.elapsed());
    for (value, answer) in (3..).zip(answers) {
        answer.is(200, &format!("[{value}]"));
    }
    let answers = read(&mut all);
    answers[0].is(200, "4000000");
    answers[1].error(408);
    read(&mut sleepers).iter().for_each(|answer| answer.is(200, "\"slept\""));
}

/// Its script stands behind another that takes its time, and so waits again; nobody runs it for nobody.
#[test]
fn an_endless_script_that_has_not_begun_never_does() {
    let server = taught(workers(1).env("TABPY_EVALUATE_TIMEOUT", "9"));
    let mut sleeper = busy(&server);
    let long = asks(COUNT, 8_000_000);
    let mut all = waiting(&server, &[long, asks(COUNT, ENDLESS), asks(ADD, 2), asks(ADD, 3)]);
    sleeper.read().unwrap().is(200, "\"slept\"");
    thread::sleep(Duration::from_millis(100));
    drop(all.remove(1));
    let left = Instant::now();
    let answers = read(&mut all);
    for (wanted, answer) in ["8000000", "[3]", "[4]"].iter().zip(answers) {
        answer.is(200, wanted);
    }
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}

/// What waits again is not run where nobody waits for it, too.
#[test]
fn eight_long_ones_take_no_more_than_one_after_the_other() {
    let server = workers(1).start().ready();
    let one = || {
        teach(&server, &asks(COUNT, 1));
        let before = worker(&server).worked();
        server.send(&asks(COUNT, LONG)).is(200, "4000000");
        worker(&server).worked() - before
    };
    let first = one();
    teach(&server, &asks(COUNT, 1));
    let requests: Vec<Request> = (0..8).map(|_| asks(COUNT, LONG)).collect();
    for answer in together(&server, &requests) {
        answer.is(200, "4000000");
    }
    // One after the other is 8 times; all again behind each is 36 times.
    // They were the first that this worker met.
    let all = worker(&server).worked();
    let one = first.max(one());
    eprintln!("figures: one long script {one}, eight {all}");
    assert!(all < one * 18 + 50, "one took {one} hundredths of a second, eight {all}");
}

/// What the worker declines goes to another one, whoever else it is busy with.
#[test]
fn a_declined_one_does_not_wait_for_an_endless_one() {
    let server = taught(workers(2).env("TABPY_EVALUATE_TIMEOUT", "4"));
    let mut sleepers = [busy(&server), busy_for(&server, 0.6)];
    let shown = serde_json::Value::from(ADD);
    let body = format!(r#"{{"script": {shown}, "script": "import os\nreturn 5", "data": {{"_arg1": [1]}}}}"#);
    let declined = Request::post("/evaluate", body.into_bytes());
    let asked = Instant::now();
    let mut all = waiting(&server, &[asks(ADD, 1), declined, asks(COUNT, ENDLESS), asks(ADD, 2)]);
    let endless = all.remove(2);
    for (wanted, answer) in ["[2]", "5", "[3]"].iter().zip(read(&mut all)) {
        answer.is(200, wanted);
    }
    assert!(asked.elapsed() < Duration::from_secs(3), "they waited {:?}", asked.elapsed());
    drop(endless);
    read(&mut sleepers).iter().for_each(|answer| answer.is(200, "\"slept\""));
}
