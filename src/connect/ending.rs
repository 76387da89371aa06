//! How the commands end: an exit code for programs, a sentence for people. The codes are documented in
//! docs/connect.md and do not change their meaning.

/// What a program may tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Anything that has no number of its own.
    Failed = 1,
    /// The command line, an address, a file or a variable.
    Usage = 2,
    /// A check of the server failed: Tableau would not be able to use it.
    Server = 3,
    /// Tableau refused the sign-in, or ended the session.
    SignIn = 4,
    /// Signed in, but not allowed to do this.
    Permission = 5,
    /// Analytics extensions are switched off for the site.
    SiteOff = 6,
    /// A connection or a workbook that is not there, is there twice, or is of another kind.
    NotFound = 7,
    /// Tableau did not answer, or is none.
    Tableau = 8,
    /// SIGINT or SIGTERM.
    Interrupted = 130,
}

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) words: String,
}

impl Problem {
    pub(crate) fn new(code: Code, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Code::Interrupted, "interrupted")
    }

    pub(crate) fn usage(error: impl std::fmt::Display) -> Self {
        // With `#`, an `anyhow::Error` tells its causes too.
        Self::new(Code::Usage, format!("{error:#}"))
    }
}

pub(crate) type Outcome<T> = Result<T, Problem>;
