//! What Tableau refuses, and what people get wrong: one sentence says what to change, the exit code tells
//! programs, and a session that was begun is ended.

use std::time::Duration;

use serde_json::json;

use crate::command::{Run, sentence};
use crate::http::Reply;
use crate::support::Server;
use crate::tableau::{Behaviour, TOKEN_NAME, Tableau};

const SERVER: &str = "https://tabpy.example.com";

fn connect(tableau: &Tableau) -> Run {
    Run::new(&["connect", "--tableau", &tableau.address(), "--skip-checks", SERVER]).login()
}

#[track_caller]
fn fails(run: Run, code: i32, words: &[&str]) {
    sentence(&run.ends_with(code), words);
}

#[test]
fn a_sign_in_that_is_refused() {
    let tableau = Tableau::start();
    let run =
        connect(&tableau).env("TABLEAU_TOKEN_NAME", TOKEN_NAME).env("TABLEAU_TOKEN_VALUE", "wr0ngValue");
    fails(run, 4, &["the personal access token ci token", "401001", "expired", "the site sales"]);
    let run = Run::new(&["connect", "--list", "--tableau", &tableau.url(), "--site", "marketing"]).token();
    fails(run, 4, &["the site marketing", "check that the site is the right one"]);
    let run =
        connect(&tableau).env("TABLEAU_USERNAME", "ann@example.com").env("TABLEAU_PASSWORD", "wr0ngPassword");
    fails(run, 4, &["TABLEAU_PASSWORD"]);
    assert_eq!(tableau.sign_ins(), 0);
}

#[test]
fn a_connected_app_with_another_secret() {
    let tableau = Tableau::start().expecting_faults();
    let run = Run::new(&["connect", "--check", "--tableau", &tableau.address(), "--skip-checks", SERVER]);
    fails(run.app().env("TABLEAU_APP_SECRET_VALUE", "another"), 4, &["connected app", "clock"]);
}

#[test]
fn a_connected_app_cannot_register_and_is_not_signed_in_for_it() {
    let tableau = Tableau::start();
    fails(connect(&tableau).app(), 5, &["TABLEAU_TOKEN_NAME", "--check", "second factor"]);
    assert_eq!(tableau.calls(), [""; 0]);
}

#[test]
fn who_is_no_administrator() {
    let tableau = Tableau::that(Behaviour { no_administrator: true, ..Behaviour::default() });
    fails(connect(&tableau).token(), 5, &["administrator", "403"]);
    assert_eq!((tableau.sign_ins(), tableau.open_sessions()), (1, 0));
}

#[test]
fn a_site_whose_setting_is_off() {
    let tableau = Tableau::that(Behaviour { site_off: true, ..Behaviour::default() });
    fails(connect(&tableau).token(), 6, &["--enable-site"]);
    assert!(!tableau.enabled() && tableau.connections().is_empty());
}

#[test]
fn a_session_that_ends_in_between() {
    let tableau = Tableau::that(Behaviour { session_ends_after: Some(2), ..Behaviour::default() });
    fails(connect(&tableau).token(), 4, &["ended the session", "same token"]);
}

#[test]
fn a_connection_of_that_name_of_another_type_or_twice() {
    let tableau = Tableau::start().with_connection("x", "tabpy-rs", "RSERVE");
    fails(connect(&tableau).token(), 7, &["RSERVE", "--name"]);
    fails(Run::new(&["connect", "--tableau", &tableau.address(), "--remove"]).token(), 7, &["RSERVE"]);
    let tableau = tableau.with_connection("y", "twice", "TABPY").with_connection("z", "twice", "TABPY");
    fails(connect(&tableau).token().arg("--name").arg("twice"), 7, &["2 connections", "--name"]);
    let run = Run::new(&["connect", "--tableau", &tableau.address(), "--remove", "--name", "none"]).token();
    fails(run, 7, &["no connection none", "--list"]);
    assert_eq!(tableau.connections().len(), 3);
}

#[test]
fn a_workbook_that_is_not_there_or_twice() {
    let tableau = Tableau::start();
    fails(connect(&tableau).token().arg("--workbook").arg("None such"), 7, &["None such", "--workbook"]);
    let words = &["2 workbooks", "22222222-0000-4000-8000-000000000003 in Default"];
    fails(connect(&tableau).token().arg("--workbook").arg("Twice"), 7, words);
    assert!(tableau.connections().is_empty(), "nothing is made for a workbook that is not there");
}

#[test]
fn a_tableau_that_is_none_or_too_old() {
    let page = Reply::new(200, "text/html", "<html>Welcome</html>");
    let tableau = Tableau::that(Behaviour { instead: Some(page), ..Behaviour::default() });
    fails(connect(&tableau).token(), 8, &["not Tableau", "--tableau"]);
    let tableau = Tableau::that(Behaviour { version: Some("3.10"), ..Behaviour::default() });
    fails(connect(&tableau).token(), 8, &["3.10", "2021.1"]);
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let run = Run::new(&["connect", "--list", "--tableau", &address]).token();
    fails(run, 8, &["nobody listens", "--tableau"]);
}

