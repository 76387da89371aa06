//! HTTP itself: odd, slow, broken and hostile requests on the wire. Each gets an answer or an
//! orderly end, and nobody else notices.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{PATIENCE, Request, Server, wait_for};

fn echo(value: i64) -> Request {
    Request::evaluate("return _arg1", &json!({"_arg1": [value]}))
}

#[test]
fn one_connection_carries_hundreds_of_calls_errors_included() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    for round in 0..400 {
        connection.send(&echo(round)).is(200, &format!("[{round}]"));
        match round % 40 {
            5 => _ = connection.send(&Request::evaluate("raise ValueError('x')", &json!({}))).error(500),
            10 => _ = connection.send(&Request::post("/evaluate", "{")).error(500),
            15 => _ = connection.send(&Request::post("/evaluate", "{}")).error(400),
            20 => _ = connection.send(&Request::get("/no-such-path")).error(404),
            25 => _ = connection.send(&Request::get("/evaluate")).error(405),
            30 => assert_eq!(connection.send(&Request::get("/info")).status, 200),
            35 => assert_eq!(connection.send(&Request::new("HEAD", "/")).status, 200),
            _ => {}
        }
    }
}

#[test]
fn an_idle_connection_is_kept_for_the_next_partition() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    connection.send(&echo(1)).is(200, "[1]");
    std::thread::sleep(Duration::from_secs(8));
    connection.send(&echo(2)).is(200, "[2]");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    let mut bytes = Vec::new();
    for value in 0..12 {
        bytes.extend(echo(value).bytes(connection.host()));
        bytes.extend(Request::get("/info").bytes(connection.host()));
    }
    connection.write(&bytes).unwrap();
    for value in 0..12 {
        connection.read().unwrap().is(200, &format!("[{value}]"));
        assert!(connection.read().unwrap().json().get("server_version").is_some());
    }
}

#[test]
fn many_connections_get_their_own_answers() {
    let server = Server::start().ready();
    std::thread::scope(|scope| {
        for thread in 0..32_i64 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                for round in 0..15 {
                    let value = thread * 1000 + round;
                    connection.send(&echo(value)).is(200, &format!("[{value}]"));
                }
            });
        }
    });
}

#[test]
fn bodies_come_in_chunks_of_any_size() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    for size in [1, 2, 7, 100_000] {
        connection.send_chunked(&echo(5), size).is(200, "[5]");
    }
    let column: Vec<u32> = (0..50_000).collect();
    let request = Request::evaluate("return sum(_arg1)", &json!({"_arg1": column}));
    connection.send_chunked(&request, 4093).is(200, "1249975000");
    // Extensions and trailers are part of the format.
    let body = r#"{"script": "return 9"}"#;
    let bytes = format!(
        "POST /evaluate HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n{:X};name=value\r\n{body}\r\n0\r\n\r\n",
        server.host(),
        body.len()
    );
    connection.write(bytes.as_bytes()).unwrap();
    connection.read().unwrap().is(200, "9");
}

#[test]
fn slow_senders_are_served() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    let bytes = echo(3).bytes(connection.host());
    connection.write_slowly(&bytes, 1, Duration::from_millis(5)).unwrap();
    connection.read().unwrap().is(200, "[3]");
    let chunked = echo(4).chunked(connection.host(), 1);
    connection.write_slowly(&chunked, 3, Duration::from_millis(2)).unwrap();
    connection.read().unwrap().is(200, "[4]");
}

#[test]
fn slow_senders_hold_nobody_up() {
    let server = Server::start().ready();
    let body = vec![b' '; 1000];
    let mut slow = Vec::new();
    for round in 0..100 {
        let mut connection = server.connect();
        let bytes = Request::post("/evaluate", body.clone()).bytes(connection.host());
        let sent = if round % 2 == 0 { 20 } else { bytes.len() - 500 };
        connection.write(&bytes[..sent]).unwrap();
        slow.push(connection);
    }
    for _ in 0..5 {
        server.still_works();
    }
}

#[test]
fn half_a_request_and_then_the_end() {
    let server = Server::start().ready();
    let bytes = echo(1).bytes(&server.host());
    for length in [1, 10, 30, bytes.len() / 2, bytes.len() - 1] {
        let mut connection = server.connect();
        connection.write(&bytes[..length]).unwrap();
        connection.finish_sending();
        assert!(connection.is_closed_within(PATIENCE), "after {length} bytes");
        let mut connection = server.connect();
        connection.write(&bytes[..length]).unwrap();
        drop(connection);
    }
    // Whoever has sent all may close his half and still listen.
    let mut connection = server.connect();
    connection.write(&bytes).unwrap();
    connection.finish_sending();
    if let Ok(response) = connection.read() {
        response.is(200, "[1]");
    }
    server.still_works();
}

