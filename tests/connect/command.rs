//! One run of a command that is a client, with the environment that a test gives it and no more.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Exit, START_PATIENCE, wait_for};
use crate::tableau::{CLIENT_ID, PASSWORD, SECRET_ID, SECRET_VALUE, TOKEN_NAME, TOKEN_VALUE, USER};

/// What a server under test is called, and how it is guarded.
pub(crate) const TABPY_USER: &str = "tableau";
pub(crate) const TABPY_PASSWORD: &str = "tabpy-s3cret:x";

pub(crate) struct Run {
    command: Command,
    folder: TempDir,
}

impl Run {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tabpy-rs"));
        command.args(arguments).env_clear().current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, folder }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<Path>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Signs in to Tableau with the token.
    pub(crate) fn token(self) -> Self {
        self.env("TABLEAU_TOKEN_NAME", TOKEN_NAME).env("TABLEAU_TOKEN_VALUE", TOKEN_VALUE)
    }

    pub(crate) fn password(self) -> Self {
        self.env("TABLEAU_USERNAME", USER).env("TABLEAU_PASSWORD", PASSWORD)
    }

    pub(crate) fn app(self) -> Self {
        self.env("TABLEAU_APP_CLIENT_ID", CLIENT_ID)
            .env("TABLEAU_APP_SECRET_ID", SECRET_ID)
            .env("TABLEAU_APP_SECRET_VALUE", SECRET_VALUE)
            .env("TABLEAU_USERNAME", USER)
    }

    /// The server's own user.
    pub(crate) fn login(self) -> Self {
        self.env("TABPY_USERNAME", TABPY_USER).env("TABPY_PASSWORD", TABPY_PASSWORD)
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn start(&mut self) -> Child {
        self.command.spawn().unwrap()
    }

    #[track_caller]
    pub(crate) fn run(mut self) -> Exit {
        let child = self.start();
        finish(child)
    }

    /// Expects an exit code, and gives all that was said.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> String {
        let exit = self.run();
        let said = format!("{}{}", exit.stdout, exit.stderr);
        assert_eq!(exit.code, Some(code), "{said}");
        for secret in [TOKEN_VALUE, PASSWORD, SECRET_VALUE, TABPY_PASSWORD, "HvZMqFFfQQ"] {
            assert!(!said.contains(secret), "a secret was shown: {said}");
        }
        said
    }

    /// Expects an exit code and JSON.
    #[track_caller]
    pub(crate) fn json(self, code: i32) -> Value {
        let exit = self.run();
        assert_eq!(exit.code, Some(code), "{}{}", exit.stdout, exit.stderr);
        serde_json::from_str(&exit.stdout).unwrap_or_else(|error| panic!("{error}: {}", exit.stdout))
    }
}

#[track_caller]
pub(crate) fn finish(mut child: Child) -> Exit {
    let ended = wait_for(START_PATIENCE * 2, || child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(ended.is_some(), "it kept running: {stdout}{stderr}");
    Exit { code: output.status.code(), stdout, stderr }
}

/// One sentence on standard error names the wrong thing.
#[track_caller]
pub(crate) fn sentence(said: &str, words: &[&str]) {
    let last = said.lines().last().unwrap();
    for word in words {
        assert!(last.contains(word), "{word:?} is not in: {last}\n{said}");
    }
}
