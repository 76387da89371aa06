//! The functions' folder: published at start, beneath what is deployed, and never in the database.

use std::fs;

use serde_json::json;

use crate::engine::{Engine, called, eventually, on_both_engines, put, query, send};
use crate::support::{PATIENCE, Request, Server};

on_both_engines! {
    deployed_functions_lie_over_those_of_the_folder
}

const PUBLISHED: &str = "\"\"\"A file.\"\"\"\nfrom tabpy_rs import publish\n\n@publish(name=\"Sentiment Two\", public=True)\ndef sentiment(text: str) -> int:\n    \"Feels.\"\n    return len(text)\n\ndef hidden():\n    return 0\n";

fn write(server: &crate::support::server::Builder, name: &str, text: &str) {
    let folder = server.folder().join("functions");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn files_are_published_and_a_broken_one_is_told_of() {
    let builder = Server::builder();
    write(
        &builder,
        "plain.py",
        "import math\ndef root(x: float) -> float:\n    'Roots.'\n    return math.sqrt(x)\ndef _own(): pass\n",
    );
    write(&builder, "marked.py", PUBLISHED);
    write(&builder, "broken.py", "def broken(:\n");
    write(&builder, "missing.py", "import nonexistent_module\ndef x(): pass\n");
    write(&builder, "zz_again.py", "def root(x): return 0\ndef other(): return 1\n");
    write(&builder, "_private.py", "def private(): pass\n");
    write(&builder, "notes.txt", "no Python");
    let server = builder.start().ready();
    let names: Vec<String> = server.get("/endpoints").json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["Sentiment Two", "other", "root"]);
    assert_eq!(query(&server, "root", &json!({"x": 9})).json()["response"], 3.0);
    assert_eq!(query(&server, "Sentiment%20Two", &json!(["abc"])).json()["response"], 3);
    let endpoint = server.get("/endpoints/Sentiment%20Two").json();
    assert_eq!(
        (&endpoint["is_public"], &endpoint["docstring"], &endpoint["version"]),
        (&json!(true), &json!("Feels."), &json!(1))
    );
    assert!(endpoint["schema"].is_object(), "{endpoint}");
    let status = server.get("/status").json();
    for (name, words) in
        [("broken", "line 1"), ("missing", "nonexistent_module"), ("zz_again", "plain.py publishes root")]
    {
        assert_eq!(status[name]["status"], "LoadFailed", "{name}: {status}");
        assert!(status[name]["last_error"].as_str().unwrap().contains(words), "{status}");
    }
    assert_eq!(status["root"]["status"], "LoadSuccessful");
    let told = server.get("/functions/root").json();
    assert_eq!((&told["origin"], &told["file"]), (&json!("folder"), &json!("plain.py")));
    let info = send(&server, &Request::new("DELETE", "/endpoints/root"))
        .info(400, "endpoint root is published from the file plain.py and can only be changed there.");
    assert!(info.contains("TABPY_FUNCTIONS_PATH"), "{info}");
}

fn deployed_functions_lie_over_those_of_the_folder(engine: &mut Engine) {
    let builder = engine.builder();
    write(&builder, "f.py", "def f(): return 'folder'\ndef g(): return 'g'\n");
    let server = builder.start().ready();
    assert_eq!(called(&server, "f"), "folder");
    let answer = put(&server, "f", "def f(): return 'deployed'");
    assert_eq!((answer.status, &answer.json()["version"]), (200, &json!(2)), "{}", answer.text());
    assert_eq!(called(&server, "f"), "deployed");
    fs::write(server.path("functions/f.py"), "def f(): return 'changed'\ndef g(): return 'g'\n").unwrap();
    let server = server.restart().ready();
    assert_eq!(called(&server, "f"), "deployed");
    if let Engine::Postgres(postgres) = engine {
        assert_eq!(
            postgres.ask("SELECT name, version FROM tabpy_versions"),
            "f|2\n",
            "the folder is nobody else's"
        );
    }
    assert_eq!(send(&server, &Request::new("DELETE", "/endpoints/f")).status, 204);
    assert_eq!(called(&server, "f"), "changed");
    assert_eq!(called(&server, "g"), "g");
}

#[test]
fn the_shipped_functions_are_published() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/functions");
    let server = Server::builder().env("TABPY_FUNCTIONS_PATH", shipped).start();
    eventually("they are published", 12 * PATIENCE, || server.get("/readyz").status == 200);
    let names: Vec<String> = server.get("/endpoints").json().as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["PCA", "Sentiment Analysis", "anova", "ttest"]);
    let answer = query(&server, "ttest", &json!([[1, 2, 3], [4, 5, 6]]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let missing = Server::builder().env("TABPY_FUNCTIONS_PATH", "/nonexistent/functions").start();
    missing.wait_for_log("TABPY_FUNCTIONS_PATH cannot be read");
}
