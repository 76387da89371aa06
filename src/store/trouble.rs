//! Why the database did not do what it was asked, in words for whoever runs the server. What the driver
//! says may repeat the address with its password, so nothing leaves here before that is struck out.

use sqlx::error::DatabaseError;

use crate::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It may come back.
    Unreachable,
    /// The same, and it may have done what it was asked.
    Uncertain,
    /// The disk is full.
    Full,
    /// It can be read, but takes nothing new.
    ReadOnly,
    /// It does not take what it was given.
    Refused,
    /// It is there, but it is not what it should be.
    Broken,
}

impl Trouble {
    pub(super) fn new(kind: Kind, words: impl Into<String>) -> Self {
        Self { kind, words: words.into() }
    }

    /// `place` names the database, `secret` is struck out of what is said.
    pub(super) fn of(error: &sqlx::Error, place: &str, secret: Option<&str>) -> Self {
        let kind = match error {
            sqlx::Error::Database(error) => of_database(error.as_ref()),
            sqlx::Error::Migrate(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Kind::Broken
            }
            _ => Kind::Unreachable,
        };
        let mut said = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            sqlx::Error::PoolTimedOut => "no connection within 5 s".to_owned(),
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                "it does not answer".to_owned()
            }
            other => other.to_string(),
        };
        if let Some(secret) = secret.filter(|secret| !secret.is_empty()) {
            said = said.replace(secret, "(hidden)");
        }
        let advice = match kind {
            Kind::Full => {
                ". Make room on its disk, or name another place with TABPY_STATE_PATH or DATABASE_URL"
            }
            Kind::ReadOnly => {
                ". Let the server write it, or name another place with TABPY_STATE_PATH or DATABASE_URL"
            }
            Kind::Broken => ". Put a backup in its place, or move it away to begin with an empty one",
            Kind::Unreachable | Kind::Uncertain | Kind::Refused => "",
        };
        Self::new(kind, format!("{place}: {said}{advice}"))
    }

    /// What a client hears who wanted to change something.
    pub(super) fn failure(&self) -> Failure {
        let (status, message) = match self.kind {
            Kind::Full => (507, "There is no room left for the function."),
            Kind::ReadOnly => (503, "Functions cannot be deployed to this server."),
            Kind::Unreachable => (503, "The store of functions cannot be reached."),
            Kind::Uncertain => (503, "It is not known whether the function was changed."),
            Kind::Refused => (500, "The store of functions does not take this."),
            Kind::Broken => (503, "The store of functions cannot be used."),
        };
        let outcome = match self.kind {
            Kind::Uncertain => {
                "The connection was lost in the last moment; GET /functions tells once it is back"
            }
            _ => "Nothing was changed",
        };
        let failure = Failure::new(status, message).info(format!("{outcome}. {}.", self.words));
        match self.kind {
            Kind::Unreachable | Kind::Uncertain => failure.retry_after(5),
            _ => failure,
        }
    }

    /// What came between when all was done but for the last word.
    pub(super) fn in_the_last_moment(self) -> Self {
        match self.kind {
            Kind::Unreachable => Self { kind: Kind::Uncertain, ..self },
            _ => self,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for Trouble {}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let full = matches!(error.kind(), StorageFull | QuotaExceeded);
        let place = "the folder from which workers load functions";
        Self::new(if full { Kind::Full } else { Kind::Unreachable }, format!("{place}: {error}"))
    }
}

/// By SQLite's result codes (https://www.sqlite.org/rescode.html), and Postgres' SQLSTATE.
fn of_database(error: &dyn DatabaseError) -> Kind {
    let code = error.code();
    let Some(code) = code.as_deref() else { return Kind::Unreachable };
    if code.len() == 5 {
        return match code {
            "53100" => Kind::Full,
            "25006" | "42501" => Kind::ReadOnly,
            // A name or type that is missing: somebody has changed the tables.
            _ if code.starts_with("42") => Kind::Broken,
            // A value, a constraint, a limit.
            _ if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Kind::Refused,
            _ => Kind::Unreachable,
        };
    }
    // The low byte says what, the rest of it says where.
    match code.parse::<i32>().unwrap_or_default() & 0xff {
        13 => Kind::Full,
        8 | 3 => Kind::ReadOnly,
        11 | 26 => Kind::Broken,
        1 => Kind::Broken,
        18..=20 => Kind::Refused,
        // An I/O error is a disk that may be full, or gone.
        _ => Kind::Unreachable,
    }
}
