//! Where secrets come from, and where they do not go.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::command::{Run, TABPY_PASSWORD, TABPY_USER, sentence};
use crate::http::{Reply, serve};
use crate::tableau::{TOKEN_NAME, TOKEN_VALUE, Tableau};

const SERVER: &str = "https://tabpy.example.com";

#[test]
fn a_file_gives_what_the_environment_does_not() {
    let tableau = Tableau::start();
    let text = format!(
        "TABLEAU_TOKEN_NAME='{TOKEN_NAME}'\nTABLEAU_TOKEN_VALUE='{TOKEN_VALUE}'\nTABPY_USERNAME={TABPY_USER}\n\
         TABPY_PASSWORD=not-this-one\n"
    );
    let run = Run::new(&[
        "connect",
        "--tableau",
        &tableau.address(),
        "--skip-checks",
        SERVER,
        "--secrets",
        "s.env",
    ])
    .env("TABPY_PASSWORD", TABPY_PASSWORD)
    .file("s.env", &text);
    let path = run.folder().join("s.env");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = run.ends_with(0);
    assert!(said.contains("others on this machine can read s.env") && said.contains("chmod 600"), "{said}");
    let made = tableau.connections().into_values().next().unwrap();
    assert_eq!((&made["username"], &made["password"]), (&json!(TABPY_USER), &json!(TABPY_PASSWORD)));
}

#[test]
fn a_bad_line_of_the_file_is_not_shown() {
    let run = Run::new(&["connect", "--tableau", "t.example", "--list", "--secrets", "s.env"])
        .file("s.env", "TABLEAU_TOKEN_VALUE=se cret\n");
    let said = run.ends_with(2);
    sentence(&said, &["s.env", "single quotes"]);
    assert!(!said.contains("cret\n") && !said.contains("se cret"), "{said}");
}

#[test]
fn a_tableau_that_repeats_a_secret_does_not_bring_it_to_the_terminal() {
    let said_back =
        json!({"error": {"summary": "Bad", "detail": format!("{TOKEN_VALUE} \u{1b}[2J"), "code": "401001"}});
    let listening = serve(move |request| {
        Some(match request.method.as_str() {
            "GET" => Reply::json(200, &json!({"serverInfo": {"restApiVersion": "3.22"}})),
            _ => Reply::json(401, &said_back),
        })
    });
    let run = || {
        Run::new(&["connect", "--list", "--tableau", &format!("http://127.0.0.1:{}", listening.port)]).token()
    };
    let said = run().ends_with(4);
    assert!(said.contains("Bad: ***") && !said.contains('\u{1b}'), "{said}");
    let said = run().arg("--json").ends_with(4);
    assert!(!said.contains(TOKEN_VALUE), "{said}");
}

#[test]
fn a_token_does_not_go_over_plain_http_unasked() {
    // The name is looked up by a proxy alone, which gets whole addresses for plain http.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let proxy = serve(move |request| {
        seen.lock().unwrap().push(format!("{} {}", request.method, request.target));
        Some(Reply::json(200, &json!({"serverInfo": {"restApiVersion": "3.22"}})))
    });
    let arguments = ["connect", "--list", "--tableau", "http://tableau.example.com/#/site/sales"];
    let run = || Run::new(&arguments).token().env("HTTP_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    sentence(&run().ends_with(2), &["others can read the token", "https://", "--insecure"]);
    assert_eq!(*asked.lock().unwrap(), ["GET http://tableau.example.com/api/2.4/serverinfo"]);
    sentence(&run().arg("--insecure").ends_with(8), &["holds no token"]);
}
