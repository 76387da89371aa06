//! Settings: where they come from, who wins, and what a bad one says before the server starts.

use serde_json::{Value, json};

use crate::support::{Builder, Server};

#[track_caller]
fn stops(builder: &Builder, words: &[&str]) {
    let exit = builder.try_start();
    assert_eq!(exit.code, Some(2), "{words:?}: {}", exit.stderr);
    for word in words {
        assert!(exit.stderr.contains(word), "{word:?} is not in: {}", exit.stderr);
    }
}

#[test]
fn a_value_that_does_not_parse_is_named_with_what_it_takes() {
    for (name, value) in [
        ("TABPY_PORT", "abc"),
        ("TABPY_PORT", "99999"),
        ("TABPY_PORT", "-1"),
        ("PORT", "80 80"),
        ("TABPY_HOST", "not an address"),
        ("TABPY_EVALUATE_TIMEOUT", "soon"),
        ("TABPY_EVALUATE_TIMEOUT", "-1"),
        ("TABPY_EVALUATE_TIMEOUT", "nan"),
        ("TABPY_QUERY_TIMEOUT", "5 minutes"),
        ("TABPY_MAX_REQUEST_SIZE_MB", "big"),
        ("TABPY_MAX_REQUEST_SIZE_MB", "-5"),
        ("TABPY_MAX_RESPONSE_SIZE_MB", "1GB"),
        ("TABPY_EVALUATE_ENABLE", "maybe"),
        ("TABPY_GZIP_ENABLE", "2"),
        ("TABPY_ALLOW_OPEN", "perhaps"),
        ("TABPY_TRUST_PROXY", "who"),
        ("TABPY_WORKERS", "0"),
        ("TABPY_WORKERS", "two"),
        ("TABPY_MAX_WORKERS", "-1"),
        ("TABPY_QUEUE_SIZE", "many"),
        ("TABPY_SCRIPT_OUTPUT_KB", "x"),
        ("TABPY_SHUTDOWN_TIMEOUT", "x"),
        ("TABPY_LOG_LEVEL", "loud"),
        ("TABPY_LOG_FORMAT", "xml"),
        ("TABPY_TRANSFER_PROTOCOL", "gopher"),
        ("TABPY_PYTHON", "/no/such/python"),
    ] {
        stops(&Server::builder().env(name, value), &[name]);
        if name != "PORT" {
            let file = format!("[TabPy]\n{name} = {value}\n");
            stops(&Server::builder().without(name).config(&file), &[name]);
        }
    }
}

#[test]
fn what_is_not_built_yet_stops_the_start() {
    for (name, value) in [
        ("TABPY_TRANSFER_PROTOCOL", "https"),
        ("TABPY_TRANSFER_PROTOCOL", "HTTPS"),
        ("TABPY_ARROW_ENABLE", "true"),
        ("TABPY_ARROW_ENABLE", "yes"),
        ("TABPY_OAUTH_ENABLED", "true"),
    ] {
        stops(&Server::builder().env(name, value), &[name, "not supported yet"]);
        stops(
            &Server::builder().config(&format!("[TabPy]\n{name} = {value}\n")),
            &[name, "not supported yet"],
        );
    }
    let server =
        Server::builder().env("TABPY_TRANSFER_PROTOCOL", "HTTP").env("TABPY_ARROW_ENABLE", "off").start();
    assert_eq!(server.get("/info").status, 200);
}

#[test]
fn an_unknown_name_is_a_warning() {
    let server = Server::builder()
        .env("TABPY_EVALUTE_TIMEOUT", "5")
        .config("[TabPy]\nTABPY_GZIP_ENABEL = false\n[handlers]\nTABPY_IN_ANOTHER_SECTION = 1\n")
        .start();
    for name in ["TABPY_EVALUTE_TIMEOUT", "TABPY_GZIP_ENABEL"] {
        let line = server.wait_for_log(name);
        assert!(line.to_lowercase().contains("warn"), "{line}");
    }
    assert!(!server.log().contains("TABPY_IN_ANOTHER_SECTION"));
}

#[test]
fn every_setting_that_tabpy_knows_is_taken() {
    let server = Server::builder()
        .env("TABPY_QUERY_OBJECT_PATH", "/tmp/query_objects")
        .env("TABPY_STATIC_PATH", "./static")
        .env("TABPY_CERTIFICATE_FILE", "x.crt")
        .env("TABPY_KEY_FILE", "x.key")
        .env("TABPY_MINIMUM_TLS_VERSION", "TLSv1_2")
        .env("TABPY_LOG_DETAILS", "true")
        .env("TABPY_ARROWFLIGHT_PORT", "13622")
        .env("TABPY_OAUTH_ENABLED", "false")
        .env("TABPY_OAUTH_ISSUER", "https://idp.example/")
        .start();
    assert_eq!(server.get("/info").status, 200);
    assert!(!server.log().to_lowercase().contains("unknown"), "{}", server.log());
}

fn gzip_enabled(builder: Builder) -> Value {
    builder.start().get("/info").json()["versions"]["v1"]["features"]["gzip_enabled"].clone()
}

