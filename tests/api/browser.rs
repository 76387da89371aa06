//! Websites in somebody's browser: they can make it send requests, and must not make it run Python.

use serde_json::json;

use crate::support::{Builder, Request, Server};

fn evaluate() -> Request {
    Request::evaluate("print('script-was-run')\nreturn 1", &json!({}))
}

#[track_caller]
fn refused(server: &Server, request: Request) {
    let response = server.send(&request);
    assert_eq!(response.status, 403, "{request:?}");
    response.error(403);
}

#[test]
fn a_foreign_origin_runs_nothing() {
    let server = Server::start().ready();
    let own = server.host();
    for origin in [
        "http://evil.example",
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost.evil.example",
        &format!("http://{own}.evil.example"),
        &format!("http://evil.example/{own}"),
        &format!("http://{own}@evil.example"),
        "file://",
        "http://[::1",
    ] {
        refused(&server, evaluate().header("Origin", origin));
        refused(&server, Request::post("/query/x", "{}").header("Origin", origin));
        refused(&server, Request::get("/query/x").header("Origin", origin));
        refused(&server, Request::post("/endpoints", "{}").header("Origin", origin));
        refused(&server, Request::new("PUT", "/endpoints/x").body("{}").header("Origin", origin));
        refused(&server, Request::new("DELETE", "/endpoints/x").header("Origin", origin));
    }
    server.still_works();
    assert!(!server.log().contains("script-was-run"));
    for origin in [format!("http://{own}"), format!("https://{own}")] {
        server.send(&evaluate().header("Origin", origin)).is(200, "1");
    }
}

#[test]
fn an_empty_origin_is_a_foreign_one() {
    let server = Server::start().ready();
    refused(&server, evaluate().header("Origin", ""));
    server.still_works();
}

#[test]
fn cross_site_without_an_allowed_origin_runs_nothing() {
    let server = Server::start().ready();
    let own = format!("http://{}", server.host());
    refused(&server, evaluate().header("Sec-Fetch-Site", "cross-site"));
    for path in ["/query/x", "/%71uery/x", "/quer%79/x", "//query/x"] {
        refused(&server, Request::get(path).header("Sec-Fetch-Site", "cross-site"));
    }
    refused(
        &server,
        evaluate().header("Sec-Fetch-Site", "cross-site").header("Origin", "http://evil.example"),
    );
    server.still_works();
    assert!(!server.log().contains("script-was-run"));
    for value in ["same-origin", "none", "same-site"] {
        server.send(&evaluate().header("Sec-Fetch-Site", value)).is(200, "1");
    }
    server.send(&evaluate().header("Sec-Fetch-Site", "same-origin").header("Origin", own)).is(200, "1");
}

#[test]
fn a_link_from_elsewhere_opens_a_page() {
    let server = Server::start().ready();
    let pages = ["/server", "/docs", "/openapi.json", "/functions", "/metrics", "/live"];
    for path in ["/", "/info", "/status", "/endpoints", "/healthz"].into_iter().chain(pages) {
        let request = Request::get(path)
            .header("Sec-Fetch-Site", "cross-site")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Origin", "http://elsewhere.example");
        let response = server.send(&request);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("Access-Control-Allow-Origin"), None, "{path}");
    }
}

fn with_origin(origin: &str) -> Builder {
    Server::builder().state_ini(&format!(
        "[Service Info]\nName = Sales\nDescription = d\nCreation Time = 7\nAccess-Control-Allow-Origin = {origin}\n\
         Access-Control-Allow-Headers = Origin, Content-Type\nAccess-Control-Allow-Methods = GET, OPTIONS, PUT, POST\n"
    ))
}

#[test]
fn an_origin_that_the_state_file_allows_may_run_scripts() {
    let server = with_origin("https://dash.example").start().ready();
    let allowed = server.send(&evaluate().header("Origin", "https://dash.example"));
    allowed.is(200, "1");
    assert_eq!(allowed.header("Access-Control-Allow-Origin"), Some("https://dash.example"));
    let request = evaluate().header("Origin", "https://dash.example").header("Sec-Fetch-Site", "cross-site");
    server.send(&request).is(200, "1");
    for origin in ["https://dash.example.evil", "http://dash.example", "https://dash.example:444", "null"] {
        refused(&server, evaluate().header("Origin", origin));
    }
    let server = with_origin("*").start().ready();
    server.send(&evaluate().header("Origin", "https://anything.example")).is(200, "1");
}

#[test]
fn options_answers_with_the_state_files_headers() {
    let server = with_origin("https://dash.example").start().ready();
    for path in ["/evaluate", "/info", "/query/x", "/", "/no-such-path"] {
        let request = Request::new("OPTIONS", path)
            .header("Origin", "https://dash.example")
            .header("Access-Control-Request-Method", "POST");
        let response = server.send(&request);
        response.is(200, "{}");
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("https://dash.example"), "{path}");
        assert_eq!(response.header("Access-Control-Allow-Headers"), Some("Origin, Content-Type"), "{path}");
        assert_eq!(
            response.header("Access-Control-Allow-Methods"),
            Some("GET, OPTIONS, PUT, POST"),
            "{path}"
        );
    }
    let info = server.get("/info").json();
    assert_eq!(
        (&info["name"], &info["description"], &info["creation_time"]),
        (&json!("Sales"), &json!("d"), &json!("7"))
    );
    let plain = Server::start();
    let response = plain.send(&Request::new("OPTIONS", "/evaluate").header("Origin", "https://dash.example"));
    response.is(200, "{}");
    assert!(response.headers.iter().all(|(name, _)| !name.to_lowercase().starts_with("access-control-")));
}

#[test]
fn credentials_that_a_browser_remembers_do_not_help_a_website() {
    let server =
        Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess").start().ready();
    refused(&server, evaluate().login("ada", "countess").header("Origin", "http://evil.example"));
    refused(&server, evaluate().login("ada", "countess").header("Sec-Fetch-Site", "cross-site"));
    // Behind an edge the host is the public one, and the origin is https.
    let request = evaluate()
        .login("ada", "countess")
        .header("Host", "tabpy.example.com")
        .header("Origin", "https://tabpy.example.com");
    server.send(&request).is(200, "1");
    server.wait_for_log("script-was-run");
    assert_eq!(server.log().matches("script-was-run").count(), 1, "{}", server.log());
}

#[test]
fn tableau_sends_none_of_these_headers() {
    let server = Server::start().ready();
    server.send(&evaluate()).is(200, "1");
}
