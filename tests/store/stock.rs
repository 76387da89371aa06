//! TabPy's own client against this server and against TabPy: the same answers, but for what
//! docs/differences-from-tabpy.md says; and what a TabPy has left is taken over.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::engine::{Engine, called, on_both_engines, query, versions};
use crate::support::tabpy::{self, TabPy};

on_both_engines! {
    what_a_tabpy_has_left_is_taken_over_once
}

/// What ours says where it differs, by the row of docs/differences-from-tabpy.md.
fn ours(label: &str, theirs: &str) -> String {
    match label {
        "adding, bad JSON" | "updating with bad JSON" => json_words(theirs),
        "adding by hand" => theirs.replace("; charset=UTF-8", "").replace("-- no docstring found in query function --", "stored"),
        "a HEAD" => " 405 | application/json | ".to_owned(),
        "another method" => r#" 405 | application/json | {"message": "Method Not Allowed", "info": "/endpoints/add does not take the method PATCH"}"#.to_owned(),
        _ => theirs.replace("; charset=UTF-8", ""),
    }
}

fn json_words(theirs: &str) -> String {
    let (before, _) = theirs.split_once("\"info\"").unwrap();
    format!("{before}\"info\": \"EOF while parsing an object at line 1 column 1\"}}")
}

#[test]
fn the_stock_client_and_plain_requests_are_answered_as_by_tabpy() {
    const SCRIPT: &str = "tests/store/management.py";
    let real = TabPy::start();
    let theirs = tabpy::run(
        SCRIPT,
        &[&format!("http://localhost:{}", real.port()), &real.state().display().to_string()],
    );
    drop(real);
    let server = Engine::Sqlite.server();
    let state = server.path("state").display().to_string();
    let given = tabpy::run(SCRIPT, &[&format!("http://localhost:{}", server.port()), &state]);
    assert_eq!(theirs.lines().count(), given.lines().count());
    assert!(theirs.lines().count() > 50);
    for (theirs, given) in theirs.lines().zip(given.lines()) {
        match theirs.split_once(" |") {
            Some((label, rest)) => assert_eq!(given, format!("{label} |{}", ours(label, rest))),
            None => assert_eq!(given, theirs),
        }
    }
}

fn what_a_tabpy_has_left_is_taken_over_once(engine: &mut Engine) {
    let real = TabPy::start();
    let address = format!("http://localhost:{}/", real.port());
    tabpy::run("tests/store/leave.py", &[&address]);
    let builder = engine.builder();
    let copied =
        Command::new("cp").arg("-r").arg(real.state()).arg(builder.folder().join("copy")).status().unwrap();
    assert!(copied.success());
    drop(real);
    let state = builder.folder().join("copy").display().to_string();
    let builder = builder.env("TABPY_STATE_PATH", &state);
    let server = builder.start().ready();
    server.wait_for_log("taken over from its state folder");
    let add = server.get("/endpoints/add").json();
    assert_eq!(
        (&add["version"], &add["description"], &add["is_public"]),
        (&json!(3), &json!("Adds"), &json!(true))
    );
    assert_eq!(
        (&add["docstring"], &add["schema"]),
        (&json!("Zählt zwei Zahlen.\n\nAuch größere."), &json!("{'x': 1}"))
    );
    assert_eq!(query(&server, "add", &json!([2, 3])).json()["response"], json!([3, 5]));
    assert_eq!(versions(&server, "add"), [3, 2, 1]);
    assert_eq!(query(&server, "add?version=2", &json!([2, 3])).json()["response"], json!([2, 5]));
    assert_eq!(called(&server, "my%20constant"), json!(42));

    crate::engine::send(&server, &crate::support::Request::new("DELETE", "/endpoints/add"));
    let server = server.restart().ready();
    assert_eq!(server.get("/endpoints/add").status, 404, "what was removed does not come again");
    assert_eq!(called(&server, "my%20constant"), json!(42));
    assert!(Path::new(&state).join("query_objects/add/3/pickle_archive").exists(), "TabPy's own files stay");
}
