//! The trial of a function before it is put in force: a worker of its own outside the pool's count,
//! confined and limited like any other, loads it once and is ended. What it said, or how it failed to, is
//! told in the words that go into the function's status.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::exchange::Lost;
use super::lease::Spare;
use super::reply::Done;
use super::worker::Worker;
use super::{Job, Pool, of_function, starter};
use crate::catalogue::{NotLoaded, Trial, Tried};
use crate::wire::Task;

/// Trials beyond this many wait for their turn: whoever deploys must not starve whoever calls.
pub(super) const AT_ONCE: usize = 2;

impl Pool {
    /// Loads the function in a worker of its own. Dropping the future ends the trial, and the worker with it.
    pub async fn try_out(&self, trial: &Trial) -> Result<Tried, NotLoaded> {
        let _turn = self.shared.trials.acquire().await.map_err(|error| not_loaded(error.to_string()))?;
        let mut worker = self.lend().await?;
        let body = serde_json::to_vec(trial).map_err(|error| not_loaded(error.to_string()))?;
        let limits = &self.shared.start.limits;
        let asked = Instant::now();
        let deadline = asked + limits.trial_timeout;
        let mut job = Job {
            task: Task::Load,
            name: Box::default(),
            version: 0,
            generation: 0,
            body: Bytes::from(body),
            asked,
            deadline,
            printed: None,
            light: false,
        };
        worker.next_turn();
        match tokio::time::timeout_at(
            deadline.into(),
            worker.exchange(&mut job, None, limits, Spare::default(), false),
        )
        .await
        {
            Ok(Ok(Done { reply, body, .. })) => read(reply.status, &body),
            Ok(Err(Lost::Garbled)) => Err(not_loaded(of_function(super::GARBLED))),
            Ok(Err(_)) => Err(not_loaded(of_function(&worker.how_it_ended().await))),
            Err(_) => {
                let seconds = limits.trial_timeout.as_secs_f64();
                Err(not_loaded(format!(
                    "it did not load within {seconds} s, the least of TABPY_QUERY_TIMEOUT and 60 s"
                )))
            }
        }
    }

    /// A worker that is nobody else's and goes back to nobody.
    async fn lend(&self) -> Result<Worker, NotLoaded> {
        let (to, lent) = oneshot::channel();
        // The starter ends only with the pool.
        let _ = self.shared.starter.send(starter::Order::Lend { to });
        match lent.await {
            Ok(lent) => lent.map_err(not_loaded),
            Err(_) => Err(not_loaded("the server is stopping".to_owned())),
        }
    }
}

fn read(status: u16, body: &[u8]) -> Result<Tried, NotLoaded> {
    if status != 200 {
        return Err(not_loaded(String::from_utf8_lossy(body).into_owned()));
    }
    serde_json::from_slice(body)
        .map_err(|error| not_loaded(format!("what it said is not to be understood: {error}")))
}

fn not_loaded(reason: String) -> NotLoaded {
    NotLoaded { reason }
}
