use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{Request, Server};
use crate::{PASSWORD, USER, server};

fn at_hand(path: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(program.exists(), "{} is missing: make test creates it", program.display());
    program
}

fn document(server: &Server) -> Vec<u8> {
    server.send(&Request::get("/openapi.json").login(USER, PASSWORD)).body
}

/// Loopback, whatever proxies this machine has.
fn run(command: &mut Command) -> Output {
    command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost").output().unwrap()
}

#[test]
fn schemathesis_finds_nothing() {
    let program = at_hand(".venv-contract/bin/schemathesis");
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new(program)
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(at_hand("tests/contract/schemathesis.toml"))
        .arg("run")
        .arg(format!("http://{}/openapi.json", server.host()))
        .args(["--auth", &format!("{USER}:{PASSWORD}"), "--continue-on-failure"]));
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("0 generated"), "nothing was tried");
}

/// docs/postman_collection.json is what scripts/postman.py makes of the document.
#[test]
fn the_postman_collection_is_that_of_the_document_and_runs() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openapi.json");
    std::fs::write(&path, document(&server)).unwrap();
    let made = run(Command::new("python3").arg(at_hand("scripts/postman.py")).arg(&path));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let kept = at_hand("docs/postman_collection.json");
    assert!(
        std::fs::read(&kept).unwrap() == made.stdout,
        "docs/postman_collection.json is not up to date: run scripts/postman.py as its first lines say"
    );
    // Deployed and removed by the collection itself.
    let server =
        Server::builder().env("TABPY_USERNAME", USER).env("TABPY_PASSWORD", PASSWORD).start().ready();
    let output = run(Command::new("node")
        .arg(at_hand(".venv-node/node_modules/newman/bin/newman.js"))
        .arg("run")
        .arg(kept)
        .args(["--color", "off", "--bail"])
        .args(["--env-var", &format!("baseUrl=http://{}", server.host())])
        .args(["--env-var", &format!("user={USER}"), "--env-var", &format!("password={PASSWORD}")]));
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
