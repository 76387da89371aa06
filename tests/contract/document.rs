use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::{Request, Response, Server};
use crate::{PASSWORD, USER, server};

fn get(server: &Server, path: &str) -> Response {
    server.send(&Request::get(path).login(USER, PASSWORD))
}

/// Paths that are the same as another one, and those that show what no program reads.
const NOT_DESCRIBED: [&str; 7] =
    ["/endpoints/", "/server", "/livez", "/docs", "/assets/{name}", "/", "/index.html"];

#[test]
fn every_route_is_described_with_all_its_methods() {
    let server = server();
    let document: Value = get(&server, "/openapi.json").json();
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http.rs")).unwrap();
    let named = source.split("resource(\"").chain(source.split("alive(\"")).skip(1);
    let named = named
        .filter_map(|rest| rest.split('"').next())
        .filter(|text| text.starts_with('/') && !text.starts_with("//"));
    let routes: BTreeSet<&str> = named.filter(|route| !NOT_DESCRIBED.contains(route)).collect();
    assert!(routes.len() > 15, "{routes:?}");
    assert_eq!(routes, described);
    for path in described {
        let request = Request::new("TRACE", &path.replace("{name}", "add")).login(USER, PASSWORD);
        let answer = server.send(&request);
        assert_eq!(answer.status, 405, "{path}");
        let allowed: BTreeSet<String> =
            answer.header("Allow").unwrap().split(", ").map(str::to_lowercase).collect();
        let methods = document["paths"][path].as_object().unwrap().keys().cloned();
        let unsaid = ["head".to_owned(), "options".to_owned()];
        let methods: BTreeSet<String> = methods.chain(unsaid.clone()).collect();
        let allowed: BTreeSet<String> = allowed.into_iter().chain(unsaid).collect();
        assert_eq!(methods, allowed, "{path}");
    }
}

#[test]
fn the_document_and_its_page_are_for_those_who_sign_in() {
    let server = server();
    for path in ["/openapi.json", "/docs"] {
        server.get(path).error(401);
    }
    let document: Value = get(&server, "/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let page = get(&server, "/docs");
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let heading = format!("<code>{} {}</code>", method.to_uppercase(), path);
            assert!(text.contains(&heading), "{heading} is not on the page");
        }
    }
    assert!(!text.contains("<script"), "the page works without scripts");
}

#[test]
fn below_a_subdirectory_the_document_says_where() {
    let server = Server::builder().state_ini("[Service Info]\nSubdirectory = tabpy\n").start_under("/tabpy");
    let document: Value = server.get("/tabpy/openapi.json").json();
    assert_eq!(document["servers"][0]["url"], "/tabpy");
    assert!(server.get("/tabpy/docs").text().contains("href=\"/tabpy/openapi.json\""));
}
