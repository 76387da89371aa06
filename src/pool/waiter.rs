//! A request that waits for a worker, and what comes of that.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::lease::Lease;
use super::{Answer, Job};
use crate::wire::Task;

pub(super) struct Waiter {
    pub(super) since: Instant,
    /// How often the starter has found it waiting.
    pub(super) looks: u32,
    pub(super) turn: oneshot::Sender<Turn>,
    /// What may be asked for it together with others.
    pub(super) light: Option<Light>,
}

/// What comes of waiting.
pub(super) enum Turn {
    /// A worker of one's own.
    Worker(Lease),
    /// What a worker has answered already, asked together with others.
    Over(Answer),
}

/// A job that may go to a worker together with others.
pub(super) struct Light {
    pub(super) task: Task,
    pub(super) body: Bytes,
    pub(super) generation: u64,
}

impl Light {
    pub(super) fn of(job: &Job) -> Option<Self> {
        let Job { task, body, generation, .. } = job;
        // What is printed belongs to one request, and so takes a worker of its own.
        (job.light && job.printed.is_none()).then(|| Self {
            task: *task,
            body: body.clone(),
            generation: *generation,
        })
    }
}
