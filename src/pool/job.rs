//! What the pool is asked, and what it answers.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Begun, Body};
use crate::wire::{Reply, Task};

/// Work for one worker.
pub struct Job {
    pub task: Task,
    /// The function's name, for a query.
    pub name: Box<str>,
    /// The version of it that is asked for; 0 for the current one.
    pub version: u32,
    /// The newest generation of deployed functions.
    pub generation: u64,
    pub body: Bytes,
    /// When its last byte had come.
    pub asked: Instant,
    /// When the client gets its answer at the latest.
    pub deadline: Instant,
    /// Whether what is printed comes with the answer, beside going to the log.
    pub wants_output: bool,
    /// Whether it is likely to be so quick, and so harmless, that it may go to a worker together with others.
    pub light: bool,
}

/// What a worker answered.
pub struct Answer {
    pub status: u16,
    pub body: Body,
    pub rows_in: u32,
    pub rows_out: u32,
    /// Whether Tableau can take the answer.
    pub fits: bool,
    /// Whether the script did nothing but compute the answer, if one ran at all.
    pub pure: bool,
    /// The worker's number, for the log.
    pub worker: u64,
    /// How long the request waited for it.
    pub queued: Duration,
    /// How long the worker took.
    pub ran: Duration,
    /// What was printed, if that was wanted.
    pub output: Option<String>,
}

impl Answer {
    /// What a reply says, and who sent it when; without anything printed.
    pub(super) fn of(reply: &Reply, body: Body, begun: Begun, ran: Duration) -> Self {
        let Reply { status, rows_in, rows_out, fits, pure, .. } = *reply;
        let Begun { worker, queued } = begun;
        Self { status, body, rows_in, rows_out, fits, pure, worker, queued, ran, output: None }
    }
}
