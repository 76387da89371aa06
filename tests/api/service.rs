//! The routes around evaluate: the service's description, the page, the probes, and the functions'
//! routes of a server that has none.

use serde_json::json;

use crate::support::{Request, Server};

#[test]
fn info_describes_the_service_as_tabpy_does() {
    let server = Server::start();
    let response = server.get("/info");
    let info = response.json();
    let members: Vec<&String> = info.as_object().unwrap().keys().collect();
    let mut wanted = ["description", "creation_time", "state_path", "server_version", "name", "versions"];
    wanted.sort_unstable();
    assert_eq!(members, wanted);
    assert!(info["creation_time"].is_string() && info["server_version"].is_string());
    assert_eq!(info["state_path"], json!(server.path("state").display().to_string()));
    assert_eq!(
        info["versions"],
        json!({"v1": {"features": {"evaluate_enabled": true, "gzip_enabled": true, "arrow_enabled": false}}})
    );
    // As Python's json.dumps writes it, in TabPy's order.
    let text = response.text();
    assert!(
        text.starts_with("{\"description\": \"") && text.ends_with("\"arrow_enabled\": false}}}}"),
        "{text}"
    );
    let places: Vec<usize> =
        ["description", "creation_time", "state_path", "server_version", "\"name\"", "versions"]
            .iter()
            .map(|name| text.find(name).unwrap())
            .collect();
    assert!(places.is_sorted(), "{text}");
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    server.send(&Request::get("/info?x=1")).is(200, &text);
}

#[test]
fn the_state_file_names_the_service() {
    let server = Server::builder()
        .state_ini("[Service Info]\nName = Zoë's \"Tab\"Py\nDescription = 100 % ready\nCreation Time = 1700000000\n\n[Meta]\nRevision Number = 1\n")
        .start();
    let info = server.get("/info");
    assert_eq!(info.json()["name"], json!("Zoë's \"Tab\"Py"));
    assert_eq!(info.json()["description"], json!("100 % ready"));
    assert_eq!(info.json()["creation_time"], json!("1700000000"));
    assert!(info.text().contains("Zo\\u00eb's \\\"Tab\\\"Py"), "{}", info.text());
}

#[test]
fn own_pages_stand_where_the_servers_page_does() {
    let server = Server::builder()
        .file("index.html", "<h1>Ours</h1>")
        .file("logo.svg", "<svg/>")
        .file(".hidden", "x")
        .env("TABPY_STATIC_PATH", ".")
        .start()
        .ready();
    for path in ["/", "/index.html"] {
        assert_eq!(server.get(path).text(), "<h1>Ours</h1>", "{path}");
    }
    assert_eq!(server.get("/logo.svg").header("Content-Type"), Some("image/svg+xml"));
    assert!(server.get("/server").text().contains("Connect Tableau"));
    for path in ["/.hidden", "/none.html", "/..%2f..%2fetc/passwd", "/../etc/passwd", "/state/"] {
        server.get(path).error(404);
    }
    server.post("/logo.svg", "x").error(404);
    server.get("/status").is(200, "{}");
    let guarded = Server::builder()
        .file("index.html", "<h1>Ours</h1>")
        .env("TABPY_STATIC_PATH", ".")
        .env("TABPY_USERNAME", "ann")
        .env("TABPY_PASSWORD", "secret")
        .start();
    std::fs::create_dir_all(guarded.path("assets/css")).unwrap();
    for path in ["assets/css/own.css", "assets/own.css"] {
        std::fs::write(guarded.path(path), "body {}").unwrap();
        guarded.get(&format!("/{path}")).error(401);
        assert_eq!(guarded.send(&Request::get(&format!("/{path}")).login("ann", "secret")).text(), "body {}");
    }
    guarded.get("/").error(401);
    assert_eq!(guarded.get("/assets/page.css").status, 200);
}

