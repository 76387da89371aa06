//! What is wrong with a server, each thing with its remedy: certificates of every kind before the real
//! one, and whatever else may listen at an address.

use std::path::PathBuf;

use serde_json::Value;

use crate::authority::{Authority, Identity, self_signed};
use crate::command::{Run, TABPY_PASSWORD, TABPY_USER};
use crate::http::{Listening, Reply, serve};
use crate::support::Server;
use crate::terminator::{Guarded, Terminator};

/// The one step that failed: its name, what is wrong, and the remedy.
#[track_caller]
fn failure(run: Run) -> (String, String, String) {
    let said = run.arg("--json").json(3);
    let steps = said["steps"].as_array().unwrap();
    let failed: Vec<&Value> = steps.iter().filter(|step| step["status"] == "failed").collect();
    let [step] = failed.as_slice() else { panic!("not one step failed: {said}") };
    let text = |name: &str| step[name].as_str().unwrap().to_owned();
    (text("step"), text("detail"), text("remedy"))
}

#[track_caller]
fn fails(run: Run, step: &str, detail: &str, remedy: &str) {
    let (found_step, found_detail, found_remedy) = failure(run);
    assert_eq!(found_step, step, "{found_detail} -> {found_remedy}");
    assert!(found_detail.contains(detail), "{found_detail}");
    assert!(found_remedy.contains(remedy), "{found_remedy}");
}

fn doctor(address: &str) -> Run {
    Run::new(&["doctor", "--on-premises", address])
}

#[test]
fn a_healthy_server() {
    let guarded = Guarded::start();
    let run = || Run::new(&["doctor", &guarded.address()]).arg("--ca-file").arg(guarded.ca_file());
    let said = run().login().ends_with(0);
    for line in [
        "ok       certificate     believed by this machine, for more than 14 days",
        "ok       authentication  without a password the server answers 401, as it should",
        "ok       password        the server takes the password of tableau",
        "ok       script          the trial script of Tableau, return int(1), gives 1",
    ] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
    let said = run().ends_with(0);
    assert!(said.contains("set TABPY_USERNAME and TABPY_PASSWORD here"), "{said}");
    // The machine's own authorities, and a proxy that sees no secret.
    let file = guarded.ca_file().display().to_string();
    let proxy = crate::proxy::Proxy::to(guarded.terminator.port);
    let run =
        doctor("https://localhost").login().env("SSL_CERT_FILE", file).env("HTTPS_PROXY", proxy.address());
    run.ends_with(0);
    assert_eq!(proxy.asked()[0], "localhost:443");
    // Any certificate, knowingly.
    let said = Run::new(&["doctor", "--insecure", &guarded.address()]).login().ends_with(0);
    assert!(said.contains("WARNING  certificate     not checked"), "{said}");
}

#[test]
fn a_password_that_is_wrong_or_not_wanted() {
    let guarded = Guarded::start();
    let run = Run::new(&["doctor", &guarded.address()]).arg("--ca-file").arg(guarded.ca_file());
    let run = run.env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", "another");
    fails(run, "password", "does not take the password of tableau", "TABPY_PASSWORD");
    let open = Server::start().ready();
    let address = format!("http://127.0.0.1:{}", open.port());
    fails(doctor(&address).login(), "password", "406", "leave TABPY_USERNAME");
    let said = doctor(&address).ends_with(0);
    assert!(said.contains("WARNING  address") && said.contains("WARNING  authentication"), "{said}");
    assert!(said.contains("ok       script"), "{said}");
}

#[test]
fn a_server_below_a_path() {
    let builder = Server::builder().env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", TABPY_PASSWORD);
    std::fs::write(builder.folder().join("state/state.ini"), "[Service Info]\nSubdirectory = /py\n").unwrap();
    let guarded = Guarded::before(builder.start_under("/py"));
    let run = |path: &str| {
        Run::new(&["doctor", &format!("{}{path}", guarded.address())])
            .arg("--ca-file")
            .arg(guarded.ca_file())
            .login()
    };
    fails(run("/other"), "answer", "there is no", "Subdirectory");
    let ready = crate::support::wait_for(crate::support::START_PATIENCE, || {
        (guarded.server.get("/py/readyz").status == 200).then_some(())
    });
    assert!(ready.is_some());
    run("/py/").ends_with(0);
}

