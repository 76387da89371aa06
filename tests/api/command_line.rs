//! The command as an operator, a container or TabPy's start script types it.

use crate::support::Server;

#[test]
fn help_and_version_answer_and_leave() {
    let help = Server::builder().arg("--help").run();
    assert_eq!(help.code, Some(0), "{}", help.stderr);
    for word in ["--config", "--disable-auth-warning", "healthcheck"] {
        assert!(help.stdout.contains(word), "{word} is not in:\n{}", help.stdout);
    }
    let version = Server::builder().arg("--version").run();
    assert_eq!(version.code, Some(0));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
    assert_eq!(version.stderr, "");
}

#[test]
fn an_unknown_flag_or_command_is_told() {
    for argument in ["--confg=x", "servve", "--port"] {
        let exit = Server::builder().arg(argument).run();
        assert_eq!(exit.code, Some(2), "{argument}: {}", exit.stderr);
        assert!(exit.stderr.contains(argument.split('=').next().unwrap()), "{}", exit.stderr);
    }
}

#[test]
fn healthcheck_asks_the_running_server() {
    let server =
        Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess").start().ready();
    let healthy = Server::builder().env("TABPY_PORT", server.port()).arg("healthcheck").run();
    assert_eq!(healthy.code, Some(0), "{}{}", healthy.stdout, healthy.stderr);
    let healthy = Server::builder().env("PORT", server.port()).arg("healthcheck").run();
    assert_eq!(healthy.code, Some(0), "{}{}", healthy.stdout, healthy.stderr);
    let port = server.port();
    server.shutdown();
    let sick = Server::builder().env("TABPY_PORT", port).arg("healthcheck").run();
    assert_eq!(sick.code, Some(1), "{}{}", sick.stdout, sick.stderr);
    assert!(!sick.stderr.is_empty(), "it should say what is wrong");
}

#[test]
fn started_as_tabpy_is_it_runs_as_tabpy_does() {
    let builder = Server::builder().without("TABPY_PORT");
    let text = format!(
        "[TabPy]\nTABPY_PORT = {}\nTABPY_EVALUATE_TIMEOUT = 1\n\n[loggers]\nkeys=root\n",
        builder.port()
    );
    let builder = builder.file("my tabpy.conf", text);
    let server = builder.arg("--config=my tabpy.conf").arg("--disable-auth-warning").start().ready();
    server.still_works();
    let text = r#"{"message": "User defined script timed out. Timeout is set to 1.0 s.", "info": {}}"#;
    server.evaluate("while True: pass", serde_json::json!({})).is(408, text);
}

#[test]
fn a_start_in_an_empty_folder_makes_its_state_path() {
    let builder = Server::builder();
    let path = builder.folder().join("new/state/here");
    let server = builder.env("TABPY_STATE_PATH", path.display()).start();
    assert_eq!(server.get("/info").json()["state_path"], serde_json::json!(path.display().to_string()));
}
