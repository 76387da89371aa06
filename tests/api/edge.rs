//! Behind a platform's edge: what its headers say is believed where `TABPY_TRUST_PROXY` says so, and
//! nowhere else. tests/edge has real proxies in front.

use std::time::Duration;

use serde_json::json;

use crate::support::{Builder, Request, Response, Server};

const YEAR: &str = "max-age=31536000";

fn behind_an_edge() -> Builder {
    Server::builder()
        .env("TABPY_TRUST_PROXY", "true")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .env("TABPY_LOG_DETAILS", "true")
}

fn evaluate() -> Request {
    Request::evaluate("print('script-was-run')\nreturn 1", &json!({})).login("ada", "countess")
}

#[track_caller]
fn told_to_use_https(response: &Response) {
    let info = response.info(403, "This server is reached by HTTPS only.");
    assert!(info.contains("443") && info.contains("https://"), "{info}");
    // Nothing that asks for credentials, since they would be sent in the clear.
    assert_eq!(response.header("WWW-Authenticate"), None);
    assert_eq!(response.header("Strict-Transport-Security"), None);
}

#[test]
fn by_https_it_works_and_browsers_are_told_to_stay_there() {
    let server = behind_an_edge().start().ready();
    let by_https = |request: Request| server.send(&request.header("X-Forwarded-Proto", "https"));
    let answer = by_https(evaluate());
    answer.is(200, "1");
    assert_eq!(answer.header("Strict-Transport-Security"), Some(YEAR));
    for request in [Request::get("/"), Request::get("/info"), Request::get("/no-such-path")] {
        let answer = by_https(request);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("Strict-Transport-Security"), Some(YEAR));
    }
    assert_eq!(by_https(Request::get("/healthz")).header("Strict-Transport-Security"), Some(YEAR));
}

#[test]
fn plain_http_is_refused_before_credentials_are_looked_at() {
    let server = behind_an_edge().start().ready();
    let by_http = |request: Request| server.send(&request.header("X-Forwarded-Proto", "http"));
    let wrong = || Request::get("/info").login("ada", "wrong");
    for request in [
        evaluate(),
        Request::post("/evaluate", "{}"),
        Request::get("/info").login("ada", "countess"),
        wrong(),
        Request::get("/query/x"),
        Request::get("/endpoints"),
        Request::new("OPTIONS", "/evaluate"),
        Request::get("/no-such-path"),
        Request::post("/", "x"),
    ] {
        told_to_use_https(&by_http(request));
    }
    // What others may have put before it does not count.
    let chain = evaluate().header("X-Forwarded-Proto", "https, http");
    told_to_use_https(&server.send(&chain));
    let lines = evaluate().header("X-Forwarded-Proto", "https").header("X-Forwarded-Proto", "HTTP");
    told_to_use_https(&server.send(&lines));
    assert_eq!(server.send(&wrong()).status, 401);
    let line = server.wait_for_line("a refused call", |line| line.contains("status=403"));
    assert!(!line.contains("user=ada"), "{line}");
    assert!(!server.log().contains("script-was-run"));
}

#[test]
fn plain_http_to_a_page_leads_to_the_same_page_by_https() {
    let server = behind_an_edge().start().ready();
    let location = |request: Request| {
        let answer = server.send(&request.header("X-Forwarded-Proto", "http"));
        assert_eq!((answer.status, answer.body.len()), (308, 0));
        assert_eq!(answer.header("WWW-Authenticate"), None);
        answer.header("Location").unwrap().to_owned()
    };
    let page = |path: &str| Request::get(path).header("Host", "scores.example.com");
    assert_eq!(location(page("/")), "https://scores.example.com/");
    assert_eq!(location(page("/index.html?a=b%20c")), "https://scores.example.com/index.html?a=b%20c");
    assert_eq!(location(page("/assets/page.css")), "https://scores.example.com/assets/page.css");
    assert_eq!(
        location(Request::get("/").header("Host", "scores.example.com:80")),
        "https://scores.example.com/"
    );
    assert_eq!(location(Request::get("/").header("Host", "[::1]:8080")), "https://[::1]/");
    let rewritten = page("/").header("X-Forwarded-Host", "public.example.com");
    assert_eq!(location(rewritten), "https://public.example.com/");
    // A host that could lead elsewhere leads nowhere.
    for host in ["evil.example/x", "a@evil.example", "a b", "evil.example?x"] {
        let request = page("/").header("X-Forwarded-Host", host).header("X-Forwarded-Proto", "http");
        told_to_use_https(&server.send(&request));
    }
    let head = Request::new("HEAD", "/").header("Host", "a.example").header("X-Forwarded-Proto", "http");
    let answer = server.send(&head);
    assert_eq!((answer.status, answer.header("Location")), (308, Some("https://a.example/")));
}

#[test]
fn probes_and_the_machines_own_calls_need_no_https() {
    let server = behind_an_edge().start().ready();
    for path in ["/healthz", "/livez", "/readyz"] {
        for scheme in ["http", "https"] {
            let request = Request::get(path).header("X-Forwarded-Proto", scheme);
            assert_eq!(server.send(&request).status, 200, "{path}");
        }
    }
    let answer = server.send(&evaluate());
    answer.is(200, "1");
    assert_eq!(answer.header("Strict-Transport-Security"), None);
    server.send(&evaluate().header("Host", "elsewhere.example")).is(200, "1");
}

#[test]
fn livez_is_another_name_of_healthz() {
    let server = Server::start();
    let (livez, healthz) = (server.get("/livez"), server.get("/healthz"));
    assert_eq!((livez.status, livez.text()), (healthz.status, healthz.text()));
    assert_eq!(livez.text(), "{\"status\": \"alive\"}");
    assert_eq!(server.send(&Request::new("HEAD", "/livez")).status, 200);
    server.post("/livez", "{}").error(405);
}

