//! Large bodies and long answers: they arrive whole, hold no worker longer than it works, and leave no
//! memory behind.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::support::{PATIENCE, Request, Server, wait_for};

/// A million characters and two quotes.
const MEGABYTE: usize = 1_000_002;

fn long(megabytes: usize) -> Request {
    Request::evaluate(
        "return 'x' * 1000000 * _arg1[0] if _arg1[0] < 2 else ['x' * 1000000] * _arg1[0]",
        &json!({"_arg1": [megabytes]}),
    )
}

#[test]
fn a_long_answer_arrives_whole_with_its_length() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    for megabytes in [1, 2, 20] {
        let answer = connection.send(&long(megabytes));
        let length = if megabytes < 2 { MEGABYTE } else { megabytes * (MEGABYTE + 2) };
        assert_eq!((answer.status, answer.body.len()), (200, length));
        assert_eq!(answer.header("Content-Length"), Some(length.to_string().as_str()));
        assert_eq!(answer.body.iter().filter(|byte| **byte == b'x').count(), megabytes * 1_000_000);
        // The next answer begins where this one ends.
        connection.send(&Request::evaluate("return 1", &json!({}))).is(200, "1");
    }
}

#[test]
fn what_comes_in_goes_out_again_at_every_length() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    // Around the lengths at which the front or the worker do something else.
    for rows in [1, 2_000, 10_000, 13_000, 40_000, 160_000, 700_000] {
        let values: Vec<f64> = (0..rows).map(|row| f64::from(row) + 0.25).collect();
        let answer = connection.send(&Request::evaluate("return _arg1", &json!({"_arg1": values})));
        assert_eq!(answer.status, 200);
        let returned: Vec<f64> = serde_json::from_slice(&answer.body).unwrap();
        assert!(returned == values, "{rows} rows came back as {}", returned.len());
    }
}

#[test]
fn a_long_answer_is_compressed_for_those_who_ask() {
    let server = Server::start().ready();
    let plain = server.send(&long(3));
    let packed = server.send(&long(3).header("Accept-Encoding", "gzip"));
    assert_eq!(packed.header("Content-Encoding"), Some("gzip"));
    let mut unpacked = Vec::new();
    GzDecoder::new(&packed.body[..]).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == plain.body && packed.body.len() < plain.body.len() / 10);
}

#[test]
fn a_client_that_does_not_read_keeps_no_worker() {
    let server = Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1).start().ready();
    let mut idle = server.connect();
    let host = idle.host().to_owned();
    idle.write(&long(30).bytes(&host)).unwrap();
    // The answer has begun, so the only worker works for it.
    let head = idle.read_head().unwrap();
    assert_eq!(head.status, 200);
    server.still_works();
    drop(idle);
    server.still_works();
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_costs_no_worker() {
    let server = Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1).start().ready();
    let worker = "import os\nreturn os.getpid()";
    let before = server.send(&Request::evaluate(worker, &json!({}))).text();
    for _ in 0..5 {
        let mut connection = server.connect();
        let host = connection.host().to_owned();
        connection.write(&long(20).bytes(&host)).unwrap();
        connection.read_head().unwrap();
    }
    assert_eq!(server.send(&Request::evaluate(worker, &json!({}))).text(), before);
}

#[test]
fn memory_of_a_large_request_is_given_back() {
    let server = Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1).start().ready();
    server.still_works();
    let before = resident(&server);
    let values: Vec<f64> = (0..600_000).map(|row| f64::from(row) / 7.0).collect();
    let answer = server.send(&Request::evaluate("return [_arg1, _arg1]", &json!({"_arg1": values})));
    assert_eq!(answer.status, 200);
    let given_back = || (resident(&server) < before + (24 << 10)).then_some(());
    assert!(wait_for(PATIENCE, given_back).is_some(), "{before} kB before, {} kB after", resident(&server));
    server.still_works();
}

/// Kilobytes of all processes that run Python, and of the server.
pub(crate) fn resident(server: &Server) -> usize {
    let pids = server.processes().into_iter().map(|process| process.pid).chain([server.pid()]);
    pids.map(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok()).unwrap_or(0)
    })
    .sum()
}
