//! The log as a platform reads it: one event a line, in the form and from the level that was set,
//! whatever scripts print and clients send.

use serde_json::{Value, json};

use crate::support::{Request, Server};

#[test]
fn as_json_every_line_is_an_object() {
    let server =
        Server::builder().env("TABPY_LOG_FORMAT", "json").env("TABPY_TRUST_PROXY", "true").start().ready();
    server.evaluate("print('a \"quoted\" line\\nand {a second}')\nreturn 1", json!({})).is(200, "1");
    server.evaluate("raise ValueError('line\\nend')", json!({})).error(500);
    let odd = Request::evaluate("return 1", &json!({})).header("TabPy-User", "o'neil \"x\" level=error");
    server.send(&odd).is(200, "1");
    let id = r#"an-"id"\in-quotes"#;
    server
        .send(&Request::evaluate("print('of the odd id')\nreturn 1", &json!({})).header("X-Request-Id", id))
        .is(200, "1");
    let printed: Value = serde_json::from_str(&server.wait_for_log("of the odd id")).unwrap();
    assert_eq!(printed["span"], json!({"name": "request", "request_id": id}));
    server.wait_for_log("a second");
    server.wait_for_log("neil");
    for line in server.log().lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event.is_object(), "{line}");
    }
}

#[test]
fn as_for_people_every_line_names_its_request() {
    let server = Server::builder().env("TABPY_LOG_FORMAT", "pretty").start().ready();
    server.evaluate("print('a printed line')\nreturn 1", json!({})).is(200, "1");
    let printed = server.wait_for_line("what was printed", |line| line.contains("a printed line"));
    let (_, id) = printed.split_once("request{request_id=").unwrap();
    let (id, _) = id.split_once("}: ").unwrap();
    let answered = server.wait_for_line("how it went", |line| line.contains("answered") && line.contains(id));
    assert!(answered.contains("INFO") && answered.contains("status=200"), "{answered}");
    // It is of the moment of the answer, whenever it was written.
    let time = |line: &str| line.split_once('Z').unwrap().0.to_owned();
    assert!(time(&printed) <= time(&answered), "{printed}\n{answered}");
    assert_eq!(time(&answered).len(), "2026-11-26T09:44:03.123456".len(), "{answered}");
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

#[test]
fn an_answer_of_another_length_is_told_with_the_lengths_that_tableau_takes() {
    let server = Server::start().ready();
    server.evaluate("return [1, 2]", json!({"_arg1": [1, 2, 3]})).is(200, "[1, 2]");
    server.evaluate("return [1, 2]", json!({"_arg1": [1]})).is(200, "[1, 2]");
    server.evaluate("return []", json!({"_arg1": [1]})).is(200, "[]");
    for words in [
        "has 2 values for 3 rows: Tableau takes 1 or 3 (",
        "has 2 values for 1 row: Tableau takes 1 (",
        "has 0 values for 1 row: Tableau takes 1 (",
    ] {
        server.wait_for_log(words);
    }
}

/// The fields of the line that says how a request went.
fn answered(server: &Server, id: &str) -> serde_json::Map<String, Value> {
    let line = server.wait_for_line(id, |line| line.contains(id) && line.contains("duration_ms"));
    let Value::Object(event) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
    event
}

#[test]
fn a_calls_line_tells_who_what_where_and_how_long() {
    let server = Server::builder()
        .env("TABPY_LOG_FORMAT", "json")
        .env("TABPY_TRUST_PROXY", "true")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .env("TABPY_EVALUATE_TIMEOUT", "1")
        .start()
        .ready();
    let call = |id: &str, script: &str| {
        let request = Request::evaluate(script, &json!({"_arg1": ["customer-4711", "b", "c"]}))
            .header("X-Request-Id", id)
            .header("X-Forwarded-For", "203.0.113.9")
            .header("TabPy-Client", "Tableau Server 2026.2")
            .header("TabPy-User", "Zo\u{eb}")
            .login("ada", "countess");
        server.send(&request)
    };
    call("id-right", "return len(_arg1)").is(200, "3");
    let fields = answered(&server, "id-right");
    for (name, value) in [
        ("method", json!("POST")),
        ("path", json!("/evaluate")),
        ("status", json!(200)),
        ("user", json!("ada")),
        ("client", json!("Tableau Server 2026.2")),
        ("tableau_user", json!("Zo\u{eb}")),
        ("rows_in", json!(3)),
        ("rows_out", json!(1)),
    ] {
        assert_eq!(fields.get(name), Some(&value), "{name} in {fields:?}");
    }
    for name in ["duration_ms", "queue_ms", "worker"] {
        assert!(fields.get(name).is_some_and(Value::is_number), "{name} in {fields:?}");
    }
    // The address is a detail.
    assert!(!fields.contains_key("caller"), "{fields:?}");
    // Also where no answer came: which worker had it, and what of the time was spent waiting.
    for (id, script, status) in
        [("id-slow", "while True: pass", 408), ("id-dead", "import os\nos._exit(3)", 500)]
    {
        call(id, script).error(status);
        let fields = answered(&server, id);
        assert_eq!(fields.get("status"), Some(&json!(status)));
        assert!(fields.get("worker").is_some_and(Value::is_number), "{fields:?}");
        assert!(fields.get("queue_ms").is_some_and(Value::is_number), "{fields:?}");
        assert!(!fields.contains_key("rows_out"), "{fields:?}");
    }
    for secret in ["customer-4711", "countess", "while True"] {
        assert!(!server.log().contains(secret), "{}", server.log());
    }
}
