//! One request and its reply over a worker's wire: one write, and as few reads as the reply needs,
//! while what the script prints goes to the log.

use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::sync::OnceLock;

use bytes::Bytes;
use tokio::net::unix::pipe;

use super::channel::Wire;
use super::feed::Coming;
use super::lease::Spare;
use super::output::Printed;
use super::reply::{Done, Source};
use super::sending::Sending;
use super::worker::Worker;
use super::{Job, Limits};
use crate::wire::{Request, Task};

/// A longer body is not kept here once it was sent over the wire: a worker that has read so much has begun.
pub(super) const BEGUN: usize = 1 << 20;

/// Why there is no reply.
pub(super) enum Lost {
    /// The request was never whole on the other side.
    BeforeItBegan,
    /// It was not whole there either, but the worker had begun to read it, and may have ended for that.
    WhileItRead,
    /// The worker closed its end of the wire; its process has ended or is about to.
    Ended,
    /// The worker said what no worker says.
    Garbled,
    /// Nobody waits for it any more: the client has left, or its time is over.
    Unwanted,
}

impl Worker {
    /// Does a job, of which the worker may know already; with `lends`, the answer may lie where the body was.
    pub(super) async fn exchange(
        &mut self,
        job: &mut Job,
        begun: Option<Coming>,
        limits: &Limits,
        spare: Spare,
        lends: bool,
    ) -> Result<Done, Lost> {
        // Evaluations are judged by the worker.
        self.innocent &= job.task == Task::Evaluate;
        let body_length = job.body.len();
        let mut memory = None;
        let (id, last) = match begun {
            Some(mut coming) => {
                let (wire, _) = self.watched().map_err(|_| coming.lost())?;
                coming.finish(wire).await.map_err(|_| coming.lost())?;
                let ids = (coming.id, coming.last);
                memory = self.room.clone().map(|room| coming.lent_by(room));
                ids
            }
            None => {
                let mut sending = self.begin(limits, |id| Request {
                    name_length: u32::try_from(job.name.len()).unwrap_or(0),
                    generation: job.generation,
                    version: job.version,
                    stay_awake: spare.stay_awake,
                    write_beside: spare.write_beside,
                    ..Request::plain(job.task, id, body_length as u64)
                })?;
                let (wire, _) = self.watched().map_err(|_| Lost::BeforeItBegan)?;
                if sending.send(wire, &job.name, &job.body).await.is_err() {
                    return Err(sending.lost());
                }
                (sending.id, sending.last)
            }
        };
        let (wire, output) = self.watched().map_err(|_| Lost::Ended)?;
        if job.body.len() > BEGUN {
            job.body = Bytes::new();
        }
        let mut printed = Printed::new(limits.script_output_bytes, job.printed.as_mut());
        // What a function answers is looked at whole.
        let in_parts = job.task == Task::Evaluate;
        let max_response_bytes = limits.max_response_bytes;
        let (lent, kept) = if lends { (memory, None) } else { (None, memory) };
        let mut source =
            Source { wire, output, printed: &mut printed, memory: lent, max_response_bytes, id, in_parts };
        let received = source.reply().await;
        let memory = source.memory.or(kept);
        // The worker has not begun, or has not read all of it, where one of these turns out.
        let has_left = matches!(&received, Ok(Some(done)) if done.reply.id == last && !done.came_in_pieces);
        let is_reset = matches!(&received, Err(error) if error.kind() == ErrorKind::ConnectionReset);
        if (has_left || is_reset)
            && let Some(memory) = memory
        {
            // No part of what bodies may take together any more; but nobody else would have it.
            job.body = Bytes::from_owner(memory);
        }
        if (has_left || is_reset) && job.body.len() == body_length {
            // A farewell bears the id of the request before, which no script knows either; and the kernel says so where
            // bytes were left unread: the request was never whole on the other side, and what came was another's.
            drop(printed);
            if let Some(kept) = &mut job.printed {
                kept.clear();
            }
            return Err(if is_reset && body_length > BEGUN {
                Lost::WhileItRead
            } else {
                Lost::BeforeItBegan
            });
        }
        // What was printed before the reply is in the pipe by now, and the runtime was told of it first; unless it was
        // told of something before that already.
        if matches!(&received, Ok(Some(done)) if !done.confessed && !done.came_in_pieces) {
            printed.drain(output);
        } else {
            printed.drain_unseen(output);
        }
        drop(printed);
        match received {
            Ok(Some(done)) if done.reply.id == id => {
                self.innocent &= !done.confessed;
                self.pure = if done.reply.pure { self.pure + 1 } else { 0 };
                Ok(done)
            }
            Ok(_) => Err(Lost::Garbled),
            Err(_) => Err(Lost::Ended),
        }
    }

    /// Makes ready to send one more request, which `request` makes with its id.
    pub(super) fn begin(
        &mut self,
        limits: &Limits,
        request: impl FnOnce(u64) -> Request,
    ) -> Result<Sending, Lost> {
        let last = self.last_id;
        let id = self.next_id();
        self.at_rest(limits)?;
        Ok(Sending::new(&request(id), last))
    }

    /// Counts one more request, and gives its id.
    pub(super) fn next_id(&mut self) -> u64 {
        self.served += 1;
        self.last_id = unguessable(self.number, self.served);
        self.last_id
    }

    /// The descriptors of an idle worker that waits for a request.
    pub(super) fn at_rest(&mut self, limits: &Limits) -> Result<(&Wire, &pipe::Receiver), Lost> {
        let number = self.number;
        let innocent = self.innocent;
        let (wire, output) = self.watched().map_err(|_| Lost::BeforeItBegan)?;
        // What came after the last answer was printed by what scripts have left behind, and pure ones leave nothing.
        let mut left_behind = Printed::left_behind(number, limits.script_output_bytes);
        if innocent {
            left_behind.drain(output);
        } else {
            left_behind.drain_unseen(output);
        }
        // An idle worker has nothing to say but that it ends; what a script left on the wire would else
        // be taken for the next reply.
        if !is_silent(wire) {
            return Err(Lost::BeforeItBegan);
        }
        Ok((wire, output))
    }
}

/// Whether nothing has come.
fn is_silent(wire: &Wire) -> bool {
    matches!(wire.try_read(&mut Vec::with_capacity(1)), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// An id that a script cannot know before its request is there, so that it cannot answer the next one.
pub(super) fn unguessable(worker: u64, request: u64) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one((worker, request))
}
