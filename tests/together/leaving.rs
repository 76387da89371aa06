//! Clients that leave before their answers are there.

use std::thread;
use std::time::{Duration, Instant};

use crate::crowd::{ADD, COUNT, ENDLESS, asks, busy, read, taught, teach, waiting, workers};
use crate::support::Request;

/// Far below the deadline, and far above what an answer takes.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn an_endless_script_ends_with_its_client() {
    let server = taught(workers(1).env("TABPY_EVALUATE_TIMEOUT", "9"));
    let mut sleeper = busy(&server);
    let mut all = waiting(&server, &[asks(ADD, 1), asks(COUNT, ENDLESS), asks(ADD, 2), asks(ADD, 3)]);
    sleeper.read().unwrap().is(200, "\"slept\"");
    thread::sleep(Duration::from_millis(300));
    drop(all.remove(1));
    let left = Instant::now();
    for (value, answer) in (2..).zip(read(&mut all)) {
        answer.is(200, &format!("[{value}]"));
    }
    assert!(left.elapsed() < SOON, "{:?}", left.elapsed());
}

#[test]
fn those_who_stay_get_their_answers_whoever_leaves() {
    let server = workers(1).start().ready();
    let pattern = [0b0000_0001, 0b1111_1110, 0b1010_1010, 0b0101_0101, 0b1000_0000, 0b1111_1111];
    for (turn, leaving) in pattern.into_iter().enumerate() {
        teach(&server, &asks(ADD, 1));
        let mut sleeper = busy(&server);
        let requests: Vec<Request> = (0..16).map(|value| asks(ADD, value)).collect();
        let mut all: Vec<_> = waiting(&server, &requests).into_iter().enumerate().collect();
        if turn % 2 == 0 {
            // They leave while they wait; else when the answers are on their way.
            thread::sleep(Duration::from_millis(20));
        } else {
            sleeper.read().unwrap().is(200, "\"slept\"");
        }
        all.retain(|(value, _)| leaving >> (value % 8) & 1 == 0);
        for (value, connection) in &mut all {
            connection.read().unwrap().is(200, &format!("[{}]", *value + 1));
        }
    }
    server.still_works();
}