#[test]
fn without_the_setting_nobodys_word_is_taken() {
    let server = Server::builder()
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .env("TABPY_LOG_DETAILS", "true")
        .start()
        .ready();
    let answer = server.send(
        &evaluate()
            .header("X-Forwarded-Proto", "http")
            .header("X-Forwarded-For", "203.0.113.9")
            .header("X-Request-Id", "forged-id"),
    );
    answer.is(200, "1");
    let answer = server.send(&evaluate().header("X-Forwarded-Proto", "https"));
    assert_eq!(answer.header("Strict-Transport-Security"), None);
    let own = evaluate()
        .header("Host", "inner")
        .header("X-Forwarded-Host", "public.example.com")
        .header("Origin", "https://public.example.com");
    server.send(&own).error(403);
    server.wait_for_line("a call", |line| line.contains("caller=127.0.0.1"));
    assert!(!server.log().contains("203.0.113.9") && !server.log().contains("forged-id"), "{}", server.log());
}

#[test]
fn the_log_has_the_clients_address_and_the_edges_id() {
    let server = behind_an_edge().start().ready();
    let mut number = 0;
    let mut caller_of = |values: &[&str]| {
        number += 1;
        let id = format!("edge-{number}.a");
        let first = evaluate().header("X-Request-Id", id.as_str()).header("X-Forwarded-Proto", "https");
        let request = values.iter().fold(first, |request, value| request.header("X-Forwarded-For", *value));
        server.send(&request).is(200, "1");
        let line = server.wait_for_line(&id, |line| line.contains(&id) && line.contains("duration_ms"));
        let caller = line.split_whitespace().find_map(|field| field.strip_prefix("caller="));
        caller.unwrap_or_else(|| panic!("no caller in {line}")).trim_matches('"').to_owned()
    };
    // What came first is what the client itself said.
    assert_eq!(caller_of(&["203.0.113.9"]), "203.0.113.9");
    assert_eq!(caller_of(&["10.0.0.1, 198.51.100.7,203.0.113.9"]), "203.0.113.9");
    assert_eq!(caller_of(&["10.0.0.1", "203.0.113.9"]), "203.0.113.9");
    assert_eq!(caller_of(&["2001:db8::7"]), "2001:db8::7");
    assert_eq!(caller_of(&["203.0.113.9:4711"]), "203.0.113.9");
    assert_eq!(caller_of(&["[2001:db8::7]:4711"]), "2001:db8::7");
    // No address: that of the connection.
    assert_eq!(caller_of(&["unknown"]), "127.0.0.1");
    assert_eq!(caller_of(&["203.0.113.9, "]), "127.0.0.1");
    assert_eq!(caller_of(&[]), "127.0.0.1");
}

#[test]
fn an_origin_is_compared_with_the_name_that_the_browser_knows() {
    let server = behind_an_edge().start().ready();
    let from = |origin: &str, scheme: &str| {
        let request = evaluate()
            .header("Host", "inner:9004")
            .header("X-Forwarded-Host", "public.example.com")
            .header("X-Forwarded-Proto", scheme)
            .header("Origin", origin);
        server.send(&request)
    };
    from("https://public.example.com", "https").is(200, "1");
    from("https://public.example.com:443", "https").is(200, "1");
    // Not the inner name, not another's, and no page that came unprotected.
    for origin in ["https://inner:9004", "https://evil.example", "http://public.example.com", "null", ""] {
        from(origin, "https").error(403);
    }
    // Who appended last was the proxy.
    let chain = evaluate()
        .header("Host", "inner")
        .header("X-Forwarded-Host", "evil.example, public.example.com")
        .header("X-Forwarded-Proto", "https");
    server.send(&chain.clone().header("Origin", "https://public.example.com")).is(200, "1");
    server.send(&chain.header("Origin", "https://evil.example")).error(403);
    // An edge that leaves the host as it is needs to say no more.
    let plain = evaluate().header("Host", "app.example.com").header("X-Forwarded-Proto", "https");
    server.send(&plain.clone().header("Origin", "https://app.example.com")).is(200, "1");
    server.send(&plain.header("Origin", "http://app.example.com")).error(403);
}

#[test]
fn heroku_is_an_edge_that_is_believed() {
    let server = Server::builder()
        .env("DYNO", "web.1")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .start()
        .ready();
    told_to_use_https(&server.send(&evaluate().header("X-Forwarded-Proto", "http")));
    server
        .send(&evaluate().header("X-Forwarded-Proto", "https").header("X-Request-Id", "of-the-router"))
        .is(200, "1");
    let line =
        server.wait_for_line("a call", |line| line.contains("of-the-router") && line.contains("duration_ms"));
    assert!(!line.contains("ts="), "{line}");
}

#[test]
fn a_router_may_keep_its_connections_while_slow_headers_are_cut_off() {
    let server = Server::start().ready();
    let mut kept = server.connect();
    kept.send(&Request::get("/info"));
    let mut slow = server.connect();
    slow.write(b"POST /evaluate HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    let answer = {
        slow.set_patience(Duration::from_secs(40));
        slow.read_head().unwrap()
    };
    assert_eq!(answer.status, 408);
    assert!(slow.is_closed_within(Duration::from_secs(10)));
    // Heroku's router reuses a connection for up to 90 s; the time is the thing that is tested.
    assert!(!kept.is_closed_within(Duration::from_secs(76)));
    assert_eq!(kept.send(&Request::get("/info")).status, 200);
}
