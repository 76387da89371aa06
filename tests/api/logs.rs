//! The log as a platform reads it: one event a line, in the form and from the level that was set,
//! whatever scripts print and clients send.

use serde_json::{Value, json};

use crate::support::{Request, Server};

#[test]
fn as_json_every_line_is_an_object() {
    let server = Server::builder().env("TABPY_LOG_FORMAT", "json").start().ready();
    server.evaluate("print('a \"quoted\" line\\nand {a second}')\nreturn 1", json!({})).is(200, "1");
    server.evaluate("raise ValueError('line\\nend')", json!({})).error(500);
    let odd = Request::evaluate("return 1", &json!({})).header("TabPy-User", "o'neil \"x\" level=error");
    server.send(&odd).is(200, "1");
    server.wait_for_log("a second");
    server.wait_for_log("neil");
    for line in server.log().lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event.is_object(), "{line}");
    }
}

#[test]
fn the_level_is_kept() {
    let server = Server::builder().env("TABPY_LOG_LEVEL", "error").start().ready();
    server.still_works();
    server.evaluate("print('printed at a low level')\nreturn 1", json!({})).is(200, "1");
    server.still_works();
    assert_eq!(server.log(), "");
}

#[test]
fn a_failure_is_logged_once_with_its_request_and_without_the_users_text() {
    let server = Server::start().ready();
    let argument = json!({"_arg1": ["customer-4711"]});
    server.evaluate("raise ValueError('secret ' + _arg1[0])", argument).error(500);
    server.still_works();
    let line = server.wait_for_line("a failed call", |line| line.contains("ValueError"));
    assert!(line.contains("request_id"), "{line}");
    assert_eq!(server.log().matches("ValueError").count(), 1, "{}", server.log());
    assert!(!server.log().contains("customer-4711"), "{}", server.log());
}