#[test]
fn the_environment_wins_over_dot_env_over_the_file() {
    let file = |value: &str| Server::builder().config(&format!("[TabPy]\nTABPY_GZIP_ENABLE = {value}\n"));
    assert_eq!(gzip_enabled(Server::builder()), json!(true));
    assert_eq!(gzip_enabled(file("false")), json!(false));
    assert_eq!(gzip_enabled(file("false").file(".env", "TABPY_GZIP_ENABLE=true\n")), json!(true));
    assert_eq!(gzip_enabled(Server::builder().file(".env", "TABPY_GZIP_ENABLE=off\n")), json!(false));
    let all = file("false").file(".env", "TABPY_GZIP_ENABLE=false\n").env("TABPY_GZIP_ENABLE", "1");
    assert_eq!(gzip_enabled(all), json!(true));
    for word in ["0", "no", "No", "FALSE", "off", "False"] {
        assert_eq!(gzip_enabled(Server::builder().env("TABPY_GZIP_ENABLE", word)), json!(false), "{word}");
    }
}

#[test]
fn the_files_form_is_pythons() {
    let builder = Server::builder().without("TABPY_PORT");
    let port = builder.port().to_string();
    let text = "; a comment\n# another\n[TabPy]\ntabpy_port : %(MY_PORT)s\nTABPY_GZIP_ENABLE=no\n\n\
        [loggers]\nkeys=root\n\n[formatter_x]\nformat=%(asctime)s %(levelname)s\n";
    let server = builder.env("MY_PORT", &port).config(text).start();
    let features = &server.get("/info").json()["versions"]["v1"]["features"];
    assert_eq!(features["gzip_enabled"], json!(false));
    // A password file by a path from the environment, relative to the working folder.
    let server = Server::builder()
        .file("users.txt", "user1 b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b\n")
        .env("USERS", "users")
        .config("[TabPy]\r\nTABPY_PWD_FILE = ./%(USERS)s.txt\r\n")
        .start();
    assert_eq!(server.get("/info").status, 401);
}

#[test]
fn the_file_takes_the_databases_address_too_and_keeps_it_to_itself() {
    for url in ["mysql://ada:countess@db.example/x", "postgres://ada:countess%40@db.example/x"] {
        let builder = Server::builder().config(&format!("[TabPy]\nDATABASE_URL = {url}\n"));
        stops(&builder, &["DATABASE_URL", "tabpy.conf"]);
        assert!(!builder.try_start().stderr.contains("countess"));
    }
}

#[test]
fn a_bad_file_stops_the_start() {
    stops(&Server::builder().arg("--config").arg("no-such-file.conf"), &["no-such-file.conf"]);
    stops(
        &Server::builder().without("TABPY_PORT").config("[TabPy]\nTABPY_PORT = %(NO_SUCH_VARIABLE)s\n"),
        &["NO_SUCH_VARIABLE"],
    );
    stops(&Server::builder().config("[TabPy\nTABPY_PORT = 1\n"), &["tabpy.conf"]);
    stops(&Server::builder().config("[TabPy]\nno value here\n"), &["tabpy.conf"]);
}

#[test]
fn a_platforms_port_wins() {
    let builder = Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess");
    let port = builder.port();
    let server = builder.env("TABPY_PORT", 1).env("PORT", port).start();
    assert_eq!(server.get("/info").status, 401);
}

#[test]
fn a_port_in_use_stops_the_start_in_words() {
    let first = Server::start();
    let exit = Server::builder().env("TABPY_PORT", first.port()).try_start();
    assert_ne!(exit.code, Some(0));
    assert!(exit.code.is_some(), "ended by a signal");
    assert!(exit.stderr.contains(&first.port().to_string()), "{}", exit.stderr);
    assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);
    first.still_works();
}

#[test]
fn workers_are_as_many_as_told() {
    let server = Server::builder()
        .without("TABPY_WORKERS")
        .env("WEB_CONCURRENCY", "1")
        .env("TABPY_MAX_WORKERS", "1")
        .start()
        .ready();
    let mut pids: Vec<String> = (0..6).map(|_| server.value("import os\nreturn os.getpid()")).collect();
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

#[test]
fn a_missing_preload_is_a_warning() {
    let server = Server::builder().env("TABPY_PRELOAD", "json,no_such_module_x").start().ready();
    server.still_works();
    let line = server.wait_for_log("no_such_module_x");
    assert!(line.to_lowercase().contains("warn"), "{line}");
}

#[test]
fn modules_with_threads_are_imported_by_each_worker() {
    // numpy has threads then, where there are processors for them; and pandas imports numpy.
    let server = Server::builder()
        .env("TABPY_PRELOAD", "json,numpy,pandas")
        .env("OPENBLAS_NUM_THREADS", 2)
        .start()
        .ready();
    server.still_works();
    assert_eq!(server.value("import sys\nreturn 'pandas' in sys.modules"), "true");
    if std::thread::available_parallelism().unwrap().get() > 1 {
        for module in ["modules=numpy", "modules=pandas"] {
            assert!(server.log().contains(module), "{}", server.log());
        }
    }
    assert!(!server.log().contains("plainly"), "{}", server.log());
}
