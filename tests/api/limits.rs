//! The limits on what comes in and what goes out, and compressed bodies, whose size is a lie.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::support::{Request, Response, Server};

const LIMIT: usize = 1_048_576;

fn small() -> Server {
    Server::builder().env("TABPY_MAX_REQUEST_SIZE_MB", "1").start().ready()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Checks the 413 and gives the size that it names.
#[track_caller]
fn too_large(response: &Response) -> usize {
    let (message, info) = response.error(413);
    let info = info.as_str().unwrap();
    assert!(info.starts_with("Request Entity Too Large"), "{info}");
    assert!(format!("{message} {info}").contains("TABPY_MAX_REQUEST_SIZE_MB"), "{message} {info}");
    let rest = message.strip_prefix("Request with size ").unwrap_or_else(|| panic!("{message}"));
    let (size, rest) = rest.split_once(' ').unwrap();
    assert!(rest.starts_with("exceeded limit of 1048576 (bytes)."), "{message}");
    size.parse().unwrap()
}

/// A script padded with spaces to exactly this many bytes.
fn padded(length: usize) -> Vec<u8> {
    let mut body = br#"{"script": "return 1", "data": {}}"#.to_vec();
    body.resize(length, b' ');
    body
}

#[test]
fn the_limit_is_exact_and_the_answer_always_arrives() {
    let server = small();
    server.post("/evaluate", padded(LIMIT)).is(200, "1");
    for length in [LIMIT + 1, 1_048_627, 3 * LIMIT, 30 * LIMIT] {
        let response = server.post("/evaluate", padded(length));
        assert_eq!(too_large(&response), length);
        let response = server.connect().send_chunked(&Request::post("/evaluate", padded(length)), 65_536);
        let size = too_large(&response);
        assert!(size > LIMIT && size <= length, "{size}");
        server.still_works();
    }
    let chunked = server.connect().send_chunked(&Request::post("/evaluate", padded(LIMIT)), 65_536);
    chunked.is(200, "1");
}

#[test]
fn an_announced_size_is_refused_before_it_is_sent() {
    let server = small();
    let mut connection = server.connect();
    let head = format!(
        "POST /evaluate HTTP/1.1\r\nHost: {}\r\nContent-Length: 9000000000\r\nExpect: 100-continue\r\n\r\n",
        server.host()
    );
    connection.write(head.as_bytes()).unwrap();
    // A permission to go on may come first; the refusal has to come without the body.
    let first = connection.read().unwrap();
    let answer = if first.status == 100 { connection.read().unwrap() } else { first };
    assert_eq!(too_large(&answer), 9_000_000_000);
    server.still_works();
}

#[test]
fn every_route_with_a_body_answers_an_over_long_one() {
    let server = small();
    too_large(&server.send(&Request::post("/query/x", padded(LIMIT + 1))));
    too_large(&server.connect().send_chunked(&Request::post("/query/x", padded(8 * LIMIT)), 65_536));
    for (method, path) in
        [("POST", "/endpoints"), ("PUT", "/endpoints/x"), ("POST", "/no-such-path"), ("POST", "/info")]
    {
        let response = server.send(&Request::new(method, path).body(padded(8 * LIMIT)));
        assert!(response.status >= 400, "{response:?}");
        response.error(response.status);
    }
    server.still_works();
}

/// A body of 100 MB takes a client far longer than a second.
#[test]
fn a_slow_client_hears_why_its_body_is_too_long() {
    let server = small();
    let mut connection = server.connect();
    let request = Request::post("/evaluate", padded(30 * LIMIT)).bytes(connection.host());
    connection.write_slowly(&request, LIMIT, Duration::from_millis(100)).unwrap();
    assert_eq!(too_large(&connection.read().unwrap()), 30 * LIMIT);
}

#[test]
fn without_credentials_a_large_body_is_a_401() {
    let server = Server::builder()
        .env("TABPY_MAX_REQUEST_SIZE_MB", "1")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .start()
        .ready();
    // Whichever is looked at first, the client has to get an answer and not a reset.
    for length in [LIMIT / 2, 20 * LIMIT] {
        let response = server.post("/evaluate", padded(length));
        assert!([401, 413].contains(&response.status), "{response:?}");
        response.error(response.status);
    }
    let request = Request::post("/evaluate", padded(20 * LIMIT)).login("ada", "countess");
    too_large(&server.send(&request));
}

#[test]
fn compressed_bodies_are_understood() {
    let server = small();
    let request = |body: Vec<u8>| Request::post("/evaluate", body).header("Content-Encoding", "gzip");
    let body = json!({"script": "return _arg1", "data": {"_arg1": ["é", 1]}}).to_string();
    server.send(&request(gzip(body.as_bytes()))).is(200, "[\"\\u00e9\", 1]");
    server.connect().send_chunked(&request(gzip(body.as_bytes())), 3).is(200, "[\"\\u00e9\", 1]");
    server
        .send(&Request::post("/evaluate", body).header("Content-Encoding", "identity"))
        .is(200, "[\"\\u00e9\", 1]");
    server.send(&request(gzip(&padded(LIMIT)))).is(200, "1");
}

#[test]
fn broken_compression_is_a_400_in_the_one_shape() {
    let server = small();
    let whole = gzip(br#"{"script": "print('half-a-script')\nreturn 1", "data": {}}"#);
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    let mut checksum = whole.clone();
    let at = checksum.len() - 6;
    checksum[at] ^= 0xff;
    for body in [
        b"garbage".to_vec(),
        br#"{"script": "return 1"}"#.to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..5].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        damaged,
        checksum,
        Vec::new(),
    ] {
        let request = Request::post("/evaluate", body.clone()).header("Content-Encoding", "gzip");
        let (message, info) = server.send(&request).error(400);
        let words = format!("{message} {info}");
        assert!(words.contains("gzip") || words.contains("Content-Encoding"), "{body:?}: {words}");
        assert!(!words.contains("Custom {") && !words.contains("Some("), "the program's own words: {words}");
        let chunked = server.connect().send_chunked(&request, 4);
        chunked.error(400);
        server.still_works();
    }
    assert!(!server.log().contains("half-a-script"));
    let unknown = Request::post("/evaluate", padded(100)).header("Content-Encoding", "x-unknown");
    let response = server.send(&unknown);
    assert!([200, 400, 415].contains(&response.status), "{response:?}");
    server.still_works();
}

#[test]
fn the_limit_holds_for_what_a_body_inflates_to() {
    let server = small();
    let request = |body: Vec<u8>| Request::post("/evaluate", body).header("Content-Encoding", "gzip");
    let inflated = too_large(&server.send(&request(gzip(&padded(LIMIT + 1)))));
    assert!(inflated > 0);
    let bomb = gzip(&vec![b' '; 40 * LIMIT]);
    assert!(bomb.len() < LIMIT, "the bomb is small: {}", bomb.len());
    too_large(&server.send(&request(bomb.clone())));
    too_large(&server.connect().send_chunked(&request(bomb.clone()), 10_000));
    // Members one after the other, and a bomb within a bomb, which stays packed.
    let members = gzip(&vec![b' '; LIMIT / 2]).repeat(100);
    let response = server.send(&request(members));
    assert!([400, 413].contains(&response.status), "{response:?}");
    response.error(response.status);
    server.send(&request(gzip(&bomb))).error(500);
    server.still_works();
    let peak = peak_kilobytes(server.pid());
    assert!(peak < 100 * 1024, "the front's memory rose to {peak} kB");
}

fn peak_kilobytes(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_answer_over_the_limit_is_an_error_that_names_the_setting() {
    let server = Server::builder().env("TABPY_MAX_RESPONSE_SIZE_MB", "1").start().ready();
    let mut connection = server.connect();
    for script in [
        "return 'x' * 2000000",
        "return list(range(1000000))",
        "import itertools\nreturn ('y' * 1000 for _ in range(5000))",
        "return {'a': [1.5] * 1000000}",
        "return [None] * 1000000",
    ] {
        let response = connection.send(&Request::evaluate(script, &json!({})));
        let (message, info) = response.error(500);
        assert!(format!("{message} {info}").contains("TABPY_MAX_RESPONSE_SIZE_MB"), "{message} {info}");
    }
    let response = connection.send(&Request::evaluate("return 'x' * 1000000", &json!({})));
    assert_eq!((response.status, response.body.len()), (200, 1_000_002));
    server.still_works();
}
