//! What a command is given beside its arguments: variables of the environment, of `.env` and of a file
//! that is named, else what somebody types where a terminal is. Secrets come from nowhere else. What
//! the variables mean is not known here.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::config;
use crate::credentials::Secret;

pub(crate) struct Given {
    pairs: Vec<(String, String)>,
    terminal: bool,
    /// A file of secrets that others can read.
    pub(crate) open_file: Option<PathBuf>,
}

/// A name and a password for a server like this one.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: Secret,
}

impl Given {
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let mode = file.and_then(|path| Some(std::fs::metadata(path).ok()?.permissions().mode()));
        Ok(Self {
            pairs: config::variables(file)?,
            terminal: std::io::stdin().is_terminal(),
            open_file: file.filter(|_| mode.is_some_and(|mode| mode & 0o077 != 0)).map(Path::to_owned),
        })
    }

    /// An empty variable is none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(known, value)| known == name && !value.trim().is_empty());
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::of_line)
    }

    /// The secret, else what is typed after `words`, unseen.
    pub(crate) fn secret_or_ask(&self, name: &str, words: &str) -> anyhow::Result<Secret> {
        if let Some(secret) = self.secret(name) {
            return Ok(secret);
        }
        if !self.terminal {
            bail!("{name} is not set: set it in the environment, or in a file for --secrets");
        }
        let typed = rpassword::prompt_password(format!("{words}: ")).context("cannot ask on the terminal")?;
        if typed.is_empty() {
            bail!("nothing was typed; {name} was expected");
        }
        Ok(Secret::new(typed))
    }

    pub(crate) fn text_or_ask(&self, name: &str, words: &str) -> anyhow::Result<String> {
        if let Some(text) = self.text(name) {
            return Ok(text.trim().to_owned());
        }
        if !self.terminal {
            bail!("{name} is not set: set it in the environment, or in a file for --secrets");
        }
        eprint!("{words}: ");
        std::io::stderr().flush()?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("cannot read from the terminal")?;
        match line.trim() {
            "" => bail!("nothing was typed; {name} was expected"),
            text => Ok(text.to_owned()),
        }
    }

    pub(crate) fn terminal(&self) -> bool {
        self.terminal
    }

    /// `TABPY_USERNAME` and `TABPY_PASSWORD`; a password that is missing is asked for.
    pub(crate) fn login(&self) -> anyhow::Result<Option<Login>> {
        match self.text("TABPY_USERNAME") {
            Some(_) => self.login_or_ask().map(Some),
            None if self.text("TABPY_PASSWORD").is_some() => {
                bail!("TABPY_PASSWORD is set, but TABPY_USERNAME is not: set both")
            }
            None => Ok(None),
        }
    }

    pub(crate) fn login_or_ask(&self) -> anyhow::Result<Login> {
        let name = self.text_or_ask("TABPY_USERNAME", "User name of the server")?;
        if name.contains(':') {
            bail!("TABPY_USERNAME holds a colon, which no user's name can");
        }
        let password = self.secret_or_ask("TABPY_PASSWORD", &format!("Password of {name}"))?;
        Ok(Login { name, password })
    }
}