/// A terminator before nobody: the certificate is all that counts.
fn shown(
    identity: impl FnOnce(&Authority) -> Identity,
) -> (Terminator, PathBuf, (tempfile::TempDir, Listening)) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = authority.file(folder.path());
    let listening = serve(|_| Some(Reply::new(404, "text/plain", "")));
    (Terminator::before(listening.port, identity(&authority)), file, (folder, listening))
}

#[test]
fn certificates_that_tableau_would_not_take() {
    let now = "this machine's clock (";
    for (identity, detail, remedy) in [
        (
            (|authority| authority.expired("localhost")) as fn(&Authority) -> Identity,
            "ended on Wed, 03 Feb 2021 00:00:00 GMT",
            now,
        ),
        (
            |authority| authority.not_valid_yet("localhost"),
            "valid only from Wed, 01 Jan 2200 00:00:00 GMT",
            now,
        ),
        (
            |authority| authority.good("tabpy.example.com"),
            "is for tabpy.example.com, not for localhost",
            "get one for localhost",
        ),
        (
            |authority| authority.without_intermediate("localhost"),
            "the chain is incomplete: the server sends its own certificate alone, and that of the issuer Test Intermediate is missing",
            "fullchain.pem",
        ),
        (|_| self_signed("localhost"), "self-signed", "--ca-file"),
    ] {
        let (terminator, file, _folder) = shown(identity);
        fails(doctor(&terminator.address()).arg("--ca-file").arg(file), "certificate", detail, remedy);
    }
}

#[test]
fn an_authority_of_one_s_own() {
    let (terminator, file, _folder) = shown(|authority| authority.with_root("localhost"));
    let detail = "the chain ends in Test Root, whom nobody here believes";
    fails(doctor(&terminator.address()), "certificate", detail, "--ca-file");
    // Known, it is no hindrance any more.
    fails(
        doctor(&terminator.address()).arg("--ca-file").arg(file),
        "answer",
        "there is no",
        "check the address",
    );
}

#[test]
fn tableau_cloud_s_rules_are_stricter() {
    let guarded = Guarded::start();
    let said = Run::new(&["doctor", &guarded.address()]).login().ends_with(3);
    assert!(
        said.contains("FAILED   address         localhost is a name that only the local network knows"),
        "{said}"
    );
    assert!(said.contains("FAILED   certificate     the chain is incomplete"), "{said}");
    assert!(said.contains("get a certificate of a public authority"), "{said}");
    let open = Server::start().ready();
    let said = Run::new(&["doctor", &format!("http://127.0.0.1:{}", open.port())]).ends_with(3);
    assert!(
        said.contains("FAILED   address         http://127.0.0.1") && said.contains("is plain http"),
        "{said}"
    );
    assert!(
        said.contains("FAILED   authentication  the server runs open, and Tableau Cloud demands a password"),
        "{said}"
    );
    assert!(said.contains("note     firewall") && said.contains("44.224.205.196"), "{said}");
    let said =
        Run::new(&["doctor", &format!("http://tabpy.example.com:{}", open.port())]).login().ends_with(2);
    assert!(said.contains("others can read the password on its way"), "{said}");
}

fn answering(reply: Reply) -> (Listening, String) {
    let listening = serve(move |_| Some(reply.clone()));
    let address = format!("http://127.0.0.1:{}", listening.port);
    (listening, address)
}

