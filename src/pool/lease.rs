//! A worker that belongs to one request. It goes back to the pool when its work is whole; dropped in
//! the middle of it (the deadline passed, the client left) it is killed with everything it started.

use std::sync::Arc;

use bytes::Bytes;

use super::exchange::Lost;
use super::feed::Coming;
use super::reply::Done;
use super::starter::Order;
use super::worker::Worker;
use super::{Job, Shared};
use crate::mapping::Mapping;
use crate::metrics::Ended;
use crate::wire::{Request, Task};

/// A longer body is quicker in memory than over the wire, and there once less.
const LARGE: usize = 2 << 20;

/// So much of it is put there in one go.
const STEP: usize = 256 << 10;

/// What a worker may do as there are processors to spare.
#[derive(Clone, Copy, Default)]
pub(super) struct Spare {
    /// Wait awake for what comes next.
    pub(super) stay_awake: bool,
    /// Write a long answer with two threads.
    pub(super) write_beside: bool,
}

pub(super) struct Lease {
    /// In a box, since whoever waits for one has room for it.
    worker: Option<Box<Worker>>,
    shared: Arc<Shared>,
    spare: Spare,
    /// Whether the worker is in the middle of something.
    working: bool,
    /// Why it is ended, if it is dropped in the middle of that.
    reason: Ended,
}

impl Lease {
    pub(super) fn new(worker: Box<Worker>, shared: Arc<Shared>) -> Self {
        Self { worker: Some(worker), shared, spare: Spare::default(), working: false, reason: Ended::Stopped }
    }

    pub(super) fn with(mut self, spare: Spare) -> Self {
        self.spare = spare;
        self
    }

    pub(super) fn number(&self) -> u64 {
        self.worker.as_ref().map_or(0, |worker| worker.number)
    }

    /// The worker itself; dropping what is left of the lease does nothing.
    pub(super) fn into_worker(mut self) -> Option<Box<Worker>> {
        self.worker.take()
    }

    /// Has the worker do a job, of which it may have been sent something already.
    pub(super) async fn exchange(&mut self, job: &mut Job, begun: Option<Coming>) -> Result<Done, Lost> {
        self.reason = Ended::Stopped;
        let begun = match begun {
            None => self.lay_out(job).await?,
            begun => begun,
        };
        let was_in_memory = begun.is_some();
        // Whoever waits may have a body for the same memory, which is worth more there.
        let lends = was_in_memory && self.shared.lock().waiting.len() == 0;
        if !was_in_memory {
            self.begin();
        }
        let Some(worker) = self.worker.as_mut() else { return Err(Lost::BeforeItBegan) };
        let done = match worker.exchange(job, begun, &self.shared.start.limits, self.spare, lends).await {
            Ok(done) => done,
            Err(lost) => {
                self.lose(&lost);
                return Err(lost);
            }
        };
        if was_in_memory
            && let Some(room) = &worker.room
            && room.taken() > self.shared.start.setup.kept_bytes()
        {
            let _ = self.shared.starter.send(Order::Release { room: room.clone() });
        }
        self.end();
        Ok(done)
    }

    /// Puts a large body that is whole where the worker reads it. None, if it goes over the wire.
    async fn lay_out(&mut self, job: &mut Job) -> Result<Option<Coming>, Lost> {
        let length = job.body.len();
        if job.task != Task::Evaluate || length <= LARGE {
            return Ok(None);
        }
        let Some(memory) = self.memory(length) else { return Ok(None) };
        let mut coming = self.send_early(memory, length, job.generation).ok_or(Lost::BeforeItBegan)?;
        for part in job.body.chunks(STEP) {
            let told = coming.push(part) && self.tell(&mut coming);
            self.reason = Ended::Stopped;
            if !told {
                return Err(coming.lost());
            }
            // Others of this thread go on meanwhile.
            tokio::task::yield_now().await;
        }
        // Once is enough.
        job.body = Bytes::from_owner(coming.whole());
        Ok(Some(coming))
    }

    /// The memory for a body of so many bytes, if the worker has such and it is free.
    pub(super) fn memory(&self, length: usize) -> Option<Arc<Mapping>> {
        self.worker.as_ref()?.room.as_ref()?.take(length)
    }

    /// Tells the worker of a body of so many bytes that comes to its memory, for an evaluation. None, if the worker is
    /// of no use any more.
    pub(super) fn send_early(
        &mut self,
        memory: Arc<Mapping>,
        length: usize,
        generation: u64,
    ) -> Option<Coming> {
        self.begin();
        let (limits, spare) = (&self.shared.start.limits, self.spare);
        self.worker.as_ref()?.reads(length);
        let begun = self.worker.as_mut()?.begin(limits, |id| Request {
            generation,
            stay_awake: spare.stay_awake,
            write_beside: spare.write_beside,
            in_memory: true,
            ..Request::plain(Task::Evaluate, id, length as u64)
        });
        // No script runs before all of it is there.
        self.lose(&Lost::BeforeItBegan);
        let mut sending = begun.ok()?;
        let (wire, _) = self.worker.as_mut()?.watched().ok()?;
        sending.send_header(wire).ok()?;
        Some(Coming::new(sending.id, sending.last, memory, length))
    }

    /// Tells the worker how much of a body is there. False, if it is of no use any more.
    pub(super) fn tell(&mut self, coming: &mut Coming) -> bool {
        let wire = self.worker.as_mut().and_then(|worker| worker.watched().ok());
        let told = wire.is_some_and(|(wire, _)| coming.tell(wire).is_ok());
        if !told {
            self.lose(&coming.lost());
        }
        told
    }

    /// Something begins, and the worker ends with it if that does not come to its end.
    pub(super) fn begin(&mut self) {
        self.working = true;
        if let Some(worker) = &self.worker {
            worker.next_turn();
        }
    }

    pub(super) fn worker(&mut self) -> Option<&mut Worker> {
        self.worker.as_deref_mut()
    }

    /// That has come to its end.
    pub(super) fn end(&mut self) {
        if let Some(worker) = &self.worker {
            worker.next_turn();
            worker.reads(0);
        }
        self.working = false;
    }

    /// It does not come to its end.
    pub(super) fn lose(&mut self, lost: &Lost) {
        self.reason = match lost {
            Lost::BeforeItBegan => Ended::Idle,
            Lost::Unwanted => Ended::Stopped,
            _ if self.has_met_a_limit() => Ended::Limited,
            _ => Ended::Died,
        };
    }

    pub(super) fn has_met_a_limit(&self) -> bool {
        self.worker.as_ref().is_some_and(|worker| worker.has_met_a_limit())
    }

    /// How the worker's process ended, after it did.
    pub(super) async fn how_it_ended(&mut self) -> String {
        match self.worker.as_mut() {
            Some(worker) => worker.how_it_ended().await,
            None => String::new(),
        }
    }

    /// Returns the worker, unless it is spoilt or has served long enough.
    pub(super) fn give_back(mut self, spoilt: bool) {
        if let Some(worker) = self.worker.take() {
            if spoilt {
                self.shared.bury(worker, Ended::Spoilt);
            } else if worker.served >= self.shared.start.limits.worker_requests {
                self.shared.bury(worker, Ended::Served);
            } else {
                self.shared.give(worker);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        if self.working {
            self.shared.bury(worker, self.reason);
        } else {
            self.shared.give(worker);
        }
    }
}
