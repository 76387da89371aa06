//! A database that is away, or not what it should be: functions that were loaded go on working, the rest
//! is said where people look, and nothing says a password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::engine::{Engine, called, eventually, put, query, send};
use crate::support::postgres::PASSWORD;
use crate::support::{PATIENCE, Postgres, Request, Server};

fn ready(server: &Server) -> u16 {
    server.get("/readyz").status
}

#[test]
fn a_database_that_goes_away_leaves_what_was_loaded_and_comes_back() {
    let mut engine = Engine::Postgres(Postgres::start());
    let server = engine.builder().env("TABPY_LOG_LEVEL", "trace").start().ready();
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
    let Engine::Postgres(postgres) = &mut engine else { unreachable!() };
    for _ in 0..2 {
        postgres.stop();
        assert_eq!(called(&server, "f"), json!(1));
        server.still_works();
        eventually("/readyz shows it", 4 * PATIENCE, || ready(&server) == 503);
        let info = server.get("/readyz").info(503, "Not all functions are at hand.");
        assert!(info.contains("Postgres at 127.0.0.1") && info.contains("cannot be used"), "{info}");
        assert_eq!(called(&server, "f"), json!(1));
        for request in [
            Request::new("PUT", "/functions/f").body("def f(): return 2"),
            Request::new("DELETE", "/functions/f"),
            Request::new("DELETE", "/endpoints/f"),
        ] {
            let answer = send(&server, &request);
            answer.info(503, "The store of functions cannot be reached.");
            assert_eq!(answer.header("Retry-After"), Some("5"));
        }
        assert_eq!(server.get("/healthz").status, 200);
        postgres.start_again();
        eventually("it is ready again", 4 * PATIENCE, || ready(&server) == 200);
        assert_eq!(called(&server, "f"), json!(1));
    }
    let answer = put(&server, "f", "def f(): return 2");
    assert_eq!((answer.status, called(&server, "f")), (200, json!(2)), "{}", answer.text());
    assert!(!server.log().contains(PASSWORD));
}

#[test]
fn a_database_that_hangs_stops_nothing() {
    let engine = Engine::Postgres(Postgres::start());
    let server = engine.server();
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
    let Engine::Postgres(postgres) = &engine else { unreachable!() };
    postgres.hang(true);
    assert_eq!(called(&server, "f"), json!(1));
    // It is not known to hang yet, and this takes its time to find out.
    let refused = put(&server, "f", "def f(): return 2");
    assert_eq!((refused.status, called(&server, "f")), (503, json!(1)), "{}", refused.text());
    eventually("/readyz shows it", 12 * PATIENCE, || ready(&server) == 503);
    let info = server.get("/readyz").info(503, "Not all functions are at hand.");
    assert!(info.contains("Postgres at 127.0.0.1"), "{info}");
    put(&server, "f", "def f(): return 2").info(503, "The store of functions cannot be reached.");
    server.still_works();
    let other = engine.builder().start();
    other.still_works();
    postgres.hang(false);
    for server in [&server, &other] {
        eventually("it is ready again", 12 * PATIENCE, || ready(server) == 200);
        assert_eq!(called(server, "f"), json!(1));
    }
    assert_eq!(put(&server, "f", "def f(): return 2").json()["version"], 2);
}

#[test]
fn a_server_starts_without_its_database() {
    let mut postgres = Postgres::start();
    let builder = Server::builder().env("DATABASE_URL", postgres.url());
    fs::create_dir(builder.folder().join("functions")).unwrap();
    fs::write(builder.folder().join("functions/local.py"), "def local(): return 'here'\n").unwrap();
    postgres.stop();
    let server = builder.start();
    eventually("the folder is served", 4 * PATIENCE, || query(&server, "local", &json!([])).status == 200);
    server.still_works();
    let info = server.get("/readyz").info(503, "Not all functions are at hand.");
    assert!(info.contains("Postgres at 127.0.0.1"), "{info}");
    put(&server, "f", "def f(): return 1").info(503, "The store of functions cannot be reached.");
    postgres.start_again();
    eventually("it is ready", 4 * PATIENCE, || ready(&server) == 200);
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
}

