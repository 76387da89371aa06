//! Starts TabPy and this server on the same settings, each with a state folder of its own, and
//! ends both when it is dropped. Nothing of the caller's environment reaches them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tempfile::TempDir;

use crate::case::{Case, evaluate_body};
use crate::client::{self, Answer};
use crate::port;

/// TabPy imports for several seconds, five of them at once for many.
const STARTUP: Duration = Duration::from_secs(90);

/// The user `user1` with `P@ssw0rd`, `Analyst` with `grüße` and `colon` with `a:b`.
const PASSWORDS: &str = include_str!("passwords.txt");

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Setup {
    /// No password file, the defaults.
    #[default]
    Open,
    Passwords,
    /// With passwords, and without evaluate.
    Disabled,
    /// Requests of 1 MB, scripts of 3 s.
    Limits,
    /// A state.ini with names, CORS headers and a subdirectory; no gzip requests.
    State,
}

impl Setup {
    fn settings(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::State => "TABPY_GZIP_ENABLE = false\n",
            Self::Passwords => "TABPY_PWD_FILE = passwords.txt\n",
            Self::Disabled => "TABPY_PWD_FILE = passwords.txt\nTABPY_EVALUATE_ENABLE = false\n",
            Self::Limits => "TABPY_MAX_REQUEST_SIZE_MB = 1\nTABPY_EVALUATE_TIMEOUT = 3\n",
        }
    }

    fn prefix(self) -> &'static str {
        if self == Self::State { "/analytics/py" } else { "" }
    }

    fn state(self) -> Option<&'static str> {
        (self == Self::State).then_some(include_str!("state.ini"))
    }
}

pub(crate) struct Pair {
    setup: Setup,
    tabpy: Server,
    ours: Server,
}

impl Pair {
    pub(crate) fn start(setup: Setup) -> Result<Self, String> {
        let program = tabpy_program()?;
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
        let tabpy = Server::start("TabPy", setup, || {
            let mut command = Command::new(&program);
            command.env_clear();
            command
        })?;
        let ours = Server::start("tabpy-rs", setup, || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_tabpy-rs"));
            command.env_clear().env("TABPY_PYTHON", &environment);
            command
        })?;
        Ok(Self { setup, tabpy, ours })
    }

    /// TabPy's answer and ours.
    pub(crate) fn answers(&self, case: &Case) -> (Answer, Answer) {
        let theirs = match &case.unanswered {
            Some(_) => Answer::Nothing,
            None => self.answer(&self.tabpy, case),
        };
        (theirs, self.answer(&self.ours, case))
    }

    fn answer(&self, server: &Server, case: &Case) -> Answer {
        for script in &case.before {
            client::ask(server.port, &evaluate_request(self.setup, server.port, script));
        }
        client::ask(server.port, &case.request(self.setup.prefix(), &format!("localhost:{}", server.port)))
    }
}

fn evaluate_request(setup: Setup, port: u16, script: &str) -> Vec<u8> {
    let body = evaluate_body(script, None);
    let mut request = format!(
        "POST {}/evaluate HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        setup.prefix(),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    request
}

pub(crate) fn tabpy_program() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/tabpy");
    if program.exists() {
        return Ok(program);
    }
    Err("TabPy is not installed in .venv-tabpy: `make test` creates it (pip install tabpy==2.16.0)".into())
}

struct Server {
    name: &'static str,
    port: u16,
    child: Child,
    folder: TempDir,
}

impl Server {
    /// A port that was free a moment ago may be taken when the server binds it, so it has three tries.
    fn start(name: &'static str, setup: Setup, command: impl Fn() -> Command) -> Result<Self, String> {
        let mut outcome = Err(String::new());
        for _ in 0..3 {
            let mut server = Self::spawn(name, command(), setup);
            outcome = server.wait(setup);
            if outcome.is_ok() {
                return Ok(server);
            }
        }
        Err(outcome.err().unwrap_or_default())
    }

    fn spawn(name: &'static str, mut command: Command, setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = port::free();
        fs::create_dir(folder.path().join("state")).unwrap();
        if let Some(state) = setup.state() {
            fs::write(folder.path().join("state/state.ini"), state).unwrap();
        }
        fs::write(folder.path().join("passwords.txt"), PASSWORDS).unwrap();
        let config = format!(
            "[TabPy]\nTABPY_PORT = {port}\nTABPY_STATE_PATH = state\nTABPY_QUERY_OBJECT_PATH = objects\n{}",
            setup.settings()
        );
        fs::write(folder.path().join("tabpy.conf"), config).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command
            .args(["--config=tabpy.conf", "--disable-auth-warning"])
            .current_dir(folder.path())
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            // Something that scripts should not see.
            .env("PARITY_SECRET", "secret")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { name, port, child, folder }
    }

    /// Until it runs scripts, or says why it does not.
    fn wait(&mut self, setup: Setup) -> Result<(), String> {
        let request = evaluate_request(setup, self.port, "return 1");
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Err(format!("{} ended with {status}:\n{}", self.name, self.log_tail()));
            }
            match client::ask(self.port, &request) {
                Answer::Full(response) if response.status != 503 => return Ok(()),
                _ => {}
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{} did not start within {STARTUP:?}:\n{}", self.name, self.log_tail()))
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
