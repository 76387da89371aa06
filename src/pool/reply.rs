//! What a worker sends back: its reply, and before it the parts of a long answer that is still being written.
//! Nobody knows before the reply comes whether they count, so they wait here.

use std::io::{self, ErrorKind};
use std::ops::Range;

use bytes::Bytes;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedSender;

use super::channel::Wire;
use super::output::Printed;
use crate::wire::{self, Reply};
use crate::{heap, large_pages};

/// Enough for the reply to a tiny request, header included.
pub(super) const FIRST_READ: usize = 4096;

/// Memory for the parts of a long answer is taken so much at a time.
const LEAST_MEMORY: usize = 512 << 10;
const MOST_MEMORY: usize = 8 << 20;

/// Error bodies may be longer than the answer that was allowed.
const ERROR_ALLOWANCE: usize = 8 << 20;

pub(super) struct Done {
    pub(super) reply: Reply,
    /// What came before the reply.
    pub(super) parts: Parts,
    /// What has come of the answer since.
    pub(super) body: Bytes,
    /// How much is still to come.
    pub(super) missing: usize,
    /// No other script should meet the worker: it said so, or more came than the reply.
    pub(super) spoilt: bool,
    /// What was printed, if that was wanted.
    pub(super) output: Option<String>,
    /// The worker has said that it runs a script that is not pure, for the first time.
    pub(super) confessed: bool,
}

/// Parts of an answer.
#[derive(Default)]
pub(super) struct Parts {
    parts: Vec<Bytes>,
    /// Where the last ones are in the memory that is being filled.
    unsliced: Vec<Range<usize>>,
    length: usize,
}

impl Parts {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Passes them on, to whoever is still there.
    pub(super) fn pass_on(self, to: &UnboundedSender<Bytes>) {
        for part in self.parts {
            let _ = to.send(part);
        }
    }

    fn push(&mut self, part: Range<usize>) {
        self.length += part.len();
        self.unsliced.push(part);
    }

    /// Takes the memory in which parts are.
    fn slice(&mut self, memory: &Bytes) {
        self.parts.extend(self.unsliced.drain(..).map(|part| memory.slice(part)));
    }

    /// Memory for what comes next, as much as has come so far.
    fn more_memory(&self) -> Vec<u8> {
        let mut memory = Vec::with_capacity(self.length.clamp(LEAST_MEMORY, MOST_MEMORY));
        large_pages::prefer(memory.spare_capacity_mut());
        memory
    }
}

/// Where a reply comes from.
pub(super) struct Coming<'a> {
    pub(super) wire: &'a Wire,
    pub(super) output: &'a pipe::Receiver,
    pub(super) printed: &'a mut Printed,
    pub(super) max_response_bytes: usize,
    /// The id under which a long answer may come in parts, and stay unread where its end is not needed yet.
    pub(super) in_parts: Option<u64>,
}

impl Coming<'_> {
    /// The reply, or `None` when what came is no reply.
    pub(super) async fn reply(&mut self) -> io::Result<Option<Done>> {
        let mut parts = Parts::default();
        let mut received = Vec::with_capacity(FIRST_READ);
        // Where what is read next begins.
        let mut start = 0;
        let mut confessed = false;
        loop {
            self.read_to(&mut received, start + wire::HEADER).await?;
            let Some(Ok(reply)) = received[start..].first_chunk().map(Reply::decode) else { return Ok(None) };
            start += wire::HEADER;
            if reply.impure {
                confessed = true;
                continue;
            }
            let so_far = parts.length;
            let Some(length) = length(&reply, self.max_response_bytes.saturating_sub(so_far)) else {
                return Ok(None);
            };
            let end = start + length;
            if reply.more {
                // Many short ones would take more memory than they hold.
                if self.in_parts != Some(reply.id) || length < wire::PART {
                    return Ok(None);
                }
                self.read_to(&mut received, end).await?;
                parts.push(start..end);
                start = end;
                if received.capacity() - start < wire::PIECE {
                    let mut memory = parts.more_memory();
                    memory.extend_from_slice(&received[start..]);
                    parts.slice(&Bytes::from(std::mem::replace(&mut received, memory)));
                    start = 0;
                }
                continue;
            }
            if reply.status != 200 {
                heap::freed(std::mem::take(&mut parts).length);
            }
            let may_wait = self.in_parts.is_some() && reply.status == 200 && length > wire::LONG;
            if !may_wait {
                self.read_to(&mut received, end).await?;
            }
            let spoilt = reply.last || received.len() > end;
            let come = received.len().min(end);
            let received = Bytes::from(received);
            parts.slice(&received);
            let body = received.slice(start..come);
            return Ok(Some(Done {
                reply,
                parts,
                body,
                missing: end - come,
                spoilt,
                output: None,
                confessed,
            }));
        }
    }

    /// Reads until so many bytes are there, or more.
    async fn read_to(&mut self, received: &mut Vec<u8>, length: usize) -> io::Result<()> {
        received.reserve(length.saturating_sub(received.len()));
        while received.len() < length {
            match self.wire.try_read(received) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.more().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until more may have come, and logs what is printed meanwhile.
    async fn more(&mut self) -> io::Result<()> {
        tokio::select! {
            ready = self.wire.readable() => ready,
            ready = self.output.readable(), if self.printed.is_open() => {
                ready?;
                self.printed.drain(self.output);
                Ok(())
            }
        }
    }
}

/// Bytes of a reply's body, where they are no more than a worker may send.
pub(super) fn length(reply: &Reply, max_response_bytes: usize) -> Option<usize> {
    let most = max_response_bytes.saturating_add(ERROR_ALLOWANCE);
    usize::try_from(reply.body_length).ok().filter(|length| *length <= most)
}
