//! The commands of docs/ are run as they are written there, each name led by a proxy to a server of the
//! test; and the last step of action.yml is run as a workflow runs it.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::authority::Authority;
use crate::command::{Run, TABPY_PASSWORD, TABPY_USER};
use crate::functions_server::answering;
use crate::proxy::Proxy;
use crate::support::{Request, Server};
use crate::tableau::{TOKEN_NAME, TOKEN_VALUE, Tableau};
use crate::terminator::Terminator;

/// The commands in the `console` blocks of a file of docs/.
fn commands(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    let commands: Vec<String> =
        blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect();
    assert!(!commands.is_empty(), "{file} has no command");
    commands
}

/// Runs a line as a shell does, and gives the exit code and what was said.
fn shell(line: &str, folder: &Path, environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_tabpy-rs")).parent().unwrap().display().to_string();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env_clear().env("PATH", format!("{binary}:/usr/bin:/bin"));
    let output = command.envs(environment.iter().copied()).current_dir(folder).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_commands_of_connect() {
    let builder = Server::builder().env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", TABPY_PASSWORD);
    let builder = builder.env("TABPY_TRUST_PROXY", "true");
    let (server, tableau, authority) = (builder.start().ready(), Tableau::start(), Authority::new());
    let front = |port, host| Terminator::before(port, authority.good(host));
    let hosts = ["tabpy.example.com", "tableau.example.com", "10ay.online.tableau.com"];
    let fronts =
        [front(server.port(), hosts[0]), front(tableau.port(), hosts[1]), front(tableau.port(), hosts[2])];
    let proxy = Proxy::routing(hosts.into_iter().zip(fronts.iter().map(|front| front.port)));
    let folder = tempfile::tempdir().unwrap();
    let file = authority.file(folder.path()).display().to_string();
    let address = proxy.address();
    let environment = [
        ("HTTPS_PROXY", address.as_str()),
        ("SSL_CERT_FILE", file.as_str()),
        ("TABLEAU_TOKEN_NAME", TOKEN_NAME),
        ("TABLEAU_TOKEN_VALUE", TOKEN_VALUE),
        ("TABPY_USERNAME", TABPY_USER),
        ("TABPY_PASSWORD", TABPY_PASSWORD),
    ];
    for line in commands("connect.md").into_iter().chain([of_the_page(&server)]) {
        let (code, said) = shell(&line, folder.path(), &environment);
        if line.contains("online.tableau.com") {
            // Tableau Cloud's rules: no certificate that a test can make is good enough, and all else is.
            assert_eq!(code, Some(3), "{line}\n{said}");
            let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAILED")).collect();
            assert!(failed.len() == 1 && failed[0].contains("not the public"), "{line}\n{said}");
        } else {
            assert_eq!(code, Some(0), "{line}\n{said}");
        }
    }
}

/// The command that the server's page shows to somebody who came by its public name.
fn of_the_page(server: &Server) -> String {
    let request = Request::get("/").login(TABPY_USER, TABPY_PASSWORD).header("Accept", "text/html");
    let request =
        request.header("X-Forwarded-Host", "tabpy.example.com").header("X-Forwarded-Proto", "https");
    let page = server.send(&request).text();
    let line = page.split("<code data-copy>tabpy-rs connect").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(
        line,
        " https://tabpy.example.com --tableau https://YOUR-POD.online.tableau.com/#/site/YOUR-SITE"
    );
    format!("tabpy-rs connect{}", line.replace("YOUR-POD", "10ay").replace("YOUR-SITE", "sales"))
}

#[test]
fn the_commands_of_deploy() {
    let body =
        json!({"name": "forecast", "version": 1, "status": "LoadSuccessful", "url": "/query/forecast"});
    let (functions, authority) = (answering(200, &body), Authority::new());
    let terminator = Terminator::before(functions.port(), authority.good("tabpy.example.com"));
    let proxy = Proxy::routing([("tabpy.example.com", terminator.port)]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("forecast.py"), "def monthly(x): return x\n").unwrap();
    let file = authority.file(folder.path()).display().to_string();
    let address = proxy.address();
    let environment = [
        ("HTTPS_PROXY", address.as_str()),
        ("SSL_CERT_FILE", file.as_str()),
        ("TABPY_USERNAME", TABPY_USER),
        ("TABPY_PASSWORD", TABPY_PASSWORD),
    ];
    for line in commands("deploy.md") {
        let (code, said) = shell(&line, folder.path(), &environment);
        assert_eq!(code, Some(0), "{line}\n{said}");
    }
}

#[test]
fn the_step_of_the_action() {
    let tableau = Tableau::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/connect-action.sh");
    let server = Server::builder().env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", TABPY_PASSWORD);
    let server = server.start().ready();
    let (address, own) = (tableau.url(), format!("http://127.0.0.1:{}", server.port()));
    let environment = [
        ("TABPY_RS", env!("CARGO_BIN_EXE_tabpy-rs")),
        ("INPUT_SERVER", own.as_str()),
        ("INPUT_SITE", "sales"),
        ("INPUT_NAME", "$(touch x) Team"),
        ("INPUT_WORKBOOK", "Sales & Profit"),
        ("INPUT_ENABLE_SITE", "true"),
        ("INPUT_DRY_RUN", "false"),
        ("TABLEAU_URL", address.as_str()),
        ("TABLEAU_TOKEN_NAME", TOKEN_NAME),
        ("TABLEAU_TOKEN_VALUE", TOKEN_VALUE),
        ("TABPY_USERNAME", TABPY_USER),
        ("TABPY_PASSWORD", TABPY_PASSWORD),
    ];
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = shell(&script.display().to_string(), folder.path(), &environment);
    assert_eq!(code, Some(0), "{said}");
    let made = tableau.connections().into_values().next().unwrap();
    assert_eq!(made["connection_brief"]["connection_name"], "$(touch x) Team");
    assert_eq!(tableau.selected().len(), 1);
    assert!(!folder.path().join("x").exists());
}

#[test]
fn the_help_names_the_variables_and_the_exit_codes() {
    for (command, words) in [
        ("connect", &["TABLEAU_TOKEN_VALUE", "TABPY_PASSWORD", "130 interrupted", "--ca-file"][..]),
        ("doctor", &["--on-premises", "3 a check failed"]),
        ("deploy", &["TABPY_PASSWORD", "--schema"]),
        ("functions", &["rollback", "remove", "list"]),
    ] {
        let said = Run::new(&[command, "--help"]).ends_with(0);
        for word in words {
            assert!(said.contains(word), "{word} is not in the help of {command}:\n{said}");
        }
    }
}