#[test]
fn http_1_0_and_connection_close_are_closed_after_the_answer() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    let host = server.host();
    connection.write(format!("GET /info HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).unwrap();
    let response = connection.read().unwrap();
    assert_eq!(response.status, 200);
    assert!(response.header("Transfer-Encoding").is_none());
    assert!(connection.is_closed_within(PATIENCE));
    let mut connection = server.connect();
    let response = connection.send(&echo(1).header("Connection", "close"));
    response.is(200, "[1]");
    assert!(connection.is_closed_within(PATIENCE));
    let body = r#"{"script": "return 1"}"#;
    let mut connection = server.connect();
    let request =
        format!("POST /evaluate HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    connection.write(request.as_bytes()).unwrap();
    connection.read().unwrap().is(200, "1");
    server.still_works();
}

#[test]
fn a_missing_host_is_no_crash() {
    let server = Server::start().ready();
    for request in
        ["GET /info HTTP/1.1\r\n\r\n", "GET /info HTTP/1.0\r\n\r\n", "GET /info HTTP/1.1\r\nHost:\r\n\r\n"]
    {
        let mut connection = server.connect();
        connection.write(request.as_bytes()).unwrap();
        let response = connection.read().unwrap();
        assert!([200, 400, 403, 421].contains(&response.status), "{response:?}");
    }
    server.still_works();
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    let body = r#"{"script": "return 8", "data": {}}"#;
    let head = format!(
        "POST /evaluate HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        server.host(),
        body.len()
    );
    connection.write(head.as_bytes()).unwrap();
    assert_eq!(connection.read().unwrap().status, 100);
    connection.write(body.as_bytes()).unwrap();
    connection.read().unwrap().is(200, "8");
    // A client that does not wait for the permission.
    connection.write(format!("{head}{body}").as_bytes()).unwrap();
    let first = connection.read().unwrap();
    let answer = if first.status == 100 { connection.read().unwrap() } else { first };
    answer.is(200, "8");
}

#[test]
fn garbage_is_refused_and_nobody_else_notices() {
    let server = Server::start().ready();
    let host = server.host();
    let long = "A".repeat(300_000);
    let requests: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\x00\x00\x00\x00\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n".to_vec(),
        long.clone().into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nno colon here\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n\r\n").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nContent-Length: abc\r\n\r\n").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999999999999999\r\n\r\n").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n").into_bytes(),
        format!("POST /evaluate HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n").into_bytes(),
    ];
    for request in requests {
        let mut connection = server.connect();
        let _refused = connection.write(&request);
        connection.finish_sending();
        if let Ok(response) = connection.read() {
            assert!((400..600).contains(&response.status), "{response:?}");
        }
        assert!(
            connection.is_closed_within(PATIENCE),
            "{:?}",
            String::from_utf8_lossy(&request[..20.min(request.len())])
        );
        server.still_works();
    }
}

#[test]
fn a_body_that_hides_a_second_request_does_not_smuggle_it() {
    let server = Server::start().ready();
    let hidden = "POST /evaluate HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n{\"script\": \"print('smuggled-script')\\nreturn 1\"}        ";
    let mut connection = server.connect();
    let request = format!(
        "POST /evaluate HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        server.host(),
        hidden.len() + 5
    );
    connection.write(request.as_bytes()).unwrap();
    connection.finish_sending();
    assert!(connection.is_closed_within(PATIENCE));
    server.still_works();
    assert!(!server.log().contains("smuggled-script"), "{}", server.log());
}

#[test]
fn long_urls_and_many_headers_are_answered_or_refused() {
    let server = Server::start().ready();
    for length in [1_000, 8_000, 60_000] {
        for path in [format!("/{}", "a".repeat(length)), format!("/info?x={}", "b".repeat(length))] {
            let mut connection = server.connect();
            let _refused = connection.write(&Request::get(&path).bytes(&server.host()));
            if let Ok(response) = connection.read() {
                assert!([200, 400, 404, 414, 431].contains(&response.status), "{response:?}");
            }
        }
    }
    for count in [50, 5_000] {
        let request = (0..count).fold(Request::get("/info"), |request, number| {
            request.header(&format!("X-Header-{number}"), "some value of a header")
        });
        let mut connection = server.connect();
        let _refused = connection.write(&request.bytes(&server.host()));
        let answer = connection.read();
        if count == 50 {
            assert_eq!(answer.unwrap().status, 200);
        }
    }
    server.still_works();
}