#[test]
fn no_password_of_a_database_is_ever_said() {
    let postgres = Postgres::start();
    let port = postgres.port();
    for (url, words) in [
        (
            format!("postgres://tabpy:wr0ng-s3cret@127.0.0.1:{port}/postgres"),
            "password authentication failed",
        ),
        (format!("postgres://tabpy:wr0ng-s3cret@127.0.0.1:{port}/nowhere"), "password authentication failed"),
        ("postgres://tabpy:wr0ng-s3cret@127.0.0.1:1/postgres".to_owned(), "refused"),
        (format!("postgres://tabpy:wr0ng-s3cret@127.0.0.1:{port}/postgres?sslmode=require"), "TLS"),
    ] {
        let server = Server::builder().env("DATABASE_URL", &url).env("TABPY_LOG_LEVEL", "trace").start();
        let line = server.wait_for_log("the store of functions cannot be used");
        assert!(line.contains(words), "{line}");
        let told = [server.get("/readyz"), put(&server, "f", "def f(): return 1"), server.get("/info")];
        for answer in told {
            assert!(!answer.text().contains("s3cret"), "{}", answer.text());
        }
        assert_eq!(server.value("import os; return os.environ.get('DATABASE_URL')"), "null");
        assert!(!server.log().contains("s3cret"), "{}", server.log());
    }
    for url in
        ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "postgres://u:s3cret@h/d?sslmode=maybe"]
    {
        let exit = Server::builder().env("DATABASE_URL", url).try_start();
        assert_eq!(exit.code, Some(2));
        assert!(
            exit.stderr.contains("DATABASE_URL") && exit.stderr.contains("postgres://USER"),
            "{}",
            exit.stderr
        );
        assert!(!exit.stderr.contains("s3cret") && !exit.stdout.contains("s3cret"), "{}", exit.stderr);
    }
}

#[test]
fn encryption_is_there_without_a_look_at_the_certificate_unless_it_is_asked_for() {
    let postgres = Postgres::start_encrypted();
    let server =
        Server::builder().env("DATABASE_URL", format!("{}?sslmode=require", postgres.url())).start().ready();
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
    let encrypted = postgres.server_says_encrypted();
    assert!(encrypted, "the connections are encrypted");
    let server =
        Server::builder().env("DATABASE_URL", format!("{}?sslmode=verify-full", postgres.url())).start();
    let line = server.wait_for_log("the store of functions cannot be used");
    assert!(line.contains("certificate"), "{line}");
}

#[test]
fn a_database_file_that_is_none_is_said_to_be() {
    let builder = Server::builder().file("state/functions.sqlite3", "this is no database, ".repeat(100));
    let path = builder.folder().join("state/functions.sqlite3");
    let server = builder.start();
    server.wait_for_log("the store of functions cannot be used");
    server.still_works();
    let info = server.get("/readyz").info(503, "Not all functions are at hand.");
    assert!(
        info.contains("functions.sqlite3") && info.contains("not a database") && info.contains("backup"),
        "{info}"
    );
    put(&server, "f", "def f(): return 1").info(503, "The store of functions cannot be used.");
    server.still_works();
    assert!(fs::read(&path).unwrap().starts_with(b"this is no database"), "nothing was done to it");
}

#[test]
fn a_database_file_that_cannot_be_written_is_served() {
    let server = Engine::Sqlite.server();
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
    let path = server.path("state/functions.sqlite3");
    let mut server = server;
    server.signal(rustix::process::Signal::TERM);
    server.wait();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let server = server.start_again().ready();
    assert_eq!(called(&server, "f"), json!(1));
    let info =
        put(&server, "f", "def f(): return 2").info(503, "Functions cannot be deployed to this server.");
    assert!(info.contains("functions.sqlite3") && info.contains("TABPY_STATE_PATH"), "{info}");
    assert_eq!(called(&server, "f"), json!(1));
}

#[test]
fn where_functions_are_kept_is_said_at_the_start() {
    let postgres = Postgres::start();
    let server = Server::builder().env("DATABASE_URL", postgres.url()).start();
    let line = server.wait_for_log("functions are kept");
    assert!(line.contains(&format!("Postgres at 127.0.0.1:{}/postgres", postgres.port())), "{line}");
    assert!(!line.contains("tabpy:") && !server.log().contains(PASSWORD), "{line}");
    let server = Engine::Sqlite.server();
    let line = server.wait_for_log("functions are kept");
    assert!(line.contains(&server.path("state/functions.sqlite3").display().to_string()), "{line}");
}

#[test]
fn where_nothing_can_be_written_functions_are_kept_in_memory() {
    // A file system that nobody may write, in a mount namespace of the server's own.
    let builder = Server::builder();
    let state = builder.folder().join("state").display().to_string();
    let script = format!("mount -t tmpfs -o ro none {state} && exec \"$@\"");
    let server =
        builder.under(&["unshare", "--mount", "--map-root-user", "sh", "-c", &script, "sh"]).start().ready();
    let line = server.wait_for_log("functions are kept in memory");
    assert!(line.contains("level=warn") && line.contains(&state), "{line}");
    assert!(line.contains("TABPY_STATE_PATH") && line.contains("DATABASE_URL"), "{line}");
    for version in 1..=3 {
        assert_eq!(put(&server, "f", &format!("def f(): return {version}")).json()["version"], version);
    }
    assert_eq!((called(&server, "f"), called(&server, "f?version=1")), (json!(3), json!(1)));
    assert!(server.get("/").text().contains("in memory until this server ends"));
    let server = server.restart().ready();
    assert_eq!(query(&server, "f", &json!([])).status, 404);
}