#[test]
fn something_else_answers() {
    let mut single_sign_on = Reply::new(401, "text/html", "");
    single_sign_on.headers.push(("WWW-Authenticate".into(), "Bearer realm=\"sso\"".into()));
    for (reply, detail, remedy) in [
        (Reply::new(200, "text/html", "<html>"), "neither tabpy-rs nor TabPy", "/info"),
        (Reply::new(200, "application/json", "{\"versions\": 1}"), "neither tabpy-rs nor TabPy", "/info"),
        (Reply::new(404, "text/html", ""), "there is no http://127.0.0.1", "app's name"),
        (Reply::new(403, "text/html", ""), "forbidden", "firewall"),
        (Reply::new(503, "text/html", "Application error"), "answers 503", "sleeps"),
        (Reply::new(418, "text/plain", ""), "answered with 418", "check the address"),
        (
            Reply::redirect(301, "https://tabpy.example.com/info"),
            "Tableau does not follow",
            "give the address https://tabpy.example.com",
        ),
        (Reply::redirect(302, "/login?to=/info"), "Tableau does not follow", "take the redirect away"),
        (single_sign_on, "another sign-in than Basic", "single sign-on"),
    ] {
        let (_listening, address) = answering(reply);
        fails(doctor(&address), "answer", detail, remedy);
    }
}

#[test]
fn nobody_answers() {
    let (listening, address) = answering(Reply::empty(200));
    let port = listening.port;
    drop(listening);
    fails(doctor(&address), "connection", &format!("nobody listens on port {port}"), "check the port");
    fails(doctor("https://no-such-name.invalid"), "name", "leads nowhere", "spelling");
    fails(
        doctor("https://[::1]:1"),
        "connection",
        "[::1] is there, but nobody listens on port 1",
        "check the port",
    );
    // It listens, but speaks no TLS; it speaks TLS, but is asked without.
    let open = Server::start();
    fails(
        doctor(&format!("https://127.0.0.1:{}", open.port())),
        "certificate",
        "speaks no TLS",
        "behind a proxy",
    );
    let (terminator, ..) = shown(|authority| authority.good("localhost"));
    fails(
        doctor(&format!("http://127.0.0.1:{}", terminator.port)),
        "answer",
        "does not speak http",
        "https://",
    );
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    fails(doctor(&address).arg("--timeout").arg("1"), "answer", "no answer within 1 s", "sleeps");
}

#[test]
fn a_script_that_fails_or_is_not_taken() {
    let info = r#"{"versions": {"v1": {"features": {"evaluate_enabled": true}}}}"#;
    for (reply, detail, remedy) in [
        (Reply::new(404, "application/json", "{}"), "answered with 404", "TABPY_EVALUATE_ENABLE"),
        (Reply::new(200, "application/json", "2"), "something else than 1", "check what stands before"),
        (Reply::new(408, "application/json", "{}"), "answered with 408", "TABPY_EVALUATE_TIMEOUT"),
        (Reply::new(500, "application/json", "{}"), "answered with 500", "log"),
    ] {
        let listening = serve(move |request| {
            Some(if request.path() == "/info" {
                Reply::new(200, "application/json", info)
            } else {
                reply.clone()
            })
        });
        fails(doctor(&format!("http://127.0.0.1:{}", listening.port)), "script", detail, remedy);
    }
    let builder = Server::builder().env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", TABPY_PASSWORD);
    let server = builder.env("TABPY_EVALUATE_ENABLE", "false").start().ready();
    let run = doctor(&format!("http://127.0.0.1:{}", server.port())).login();
    fails(run, "script", "takes no scripts", "TABPY_EVALUATE_ENABLE");
}

#[test]
fn a_clock_that_is_wrong_and_a_server_that_slept() {
    let info = r#"{"versions": {"v1": {"features": {}}}}"#;
    let asked = std::sync::atomic::AtomicBool::new(false);
    let listening = serve(move |request| {
        if !asked.swap(true, std::sync::atomic::Ordering::Relaxed) {
            std::thread::sleep(std::time::Duration::from_secs(6));
        }
        let mut reply =
            Reply::new(200, "application/json", if request.path() == "/info" { info } else { "1" });
        reply.headers.push(("Date".into(), "Tue, 01 Jan 2030 00:00:00 GMT".into()));
        Some(reply)
    });
    let said = doctor(&format!("http://127.0.0.1:{}", listening.port)).ends_with(0);
    assert!(said.contains("WARNING  clock           the server's clock says Tue, 01 Jan 2030"), "{said}");
    assert!(said.contains("WARNING  speed") && said.contains("gone to sleep"), "{said}");
}
