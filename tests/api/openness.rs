//! Where the server listens and to whom it opens: the rules that keep a fresh start from handing a
//! Python prompt to the network.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Request, Server};

/// A second loopback address reaches a server that listens on all interfaces and no other.
fn listens_beyond(server: &Server) -> bool {
    TcpStream::connect(("127.0.0.2", server.port())).is_ok()
}

#[test]
fn without_credentials_it_is_open_on_loopback_only() {
    let server = Server::start().ready();
    server.still_works();
    assert!(!listens_beyond(&server));
}

#[test]
fn with_credentials_it_listens_everywhere() {
    let server = Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess").start();
    assert!(listens_beyond(&server));
    if std::net::TcpListener::bind(("::1", 0)).is_ok() {
        assert!(TcpStream::connect(("::1", server.port())).is_ok(), "not on IPv6");
    }
    assert_eq!(server.get("/info").status, 401);
}

#[test]
fn a_host_setting_is_kept_with_credentials() {
    let server = Server::builder()
        .env("TABPY_HOST", "127.0.0.1")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .start();
    assert!(!listens_beyond(&server));
    assert_eq!(server.get("/info").status, 401);
}

#[test]
fn knowingly_open_is_open_everywhere_with_one_warning() {
    let variants = [
        Server::builder().env("TABPY_ALLOW_OPEN", "true"),
        Server::builder().arg("--disable-auth-warning"),
        {
            let builder = Server::builder().without("TABPY_PORT").env("TABPY_ALLOW_OPEN", "yes");
            let port = builder.port();
            builder.env("PORT", port)
        },
    ];
    for builder in variants {
        let server = builder.start().ready();
        server.still_works();
        assert!(listens_beyond(&server));
        let request = Request::get("/info").header("Host", "tabpy.example.com");
        assert_eq!(server.send(&request).status, 200);
        let warnings: Vec<String> = server
            .log()
            .lines()
            .filter(|line| line.to_lowercase().contains("warn"))
            .map(str::to_owned)
            .collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].to_lowercase().contains("authentication"), "{warnings:?}");
    }
}

#[test]
fn a_platforms_port_without_credentials_stops_the_start() {
    let builder = Server::builder().without("TABPY_PORT");
    let port = builder.port();
    for builder in [builder.clone().env("PORT", port), builder.env("PORT", port).env("TABPY_HOST", "0.0.0.0")]
    {
        let exit = builder.try_start();
        assert_eq!(exit.code, Some(2), "{}", exit.stderr);
        for name in ["TABPY_USERNAME", "TABPY_PASSWORD"] {
            assert!(exit.stderr.contains(name), "{}", exit.stderr);
        }
    }
}

#[test]
fn a_public_address_without_credentials_makes_a_password_up() {
    let server = Server::builder().env("TABPY_HOST", "0.0.0.0").start().ready();
    assert_eq!(server.get("/info").status, 401);
    let password = shown_password(&server).expect("no word on stderr opens it");
    let output = server.log();
    assert_eq!(output.matches(&password).count(), 1, "{output}");
    let kept: Vec<PathBuf> = files(&server.path("state"));
    assert!(!kept.is_empty(), "nothing is kept in the state path");
    let holding: Vec<&PathBuf> = kept
        .iter()
        .filter(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains("tabpy"))
        .collect();
    assert!(!holding.is_empty(), "no file in the state path names the user: {kept:?}");
    for path in &holding {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path:?}");
    }
    let opens = |server: &Server| {
        let request = Request::evaluate("return 1", &json!({})).login("tabpy", &password);
        server.send(&request).is(200, "1");
    };
    opens(&server);
    let server = server.restart().ready();
    opens(&server);
    assert!(!server.log().contains(&password), "shown a second time");
    let other = Server::builder().env("TABPY_HOST", "0.0.0.0").start().ready();
    assert_ne!(shown_password(&other), Some(password));
}

/// As in a container, where the folder is the image's.
#[test]
fn a_password_that_cannot_be_kept_is_made_up_at_each_start() {
    let builder = Server::builder().env("TABPY_HOST", "0.0.0.0").state_ini("[Service Info]\nName = x\n");
    let state = builder.folder().join("state");
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o775)).unwrap();
    let server = builder.start().ready();
    let password = shown_password(&server).expect("no word on stderr opens it");
    server.wait_for_log("others may write to it");
    assert!(!files(&state).iter().any(|path| path.ends_with("made-up-password.txt")));
    let again = server.restart().ready();
    assert_ne!(shown_password(&again).expect("no word on stderr opens it again"), password);
}

/// The word of standard error that opens the server for `tabpy`.
fn shown_password(server: &Server) -> Option<String> {
    let text = server.stderr();
    let words = text.split(|letter: char| letter.is_whitespace() || "\"'`=:,;()[]{}<>".contains(letter));
    let candidates: Vec<&str> = words
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| (12..=64).contains(&word.len()) && word.is_ascii())
        .take(40)
        .collect();
    candidates
        .into_iter()
        .find(|word| server.send(&Request::get("/info").login("tabpy", word)).status == 200)
        .map(str::to_owned)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn open_on_loopback_it_answers_to_its_own_names_only() {
    let server = Server::start().ready();
    let port = server.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "LocalHost"] {
        for host in [host.to_owned(), format!("{host}:{port}")] {
            let response = server.send(&Request::get("/info").header("Host", &host));
            assert_eq!(response.status, 200, "{host}: {}", response.text());
        }
    }
    let script = Request::evaluate("print('ran-for-a-stranger')\nreturn 1", &json!({}));
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:9004",
        "localhost@evil.example",
        "127.0.0.2",
        "[::2]",
        "169.254.169.254",
        "xlocalhost",
    ] {
        for request in [script.clone(), Request::get("/info"), Request::get("/")] {
            let response = server.send(&request.header("Host", host));
            assert!(
                [400, 403, 421].contains(&response.status),
                "{host}: {} {}",
                response.status,
                response.text()
            );
            if response.status != 400 {
                response.error(response.status);
            }
        }
    }
    server.still_works();
    assert!(!server.log().contains("ran-for-a-stranger"));
    // An absolute target names a host as well.
    let request = Request::get("http://evil.example/info").header("Host", "evil.example");
    assert_ne!(server.send(&request).status, 200);
}
