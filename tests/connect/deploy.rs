//! Functions of a running server, from elsewhere: what is asked, and what people read.

use serde_json::{Value, json};

use crate::authority::Authority;
use crate::command::{Run, sentence};
use crate::functions_server::{Functions, answering};
use crate::http::{Reply, serve};
use crate::terminator::Terminator;

const SOURCE: &str = "def add(a, b):\n    'Adds – é.'\n    return [x + y for x, y in zip(a, b)]\n";

fn run(server: &Functions, arguments: &[&str]) -> Run {
    Run::new(arguments).arg("--server").arg(server.address()).login().file("add.py", SOURCE)
}

fn deployed(name: &str) -> Value {
    json!({"name": name, "version": 2, "status": "LoadSuccessful", "url": format!("/query/{name}")})
}

#[test]
fn a_file_is_deployed_as_it_is() {
    let server = answering(201, &deployed("add"));
    let said = run(&server, &["deploy", "add.py"]).ends_with(0);
    assert_eq!(said, "Deployed add as version 2: /query/add\n");
    let asked = server.asked();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("PUT", "/functions/add"));
    assert_eq!(asked.header("content-type"), Some("text/x-python"));
    assert_eq!(asked.body, SOURCE.as_bytes());
}

#[test]
fn name_function_description_visibility_and_schema() {
    let server = answering(200, &deployed("Sum of two"));
    let arguments = [
        "deploy",
        "add.py:add",
        "--name",
        "Sum of two",
        "--description",
        "a & b",
        "--public",
        "--schema",
        "s.json",
    ];
    run(&server, &arguments).file("s.json", "{\"type\": \"object\"}").ends_with(0);
    let expected = "/functions/Sum%20of%20two?function=add&description=a+%26+b&schema=%7B%22type%22%3A%22object%22%7D&public=true";
    assert_eq!(server.asked().target, expected);
    let server = answering(200, &deployed("add"));
    run(&server, &["deploy", "add.py:add"]).ends_with(0);
    assert_eq!(server.asked().target, "/functions/add?function=add");
    let server = answering(200, &deployed("../x"));
    run(&server, &["deploy", "add.py", "--name", "a/../b?c#d"]).ends_with(0);
    assert_eq!(server.asked().target, "/functions/a%2F..%2Fb%3Fc%23d");
}

#[test]
fn functions_are_listed_removed_and_restored() {
    for list in [
        json!({"functions": [{"name": "add", "version": 3, "status": "LoadSuccessful", "origin": "deployed", "description": "x\ny"}]}),
        json!([{"name": "add", "version": 3, "status": "LoadSuccessful", "origin": "deployed", "description": "x\ny"}]),
        json!({"add": {"version": 3, "status": "LoadSuccessful", "origin": "deployed", "description": "x\ny"}}),
    ] {
        let server = answering(200, &list);
        let said = run(&server, &["functions", "list"]).ends_with(0);
        assert_eq!(said, "add  version 3  LoadSuccessful  deployed  x y\n");
        let asked = server.asked();
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/functions"));
    }
    let server = answering(200, &json!({"functions": []}));
    assert_eq!(run(&server, &["functions", "list"]).ends_with(0), "There are no functions.\n");
    let server = answering(204, &Value::Null);
    assert_eq!(run(&server, &["functions", "remove", "my add"]).ends_with(0), "Removed my add.\n");
    let asked = server.asked();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("DELETE", "/functions/my%20add"));
    let server = answering(200, &deployed("add"));
    let said = run(&server, &["functions", "rollback", "add", "--version", "1"]).ends_with(0);
    assert_eq!(said, "add is again what version 1 was, as version 2.\n");
    let asked = server.asked();
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/functions/add/rollback?version=1"));
    let server = answering(200, &json!({"functions": []}));
    assert_eq!(run(&server, &["functions", "list", "--json"]).ends_with(0), "{\"functions\":[]}\n");
}

#[test]
fn what_the_server_refuses_is_told_in_its_own_words() {
    let server = answering(
        422,
        &json!({"message": "The function add does not load.", "info": "SyntaxError : line 2\n\u{1b}x"}),
    );
    let said = run(&server, &["deploy", "add.py"]).ends_with(1);
    assert_eq!(said, "tabpy-rs: The function add does not load: SyntaxError : line 2  x\n");
    let server = answering(404, &json!({"message": "Unknown endpoint", "info": {}}));
    assert_eq!(run(&server, &["functions", "remove", "x"]).ends_with(1), "tabpy-rs: Unknown endpoint\n");
    let server = answering(404, &Value::Null);
    sentence(&run(&server, &["functions", "list"]).ends_with(1), &["404", "is it tabpy-rs"]);
}

#[test]
fn what_is_wrong_on_this_side() {
    let server = answering(200, &json!([]));
    for (arguments, words) in [
        (&["deploy", "none.py"][..], &["none.py"][..]),
        (&["deploy", "add.py", "--schema", "add.py"], &["add.py", "no JSON"]),
        (&["deploy", "add.py", "--name", ".."], &["--name"]),
        (&["functions", "remove", " "], &["no name"]),
    ] {
        sentence(&run(&server, arguments).ends_with(1), words);
    }
    let wrong = run(&server, &["functions", "list"]).env("TABPY_PASSWORD", "another");
    sentence(&wrong.ends_with(1), &["does not take this user and password"]);
    let nobody = Run::new(&["functions", "list", "--server", &server.address()]);
    sentence(&nobody.ends_with(1), &["set TABPY_USERNAME and TABPY_PASSWORD"]);
    let plain = Run::new(&["functions", "list", "--server", "http://tabpy.example.com"]).login();
    sentence(&plain.ends_with(1), &["others can read the password", "--insecure"]);
    let silent = Run::new(&["functions", "list", "--server", "http://127.0.0.1:1"]);
    sentence(&silent.ends_with(1), &["nobody listens"]);
    let target = "https://elsewhere.example/functions";
    let elsewhere = serve(move |_| Some(Reply::redirect(301, target)));
    let run = Run::new(&["functions", "list", "--server", &format!("http://127.0.0.1:{}", elsewhere.port)]);
    sentence(&run.ends_with(1), &["https://elsewhere.example", "--server"]);
    for arguments in
        [&["deploy", "add.py"][..], &["functions"], &["functions", "rollback", "a", "--server", "x"]]
    {
        Run::new(arguments).ends_with(2);
    }
}

#[test]
fn certificates_are_checked() {
    let server = answering(200, &json!([]));
    let authority = Authority::new();
    let port = server.address().rsplit(':').next().unwrap().parse().unwrap();
    let terminator = Terminator::before(port, authority.good("localhost"));
    let run = || Run::new(&["functions", "list", "--server", &terminator.address()]).login();
    sentence(&run().ends_with(1), &["UnknownIssuer"]);
    let known = run();
    let file = authority.file(known.folder());
    known.arg("--ca-file").arg(file).ends_with(0);
    let said = run().arg("--insecure").ends_with(0);
    assert!(said.contains("is not checked, as --insecure says"), "{said}");
}
