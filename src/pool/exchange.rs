//! One request and its reply over a worker's wire: one write, and as few reads as the reply needs,
//! while what the script prints goes to the log.

use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, ErrorKind, IoSlice};
use std::sync::OnceLock;

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedSender;

use super::channel::Wire;
use super::output::Printed;
use super::process::Worker;
use super::{Job, Limits};
use crate::wire::{self, Reply, Request, Task};

/// Enough for the reply to a tiny request, header included.
pub(super) const FIRST_READ: usize = 4096;

/// Error bodies may be longer than the answer that was allowed.
const ERROR_ALLOWANCE: usize = 8 << 20;

/// A longer answer is passed on before it is whole.
const LONG: usize = 256 << 10;

/// As much of a long answer is read at once. The C library keeps pieces of this size for the next ones.
const PART: usize = 96 << 10;

/// A longer body is not kept once it was sent: a worker that has read so much has begun.
const BEGUN: usize = 1 << 20;

pub(super) struct Done {
    pub(super) reply: Reply,
    /// What has come of the answer.
    pub(super) body: Bytes,
    /// How much is still to come.
    pub(super) missing: usize,
    /// No other script should meet the worker: it said so, or more came than the reply.
    pub(super) spoilt: bool,
    /// What was printed, if that was wanted.
    pub(super) output: Option<String>,
    /// The worker has said that it runs a script that is not pure, for the first time.
    confessed: bool,
}

/// Why there is no reply.
pub(super) enum Lost {
    /// The request was never whole on the other side.
    BeforeItBegan,
    /// The worker closed its end of the wire; its process has ended or is about to.
    Ended,
    /// The worker said what no worker says.
    Garbled,
    /// Nobody waits for it any more: the client has left, or its time is over.
    Unwanted,
}

impl Worker {
    pub(super) async fn exchange(
        &mut self,
        job: &mut Job,
        limits: &Limits,
        stay_awake: bool,
    ) -> Result<Done, Lost> {
        // Evaluations are judged by the worker.
        self.innocent &= job.task == Task::Evaluate;
        let last = self.last_id;
        let id = self.next_id();
        let (wire, output) = self.at_rest(limits)?;
        let body_length = job.body.len();
        let request = Request {
            task: job.task,
            id,
            name_length: u32::try_from(job.name.len()).unwrap_or(0),
            body_length: body_length as u64,
            generation: job.generation,
            version: job.version,
            stay_awake,
            only_if_pure: false,
        };
        send(wire, &request, job).await.map_err(|_| Lost::BeforeItBegan)?;
        if job.body.len() > BEGUN {
            job.body = Bytes::new();
        }
        // What a function answers is looked at whole.
        let in_parts = job.task == Task::Evaluate;
        let mut printed = Printed::new(limits.script_output_bytes);
        if job.wants_output {
            printed.keep();
        }
        let received = receive(wire, output, &mut printed, limits.max_response_bytes, in_parts).await;
        if let Err(error) = &received
            && error.kind() == ErrorKind::ConnectionReset
            && job.body.len() == body_length
        {
            // The kernel says so where bytes were left unread: the request was never whole on the other side.
            return Err(Lost::BeforeItBegan);
        }
        // What was printed before the reply is in the pipe by now, and the runtime was told of it first; unless it was
        // told of something before that already.
        if matches!(&received, Ok(Some(done)) if !done.confessed) {
            printed.drain(output);
        } else {
            printed.drain_unseen(output);
        }
        let output = printed.kept();
        drop(printed);
        match received {
            Ok(Some(done)) if done.reply.id == id => {
                self.innocent &= !done.confessed;
                self.pure = if done.reply.pure { self.pure + 1 } else { 0 };
                Ok(Done { output, ..done })
            }
            // A farewell bears the id of the request before, which no script knows either.
            Ok(Some(done)) if done.reply.id == last => Err(Lost::BeforeItBegan),
            Ok(Some(_)) => Err(Lost::Garbled),
            Ok(None) => Err(Lost::Garbled),
            Err(_) => Err(Lost::Ended),
        }
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
        let (wire, output) = self.watched().map_err(|_| Lost::BeforeItBegan)?;
        // What came after the last answer was printed by what that script left behind.
        Printed::left_behind(number, limits.script_output_bytes).drain(output);
        // An idle worker has nothing to say but that it ends; what a script left on the wire would else
        // be taken for the next reply.
        if !is_silent(wire) {
            return Err(Lost::BeforeItBegan);
        }
        Ok((wire, output))
    }

    /// Reads the rest of a long answer, and passes it on in parts.
    pub(super) async fn pass_on(
        &mut self,
        mut missing: usize,
        parts: &UnboundedSender<Bytes>,
    ) -> io::Result<()> {
        let (wire, _) = self.watched()?;
        while missing > 0 {
            let mut part = Vec::with_capacity(PART.min(missing));
            match wire.try_read(&mut part) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    missing = missing.checked_sub(length).ok_or(ErrorKind::InvalidData)?;
                    // A client that has left does not keep the worker from being read to the end.
                    let _ = parts.send(part.into());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => wire.readable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

async fn send(wire: &Wire, request: &Request, job: &Job) -> io::Result<()> {
    let header = request.encode();
    wire.write_all(&mut [IoSlice::new(&header), IoSlice::new(job.name.as_bytes()), IoSlice::new(&job.body)])
        .await
}

/// Bytes of a reply's body, where they are no more than a worker may send.
pub(super) fn length(reply: &Reply, max_response_bytes: usize) -> Option<usize> {
    let most = max_response_bytes.saturating_add(ERROR_ALLOWANCE);
    usize::try_from(reply.body_length).ok().filter(|length| *length <= most)
}

/// The reply, or `None` when what came is no reply.
async fn receive(
    wire: &Wire,
    output: &pipe::Receiver,
    printed: &mut Printed,
    max_response_bytes: usize,
    in_parts: bool,
) -> io::Result<Option<Done>> {
    let mut received = Vec::with_capacity(FIRST_READ);
    let mut whole = None;
    let mut confessed = false;
    loop {
        if let (None, Some(header)) = (whole, received.first_chunk::<{ wire::HEADER }>()) {
            let Ok(reply) = Reply::decode(header) else { return Ok(None) };
            if reply.impure {
                confessed = true;
                received.drain(..wire::HEADER);
                continue;
            }
            let Some(length) = length(&reply, max_response_bytes) else { return Ok(None) };
            if in_parts && reply.status == 200 && length > LONG {
                let begun = Bytes::from(received).slice(wire::HEADER..);
                let Some(missing) = length.checked_sub(begun.len()) else { return Ok(None) };
                return Ok(Some(Done {
                    reply,
                    body: begun,
                    missing,
                    spoilt: reply.last,
                    output: None,
                    confessed,
                }));
            }
            received.reserve((wire::HEADER + length).saturating_sub(received.len()));
            whole = Some((reply, wire::HEADER + length));
        }
        if let Some((reply, length)) = whole
            && received.len() >= length
        {
            let spoilt = reply.last || received.len() > length;
            let body = Bytes::from(received).slice(wire::HEADER..length);
            return Ok(Some(Done { reply, body, missing: 0, spoilt, output: None, confessed }));
        }
        match wire.try_read(&mut received) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                tokio::select! {
                    ready = wire.readable() => ready?,
                    ready = output.readable(), if printed.is_open() => {
                        ready?;
                        printed.drain(output);
                    }
                }
            }
            Err(error) => return Err(error),
        }
    }
}
