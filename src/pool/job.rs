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
    /// What is printed, if that is to come with the answer, beside going to the log.
    pub printed: Option<Vec<u8>>,
    /// Whether it is likely to be so quick, and so harmless, that it may go to a worker together with others.
    pub light: bool,
}

impl Job {
    /// What was printed so far, if that was wanted.
    pub(super) fn take_printed(&mut self) -> Option<String> {
        self.printed.take().map(|text| String::from_utf8_lossy(&text).into_owned())
    }
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
    pub printed: Option<String>,
}

impl Answer {
    /// What a reply says, and who sent it when; without anything printed.
    pub(super) fn of(reply: &Reply, body: Body, begun: Begun, ran: Duration) -> Self {
        let Reply { status, rows_in, rows_out, fits, pure, .. } = *reply;
        let Begun { worker, queued } = begun;
        Self { status, body, rows_in, rows_out, fits, pure, worker, queued, ran, printed: None }
    }
}
