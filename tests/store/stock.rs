//! TabPy's own client against this server and against TabPy: the same answers, but for what
//! docs/differences-from-tabpy.md says; and what a TabPy has left is taken over.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::engine::{
    DEPLOY_PATIENCE, Engine, called, eventually, on_both_engines, put, query, send, versions,
};
use crate::support::Request;
use crate::support::tabpy::{self, TabPy};

on_both_engines! {
    the_stock_client_and_plain_requests_are_answered_as_by_tabpy
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

fn the_stock_client_and_plain_requests_are_answered_as_by_tabpy(engine: &mut Engine) {
    const SCRIPT: &str = "tests/store/management.py";
    let real = TabPy::start();
    let theirs = tabpy::run(
        SCRIPT,
        &[&format!("http://localhost:{}", real.port()), &real.state().display().to_string()],
    );
    drop(real);
    let server = engine.server();
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
    let theirs: Value = serde_json::from_str(&tabpy::run("tests/store/leave.py", &[&address])).unwrap();
    let builder = engine.builder();
    let copied =
        Command::new("cp").arg("-r").arg(real.state()).arg(builder.folder().join("copy")).status().unwrap();
    assert!(copied.success());
    drop(real);
    let state = builder.folder().join("copy").display().to_string();
    tabpy::run("tests/store/spoil.py", &[&state]);
    let settings =
        format!("[TabPy]\nTABPY_STATE_PATH = {state}\nTABPY_QUERY_OBJECT_PATH = /tmp/query_objects\n");
    let builder = builder.without("TABPY_STATE_PATH").config(&settings);
    let server = builder.start().ready();

    let line = server.wait_for_log("taken over from its state folder");
    for name in ["add", "my constant", "predict", "plus", "older"] {
        assert!(line.contains(name), "{line}");
    }
    for (name, why) in [
        ("missing", "the archive of version 1 cannot be read: it is not there"),
        ("broken", "what state.ini says of it cannot be read"),
        ("a/b", "its name is none that this server takes"),
    ] {
        let line = server.wait_for_log(&format!("was not taken over: {name}: "));
        assert!(line.contains(why), "{line}");
        assert_eq!(server.get(&format!("/endpoints/{}", name.replace('/', "%2F"))).status, 404);
    }

    // TabPy spoils a docstring's letters whenever it writes its state; here they are whole again.
    let docstring = "Zählt zwei Zahlen.\n\nAuch größere.";
    for (name, expected) in theirs["endpoints"].as_object().unwrap() {
        let mut expected = expected.clone();
        if name == "add" {
            expected["docstring"] = json!(docstring);
        }
        assert_eq!(server.get(&format!("/endpoints/{}", name.replace(' ', "%20"))).json(), expected);
    }
    let answers = &theirs["answers"];
    for (name, data) in
        [("add", json!([2, 3])), ("my constant", json!([])), ("predict", json!({"xs": [2, 3]}))]
    {
        let answer = query(&server, &name.replace(' ', "%20"), &data).json();
        for member in ["response", "version", "model"] {
            assert_eq!(answer[member], answers[name][member], "{name}: {answer}");
        }
    }
    assert_eq!(versions(&server, "add"), [3, 2, 1]);
    assert_eq!(query(&server, "add?version=2", &json!([2, 3])).json()["response"], json!([2, 5]));
    assert_eq!(query(&server, "plus", &json!([2, 3])).json()["response"], json!([3, 5]));
    let plus = server.get("/endpoints/plus").json();
    assert_eq!((&plus["target"], &plus["dependencies"]), (&json!("add"), &json!(["add"])));
    eventually("it is known not to load", DEPLOY_PATIENCE, || {
        server.get("/status").json()["older"]["status"] == "LoadFailed"
    });
    let status = server.get("/status").json();
    let error = status["older"]["last_error"].as_str().unwrap();
    assert!(error.starts_with("the archive was made by Python 3.8, 3.9 or 3.10"), "{error}");

    // What is deployed from now on follows on the versions that were there.
    assert_eq!(put(&server, "my%20constant", "def f(): return 43\n").json()["version"], 2);
    for name in ["plus", "add"] {
        assert_eq!(send(&server, &Request::new("DELETE", &format!("/endpoints/{name}"))).status, 204);
    }
    let server = server.restart().ready();
    assert_eq!(server.get("/endpoints/add").status, 404, "what was removed does not come again");
    assert_eq!(called(&server, "my%20constant"), json!(43));
    assert!(Path::new(&state).join("query_objects/add/3/pickle_archive").exists(), "TabPy's own files stay");
}
