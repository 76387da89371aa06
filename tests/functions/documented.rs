//! The commands and the snippet of docs/functions.md, run as they are written there.

use std::path::Path;
use std::process::Command;

use crate::support::{Request, Server};

const PAGE: &str = include_str!("../../docs/functions.md");

/// The blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    PAGE.split(begin.as_str()).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

/// With the server's own address in place of the page's.
fn here(text: &str, server: &Server) -> String {
    let text = text.replace("localhost:9004", &server.host());
    assert!(text.contains(&server.host()), "{text}");
    text
}

fn run(command: &mut Command, folder: &Path) -> String {
    let output =
        command.current_dir(folder).env_remove("http_proxy").env_remove("HTTP_PROXY").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}{errors}");
    said
}

#[test]
fn the_commands_do_what_they_are_said_to() {
    let server = Server::builder().file("add.py", "def add(x, y=1):\n    return x + y\n").start().ready();
    let first = Request::new("PUT", "/functions/add").body("def add(x, y=1):\n    return x + y\n");
    assert_eq!(server.send(&first).status, 201);
    let mut said = Vec::new();
    for line in blocks("sh").into_iter().flat_map(str::lines) {
        let line = here(line, &server).replace("curl ", "curl --silent --show-error --fail-with-body ");
        said.push(run(Command::new("/bin/sh").args(["-c", &line]), &server.path("")));
    }
    assert!(
        said[0].starts_with("{\"response\": 3, ") && said[1].starts_with("{\"response\": 3, "),
        "{said:?}"
    );
    assert!(said[2].contains("\"version\": 2") && said[3].contains("\"is_public\": true"), "{said:?}");
    assert!(said[4].starts_with("{\"functions\": [") && said[6].contains("\"versions\": ["), "{said:?}");
    assert!(said[7].contains("\"version\": 3") && said[8].is_empty() && said.len() == 9, "{said:?}");
    assert_eq!(server.get("/endpoints/add").status, 404);
    assert_eq!(server.get("/endpoints/Add%20up").json()["description"], "Adds up");
}

#[test]
fn the_snippet_deploys_an_archive() {
    let server =
        Server::builder().env("TABPY_USERNAME", "tableau").env("TABPY_PASSWORD", "password").start().ready();
    let snippet = blocks("python").into_iter().find(|block| block.contains("cloudpickle.dumps")).unwrap();
    assert!(snippet.lines().filter(|line| !line.is_empty()).count() <= 10, "{snippet}");
    let file = server.path("snippet.py");
    std::fs::write(&file, here(snippet, &server)).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    let said = run(Command::new(python).arg(file), &server.path(""));
    assert!(said.starts_with("201 {'name': 'add', 'version': 1, 'status': 'LoadSuccessful'"), "{said}");
    let query = Request::post("/query/add", r#"{"data": {"x": 1, "y": 2}}"#).login("tableau", "password");
    assert_eq!(server.send(&query).json()["response"], 3);
    let one = server.send(&Request::get("/functions/add").login("tableau", "password")).json();
    assert_eq!(
        (&one["docstring"], &one["versions"][0]["kind"]),
        (&"Adds two numbers.".into(), &"archive".into())
    );
    assert_eq!(one["versions"][0]["deployed_by"], "tableau");
    server.wait_for_line("who deployed it", |line| {
        line.contains("function deployed") && line.contains("name=add") && line.contains("user=tableau")
    });
}