#[test]
fn unknown_paths_and_methods() {
    let server = Server::start().ready();
    let paths = [
        "/nope",
        "/evaluate/x",
        "/infos",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%ff",
        "/%00",
        "/a//b",
    ];
    for path in paths {
        let response = server.get(path);
        assert!([400, 404].contains(&response.status), "{path}: {}", response.text());
        response.error(response.status);
    }
    for (method, path) in [
        ("GET", "/evaluate"),
        ("PUT", "/evaluate"),
        ("DELETE", "/info"),
        ("POST", "/info"),
        ("POST", "/status"),
        ("PATCH", "/evaluate"),
        ("TRACE", "/info"),
        ("FOO", "/info"),
        ("POST", "/healthz"),
        ("HEAD", "/evaluate"),
    ] {
        let response = server.send(&Request::new(method, path));
        assert_eq!(response.status, 405, "{method} {path}: {}", response.text());
        if method != "HEAD" {
            response.error(405);
        }
    }
    server.still_works();
}

#[test]
fn head_gives_the_head_of_pages_and_probes() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    for path in ["/", "/index.html", "/healthz", "/readyz"] {
        let got = connection.send(&Request::get(path));
        let head = connection.send(&Request::new("HEAD", path));
        assert_eq!((got.status, head.status), (200, 200), "{path}");
        assert_eq!(head.header("Content-Type"), got.header("Content-Type"), "{path}");
        connection.send(&echo(1)).is(200, "[1]");
    }
}

#[test]
fn an_answer_is_compressed_only_for_whoever_asks() {
    let server = Server::start().ready();
    let script = Request::evaluate("return ['the same text'] * 5000", &json!({}));
    let plain = server.send(&script);
    assert_eq!((plain.status, plain.header("Content-Encoding")), (200, None));
    for accept in ["gzip", "gzip, deflate, br", "deflate;q=0.5, gzip;q=1.0", "GZIP"] {
        let packed = server.send(&script.clone().header("Accept-Encoding", accept));
        assert_eq!((packed.status, packed.header("Content-Encoding")), (200, Some("gzip")), "{accept}");
        assert!(packed.body.len() < plain.body.len() / 5);
        assert_eq!(inflate(&packed.body), plain.body);
        assert!(packed.header("Vary").is_some_and(|vary| vary.to_lowercase().contains("accept-encoding")));
    }
    for accept in ["identity", "gzip;q=0", "", "br"] {
        let response = server.send(&script.clone().header("Accept-Encoding", accept));
        assert_eq!((response.status, response.header("Content-Encoding")), (200, None), "{accept:?}");
        assert_eq!(response.body, plain.body);
    }
    // As in TabPy, the setting is about requests: who asks for a compressed answer still gets one.
    let server = Server::builder().env("TABPY_GZIP_ENABLE", "false").start().ready();
    let response = server.send(&script.header("Accept-Encoding", "gzip"));
    assert_eq!((response.status, response.header("Content-Encoding")), (200, Some("gzip")));
    assert_eq!(server.get("/info").json()["versions"]["v1"]["features"]["gzip_enabled"], Value::Bool(false));
}

/// As a proxy sends it whose operator has copied two lines for WebSockets.
#[test]
fn who_proposes_another_protocol_is_answered_in_this_one() {
    let server = Server::start().ready();
    let evaluate = Request::evaluate("return _arg1", &json!({"_arg1": [1]}));
    for (connection, protocol) in
        [("upgrade", None), ("Upgrade", Some("websocket")), ("upgrade", Some("h2c"))]
    {
        let proposing = |request: Request| match protocol {
            Some(protocol) => request.header("Connection", connection).header("Upgrade", protocol),
            None => request.header("Connection", connection),
        };
        let answer = server.send(&proposing(evaluate.clone()));
        assert_eq!((answer.status, answer.text().as_str()), (200, "[1]"), "{protocol:?}");
        assert_eq!(answer.header("Connection"), Some("close"), "{protocol:?}");
        let answer = server.send(&proposing(Request::get("/info")));
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")), "{protocol:?}");
        let mut connection = server.connect();
        let bytes = proposing(evaluate.clone()).chunked(connection.host(), 3);
        connection.write(&bytes).unwrap();
        connection.read().unwrap().is(200, "[1]");
    }
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    decoder.write_all(bytes).unwrap();
    decoder.finish().unwrap()
}

#[test]
fn a_reader_that_does_not_read_holds_nobody_up() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    let mut lazy: Vec<_> = (0..4).map(|_| server.connect()).collect();
    let request = Request::evaluate("return ['some text of a row'] * 400000", &json!({}));
    for connection in &mut lazy {
        connection.write(&request.bytes(connection.host())).unwrap();
    }
    let works =
        wait_for(PATIENCE * 2, || (server.evaluate("return 1", json!({})).status == 200).then_some(()));
    assert!(works.is_some());
    for mut connection in lazy {
        assert_eq!(connection.read().unwrap().body.len(), 400_000 * 22);
    }
    server.still_works();
}
