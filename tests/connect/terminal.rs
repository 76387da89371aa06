//! Somebody sits at a terminal: what is missing is asked for, and a secret is typed unseen.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::command::TABPY_PASSWORD;
use crate::support::Server;
use crate::tableau::{Behaviour, TOKEN_NAME, TOKEN_VALUE, Tableau};

/// Runs a command on a terminal of its own, and types each answer when its question is there. Gives
/// the exit code and all that the terminal showed, what was typed included if it was echoed.
const SCRIPT: &str = r#"
import json, os, pty, select, sys, time
command, environment, dialogue = json.load(open(sys.argv[1]))
child, terminal = pty.fork()
if child == 0:
    os.execve(command[0], command, environment)
shown, end = b"", time.monotonic() + 60
while time.monotonic() < end:
    if select.select([terminal], [], [], 0.1)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
        while dialogue and dialogue[0][0].encode() in shown:
            # The question is shown a moment before the echo goes off.
            time.sleep(0.3)
            os.write(terminal, dialogue.pop(0)[1].encode() + b"\n")
_, status = os.waitpid(child, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), shown.decode(), [question for question, _ in dialogue]]))
"#;

#[track_caller]
fn converse(arguments: &[&str], dialogue: &Value) -> (i64, String) {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.json");
    let command: Vec<&str> = [env!("CARGO_BIN_EXE_tabpy-rs")].iter().chain(arguments).copied().collect();
    std::fs::write(&input, json!([command, {}, dialogue]).to_string()).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let output = Command::new(python)
        .args(["-I", "-c", SCRIPT])
        .arg(&input)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = said[1].as_str().unwrap().to_owned();
    assert_eq!(said[2], json!([]), "not asked: {shown}");
    (said[0].as_i64().unwrap(), shown)
}

#[test]
fn what_is_missing_is_asked_for() {
    let server =
        Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", TABPY_PASSWORD).start().ready();
    let tableau = Tableau::that(Behaviour { site_off: true, ..Behaviour::default() });
    let address = format!("http://127.0.0.1:{}", server.port());
    let (code, shown) = converse(
        &["connect", "--tableau", &tableau.address(), &address],
        &json!([
            ["Name of the personal access token: ", TOKEN_NAME],
            ["Value of the token ci token: ", TOKEN_VALUE],
            ["User name of the server: ", "ada"],
            ["Password of ada: ", TABPY_PASSWORD],
            ["Turn them on? [y/N] ", "y"],
        ]),
    );
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains(TOKEN_VALUE) && !shown.contains(TABPY_PASSWORD), "{shown}");
    assert!(shown.contains("created tabpy-rs") && tableau.enabled(), "{shown}");
    let made = tableau.connections().into_values().next().unwrap();
    assert_eq!((&made["username"], &made["password"]), (&json!("ada"), &json!(TABPY_PASSWORD)));
}

#[test]
fn a_no_changes_nothing() {
    let tableau = Tableau::that(Behaviour { site_off: true, ..Behaviour::default() });
    let (code, shown) = converse(
        &["connect", "--tableau", &tableau.address(), "--skip-checks", "https://tabpy.example.com"],
        &json!([
            ["Name of the personal access token: ", TOKEN_NAME],
            ["Value of the token ci token: ", TOKEN_VALUE],
            ["Turn them on? [y/N] ", ""],
        ]),
    );
    assert_eq!(code, 6, "{shown}");
    assert!(!tableau.enabled() && tableau.connections().is_empty());
}
