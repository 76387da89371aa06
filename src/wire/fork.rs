//! What the front and the fork server say to each other, one message at a time, as JSON beside the
//! descriptors that belong to it. How messages and descriptors travel is `control`'s.

use std::path::PathBuf;

use super::Hello;

/// The longest message to or from the fork server.
pub const LONGEST_MESSAGE: usize = 64 << 10;

/// What the fork server is asked, beside the descriptors that come with it: the worker's wire, where it prints, and
/// the memory for large bodies if there is such.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fork {
    pub number: u64,
    /// The worker's folder for temporary files.
    pub folder: PathBuf,
}

/// What the fork server says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Report {
    /// It is ready to fork. Modules that left threads behind are named; the copies would lack those.
    Ready { hello: Hello, threaded: Vec<String> },
    /// It cannot work, and ends.
    Failed { reason: String },
    /// A worker was born; its pidfd comes with this.
    Born { number: u64, pid: i32 },
    /// A worker could not be made.
    NotBorn { number: u64, reason: String },
    /// A worker ended, in this way.
    Ended { number: u64, code: Option<i32>, signal: Option<i32> },
}
