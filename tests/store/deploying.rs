//! A function's life: deployed, changed, rolled back and removed, and there again after a restart.

use serde_json::json;

use crate::engine::{Engine, called, on_both_engines, put, query, send, versions};
use crate::support::Request;

on_both_engines! {
    a_function_is_there_after_a_restart
    versions_are_kept_callable_and_restorable
    a_function_that_does_not_load_replaces_nothing
    what_a_function_tells_of_itself
}

fn a_function_is_there_after_a_restart(engine: &mut Engine) {
    let server = engine.server();
    let answer = put(&server, "add", "def add(x, y=1):\n    'Adds.'\n    return x + y\n");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let told = answer.json();
    assert_eq!(
        (&told["name"], &told["version"], &told["url"]),
        (&json!("add"), &json!(1), &json!("/query/add"))
    );
    assert_eq!((&told["status"], &told["docstring"]), (&json!("LoadSuccessful"), &json!("Adds.")));
    assert_eq!(query(&server, "add", &json!({"x": 2, "y": 5})).json()["response"], 7);
    server.wait_for_log("function deployed");
    let server = server.restart().ready();
    assert_eq!(query(&server, "add", &json!([2])).json()["response"], 3);
    assert_eq!(server.get("/endpoints/add").json()["docstring"], "Adds.");
    server.evaluate("return tabpy.query('add', 1, 2)['response']", json!({})).is(200, "3");

    assert_eq!(send(&server, &Request::new("DELETE", "/functions/add")).status, 204);
    assert_eq!(query(&server, "add", &json!([2])).status, 404);
    assert_eq!(server.get("/endpoints").text(), "{}");
    let server = server.restart().ready();
    assert_eq!(server.get("/status").text(), "{}");
    send(&server, &Request::new("DELETE", "/functions/add"))
        .info_is_empty(404, "endpoint add does not exist.");
}

fn versions_are_kept_callable_and_restorable(engine: &mut Engine) {
    let server = engine.builder().env("TABPY_FUNCTION_VERSIONS", 3).start().ready();
    for version in 1..=5 {
        let answer = put(&server, "f", &format!("def f():\n    return {version}\n"));
        assert_eq!(answer.status, if version == 1 { 201 } else { 200 }, "{}", answer.text());
        assert_eq!(answer.json()["version"], version);
    }
    assert_eq!(versions(&server, "f"), [5, 4, 3]);
    assert_eq!((called(&server, "f"), called(&server, "f?version=3")), (json!(5), json!(3)));
    assert_eq!(query(&server, "f?version=2", &json!([])).status, 404);

    let back = send(&server, &Request::new("POST", "/functions/f/rollback?version=3"));
    assert_eq!((back.status, &back.json()["version"]), (200, &json!(6)), "{}", back.text());
    assert_eq!(called(&server, "f"), json!(3));
    assert_eq!(versions(&server, "f"), [6, 5, 4]);
    let server = server.restart().ready();
    assert_eq!((called(&server, "f"), called(&server, "f?version=4")), (json!(3), json!(4)));
    for (target, status) in [("version=3", 404), ("version=6", 400), ("version=x", 400), ("", 400)] {
        let refused = send(&server, &Request::new("POST", &format!("/functions/f/rollback?{target}")));
        refused.error(status);
    }
    assert_eq!(versions(&server, "f"), [6, 5, 4]);
}

fn a_function_that_does_not_load_replaces_nothing(engine: &mut Engine) {
    let server = engine.builder().env("TABPY_QUERY_TIMEOUT", 3).start().ready();
    let sources = [
        ("def f(:\n", "line 1"),
        ("import nonexistent_module\ndef f(): return 1\n", "nonexistent_module"),
        ("raise ValueError('oh')\n", "oh"),
        ("import os\nos._exit(3)\n", ""),
        ("while True: pass\n", "3 s"),
        ("x = 1\n", "no public function"),
    ];
    for (number, (source, words)) in sources.into_iter().enumerate() {
        let info = put(&server, "f", source).info(422, "LoadFailed: endpoint f was not deployed.");
        assert!(info.contains(words), "{number}: {info}");
    }
    let status = server.get("/status").json();
    assert_eq!((&status["f"]["status"], &status["f"]["version"]), (&json!("LoadFailed"), &json!(1)));
    assert_eq!(server.get("/endpoints").text(), "{}");

    assert_eq!(put(&server, "f", "def f(): return 'old'\n").status, 201);
    assert_eq!(server.get("/status").json()["f"]["status"], "LoadSuccessful");
    put(&server, "f", "def f(:\n").error(422);
    assert_eq!(called(&server, "f"), "old");
    let status = server.get("/status").json();
    assert_eq!((&status["f"]["status"], &status["f"]["version"]), (&json!("LoadFailed"), &json!(2)));
    assert!(status["f"]["last_error"].as_str().unwrap().contains("Version 1 is still in force"), "{status}");
    assert_eq!(server.get("/functions/f").json()["status"], "LoadSuccessful");
    assert_eq!(put(&server, "f", "def f(): return 'new'\n").json()["version"], 2);
    assert_eq!(called(&server, "f"), "new");
    server.still_works();
}

fn what_a_function_tells_of_itself(engine: &mut Engine) {
    let server = engine.server();
    let source = "def helper(): pass\n\ndef my_sum(x: float, y: float) -> float:\n    \"\"\"Zählt.\"\"\"\n    return x + y\n";
    let target = "/functions/My%20Sum?function=my_sum&public=true&description=a%20%26%20b&schema=%7B%22b%22%3A1,%22a%22%3A%5B%5D%7D";
    let answer = send(&server, &Request::new("PUT", target).body(source));
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["url"], "/query/My%20Sum");
    let endpoint = server.get("/endpoints/My%20Sum").text();
    assert!(endpoint.contains(r#""schema": {"b": 1, "a": []}"#), "{endpoint}");
    assert!(endpoint.contains(r#""docstring": "Z\u00e4hlt.""#), "{endpoint}");
    assert!(
        endpoint.contains(r#""description": "a & b""#) && endpoint.contains(r#""is_public": true"#),
        "{endpoint}"
    );
    assert_eq!(query(&server, "My%20Sum", &json!({"x": 1, "y": 2})).json()["response"], 3);
    let list = server.get("/functions").json();
    let one = &list["functions"][0];
    assert_eq!((&one["name"], &one["origin"]), (&json!("My Sum"), &json!("deployed")));
    assert_eq!(one["versions"][0]["deployed_by"], json!(null));
}
