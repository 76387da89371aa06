//! Why a request has no answer, and how that is said to whoever waits for it.

use std::time::Duration;

use crate::failure::Failure;

/// Where and when a worker took a request that has no answer; for the log.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    pub worker: u64,
    pub queued: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The worker did not answer before the deadline.
    TimedOut { begun: Begun, printed: Option<String> },
    /// As many requests wait as may.
    QueueFull { queue_size: usize },
    /// No worker was free before the deadline.
    NotStarted { max_workers: usize, reason: Option<String> },
    /// The worker process ended before it answered; how, in words.
    Died { how: String, begun: Begun, printed: Option<String> },
    /// The server is stopping.
    Stopping,
}

/// How a process ended, in words for the one whose function it was: what they say of scripts holds for both.
pub fn of_function(how: &str) -> String {
    how.replace("script", "function")
}

impl Trouble {
    /// The worker that had the request, if one did.
    pub fn begun(&self) -> Option<Begun> {
        match self {
            Self::TimedOut { begun, .. } | Self::Died { begun, .. } => Some(*begun),
            Self::QueueFull { .. } | Self::NotStarted { .. } | Self::Stopping => None,
        }
    }

    /// What the script had printed, if that was wanted.
    pub fn take_printed(&mut self) -> Option<String> {
        match self {
            Self::TimedOut { printed, .. } | Self::Died { printed, .. } => printed.take(),
            Self::QueueFull { .. } | Self::NotStarted { .. } | Self::Stopping => None,
        }
    }

    /// As the client sees it. `timed_out` is the message for a script that took too long.
    pub fn failure(self, timed_out: impl FnOnce() -> String) -> Failure {
        match self {
            Self::TimedOut { .. } => Failure::new(408, timed_out()),
            Self::QueueFull { queue_size } => Failure::new(503, "The server is too busy.")
                .info(format!(
                    "{queue_size} requests are waiting already, the limit of TABPY_QUEUE_SIZE. Try again later; \
                     more workers (TABPY_MAX_WORKERS) or shorter scripts make the queue move faster."
                ))
                .retry_after(5),
            Self::NotStarted { max_workers, reason: None } => {
                Failure::new(503, "The script was not started: all workers were busy until its time was over.")
                    .info(format!(
                        "Other scripts kept up to {max_workers} workers busy, the limit of TABPY_MAX_WORKERS. \
                         Try again later, or raise that setting if the machine has memory for more."
                    ))
                    .retry_after(5)
            }
            Self::NotStarted { reason: Some(reason), .. } => {
                Failure::new(503, "The script was not started: no Python worker could be started.")
                    .info(reason)
                    .retry_after(5)
            }
            Self::Died { how, .. } => Failure::new(500, "Error processing script").info(how),
            Self::Stopping => Failure::new(503, "The server is stopping.").info("Try again in a moment.").retry_after(5),
        }
    }
}