#[test]
fn a_tableau_in_trouble_or_in_another_form() {
    for (reply, code, word) in [
        (Reply::new(503, "text/html", "<html>back soon</html>"), 8, "try again later"),
        (
            Reply::json(400, &json!({"httpErrorCode": 400, "message": "Port is missing"})),
            1,
            "Port is missing",
        ),
        (Reply::json(200, &json!({"settings": []})), 8, "form"),
        (Reply::new(200, "text/html", "<html>"), 8, "no JSON"),
        (Reply::json(404, &json!({"httpErrorCode": 404, "message": "x"})), 7, "2021.1"),
    ] {
        let tableau = Tableau::that(Behaviour { settings_instead: Some(reply), ..Behaviour::default() });
        fails(connect(&tableau).token(), code, &[word]);
        assert_eq!(tableau.open_sessions(), 0);
    }
}

#[test]
fn a_tableau_that_is_slow() {
    let slow = Behaviour { slow: Duration::from_secs(5), slow_path: "/connections", ..Behaviour::default() };
    let tableau = Tableau::that(slow);
    fails(connect(&tableau).token().arg("--timeout").arg("1"), 8, &["did not answer in time", "--timeout"]);
    assert_eq!(tableau.open_sessions(), 0, "it signs out all the same");
}

#[test]
fn a_sign_in_that_a_redirect_made_a_get() {
    let refusal = json!({"error": {"summary": "Method Not Allowed", "detail": "Request type \"GET\"", "code": "405000"}});
    let listening = crate::http::serve(move |request| {
        Some(match request.method.as_str() {
            "GET" => Reply::json(200, &json!({"serverInfo": {"restApiVersion": "3.22"}})),
            _ => Reply::json(405, &refusal),
        })
    });
    let run = Run::new(&["connect", "--list", "--tableau", &format!("http://127.0.0.1:{}", listening.port)]);
    fails(run.token(), 2, &["405000", &format!("--tableau https://127.0.0.1:{}", listening.port)]);
}

#[test]
fn secrets_do_not_follow_a_redirect_to_somebody_else() {
    let other = Tableau::start();
    let elsewhere = Some((307, format!("http://localhost:{}", other.port())));
    let tableau = Tableau::that(Behaviour { elsewhere, ..Behaviour::default() });
    fails(connect(&tableau).token(), 8, &["not the same Tableau", "--tableau"]);
    assert_eq!(other.calls(), [""; 0]);
}

#[test]
fn addresses_and_variables_that_are_wrong() {
    let cloud = "https://10ay.online.tableau.com";
    for (arguments, words) in [
        (&["connect", SERVER][..], &["--tableau", "TABLEAU_URL"][..]),
        (&["connect", "--tableau", cloud, SERVER], &["--site"]),
        (&["connect", "--tableau", "http://10ay.online.tableau.com/#/site/a", SERVER], &["only https"]),
        (
            &["connect", "--tableau", cloud, "--site", "a", "--insecure", SERVER],
            &["--insecure", "leave it out"],
        ),
        (&["connect", "--tableau", cloud, "--site", "a", "--site", "b", SERVER], &["once for each --site"]),
        (&["connect", "--tableau", "tableau.example.com", "ftp://x"], &["https://"]),
        (&["connect", "--tableau", "tableau.example.com"], &["server's address is missing"]),
        (&["connect", "--tableau", "tableau.example.com", "--ca-file", "none.pem", "--list"], &["none.pem"]),
        (&["connect", "--tableau", "tableau.example.com", "--secrets", "none.env", "--list"], &["none.env"]),
        (&["connect", "--tableau", cloud, "--site", "a", "--skip-checks", "http://x.example"], &["https"]),
        (&["connect", "--tableau", "t.example.com", "--skip-checks", "http://x.example"], &["--insecure"]),
    ] {
        fails(Run::new(arguments).token().login(), 2, words);
    }
    let run = Run::new(&["connect", "--tableau", "tableau.example.com", "--list"]);
    fails(run, 2, &["TABLEAU_TOKEN_NAME", "TABLEAU_TOKEN_VALUE", "TABLEAU_PASSWORD"]);
    let run =
        Run::new(&["connect", "--tableau", "tableau.example.com", "--list"]).env("TABLEAU_TOKEN_NAME", "x");
    fails(run, 2, &["TABLEAU_TOKEN_VALUE is not set"]);
    let run = Run::new(&["doctor", SERVER]).env("TABPY_PASSWORD", "x");
    fails(run, 2, &["TABPY_USERNAME is not"]);
    for arguments in [
        &["connect", "--list", "--check", "x"][..],
        &["connect", "--list", SERVER],
        &["connect", "--timeout", "0", SERVER],
        &["connect", "--token", "x"],
        &["doctor"],
    ] {
        Run::new(arguments).ends_with(2);
    }
}

#[test]
fn a_server_that_asks_for_a_password_nobody_gave() {
    let server =
        Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess").start().ready();
    let tableau = Tableau::start();
    let address = format!("http://127.0.0.1:{}", server.port());
    fails(
        Run::new(&["connect", "--tableau", &tableau.address(), &address]).token(),
        2,
        &["TABPY_USERNAME is not set"],
    );
    let run = Run::new(&["connect", "--tableau", &tableau.address(), &address]).token().login();
    let said = run.ends_with(3);
    assert!(
        said.contains("FAILED   password        the server does not take the password of tableau"),
        "{said}"
    );
    assert_eq!(tableau.calls(), [""; 0], "a server that fails its checks is not registered");
}