#[test]
fn a_subdirectory_prefixes_every_route() {
    let state = "[Service Info]\nName = T\nDescription = \nCreation Time = 0\nSubdirectory = python/one\n";
    let server = Server::builder().state_ini(state).start_under("/python/one");
    assert_eq!(server.get("/python/one/info").status, 200);
    server.post("/python/one/evaluate", r#"{"script": "return 1"}"#).is(200, "1");
    server.get("/python/one/status").is(200, "{}");
    assert_eq!(server.get("/python/one/").status, 200);
    server.get("/info").error(404);
    server.post("/evaluate", r#"{"script": "return 1"}"#).error(404);
    server.get("/python/oneinfo").error(404);
}

#[test]
fn own_pages_lie_below_the_subdirectory_too() {
    let state = "[Service Info]\nName = T\nDescription = \nCreation Time = 0\nSubdirectory = python\n";
    let server = Server::builder()
        .state_ini(state)
        .file("index.html", "<h1>Ours</h1>")
        .file("more.txt", "more")
        .env("TABPY_STATIC_PATH", ".")
        .start_under("/python");
    assert_eq!(server.get("/python/").text(), "<h1>Ours</h1>");
    assert_eq!(server.get("/python/more.txt").text(), "more");
    server.post("/python/evaluate", r#"{"script": "return 1"}"#).is(200, "1");
    assert_eq!(server.get("/python/server").status, 200);
    server.get("/python/none.txt").error(404);
    server.get("/more.txt").error(404);
    assert_eq!(server.send(&Request::new("TRACE", "/python/info")).status, 405);
}

#[test]
fn a_server_without_functions_says_so() {
    let server = Server::start().ready();
    server.get("/status").is(200, "{}");
    server.get("/endpoints").is(200, "{}");
    server.get("/endpoints/").is(200, "{}");
    let rows: &[(Request, u16, &str)] = &[
        (
            Request::get("/endpoints/x"),
            404,
            r#"{"message": "Unknown endpoint", "info": "Endpoint x is not found"}"#,
        ),
        (
            Request::post("/query/x", r#"{"data": {}}"#),
            404,
            r#"{"message": "UnknownURI", "info": "Endpoint 'x' does not exist"}"#,
        ),
        (
            Request::post("/query/my%20model", r#"{"data": {}}"#),
            404,
            r#"{"message": "UnknownURI", "info": "Endpoint 'my model' does not exist"}"#,
        ),
        (
            Request::post("/query/x", "x"),
            400,
            r#"{"message": "JSONDecodeError : Expecting value: line 1 column 1 (char 0)", "info": {}}"#,
        ),
        (
            Request::post("/query/x", "[]"),
            400,
            r#"{"message": "RuntimeError : Input data must be a dictionary", "info": {}}"#,
        ),
        (
            Request::post("/query/x", "{}"),
            400,
            r#"{"message": "RuntimeError : Input data must be a dictionary with a key called \"data\"", "info": {}}"#,
        ),
        (
            Request::new("DELETE", "/endpoints/x"),
            404,
            r#"{"message": "endpoint x does not exist.", "info": {}}"#,
        ),
    ];
    for (request, status, text) in rows {
        let response = server.send(request);
        assert_eq!((response.status, response.text().as_str()), (*status, *text), "{request:?}");
    }
    server.post("/query/x", "").error(400);
    let path = server.get("/configurations/endpoint_upload_destination").json();
    assert_eq!(path, json!({"path": server.path("state/staging").display().to_string()}));
    server.still_works();
}

#[test]
fn the_page_tells_name_version_python_and_authentication() {
    let server = Server::builder()
        .state_ini("[Service Info]\nName = <b>Sales & Co</b>\nDescription = \nCreation Time = 0\n")
        .start()
        .ready();
    let python = server.value("import sys\nreturn '%d.%d' % sys.version_info[:2]").replace('"', "");
    for path in ["/", "/index.html"] {
        let page = server.get(path);
        assert_eq!(page.status, 200);
        assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
        let text = page.text();
        assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
        assert!(text.contains("Python") && text.contains(&python), "{python}: {text}");
        assert!(text.to_lowercase().contains("authentication"), "{text}");
        assert!(text.contains("Sales") && !text.contains("<b>Sales"), "the name is not escaped: {text}");
    }
}

#[test]
fn probes_need_nothing_and_tell_nothing() {
    let server =
        Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess").start().ready();
    for path in ["/healthz", "/readyz"] {
        let response = server.get(path);
        assert_eq!(response.status, 200);
        assert!(response.body.len() < 200 && !response.text().contains("ada"), "{}", response.text());
    }
}
