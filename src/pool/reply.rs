//! What a worker sends back: its reply, and before it the parts of a long answer that is still being written.
//! Nobody knows before the reply comes whether they count, so they wait here.

use std::io::{self, ErrorKind};
use std::ops::Range;

use bytes::Bytes;
use tokio::net::unix::pipe;

use super::channel::Wire;
use super::memory::Memory;
use super::output::Printed;
use super::room::Loan;
use crate::heap;
use crate::wire::{self, Reply};

/// Enough for the reply to a tiny request, header included.
pub(super) const FIRST_READ: usize = 4096;

/// Memory for the parts of a long answer is taken so much at a time.
const LEAST_MEMORY: usize = 512 << 10;
const MOST_MEMORY: usize = 8 << 20;

/// What the next part mostly takes no more than, with its header: two threads write in longer pieces than one.
const USUAL_PART: usize = 2 * wire::PIECE;

/// Error bodies may be longer than the answer that was allowed.
const ERROR_ALLOWANCE: usize = 8 << 20;

pub(super) struct Done {
    pub(super) reply: Reply,
    /// What of the answer came before the reply, and whether anything did that may not count.
    pub(super) pieces: Pieces,
    pub(super) came_in_pieces: bool,
    pub(super) body: Bytes,
    /// No other script should meet the worker: it said so, or more came than the reply.
    pub(super) spoilt: bool,
    /// The worker has said that it runs a script that is not pure, for the first time.
    pub(super) confessed: bool,
}

/// Parts of an answer that came before the reply.
#[derive(Default)]
pub(super) struct Pieces {
    whole: Vec<Bytes>,
    /// Where the last ones are in the memory that is being filled.
    unsliced: Vec<Range<usize>>,
    length: usize,
}

impl Pieces {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// All of them, and what came last.
    pub(super) fn followed_by(mut self, last: Bytes) -> Vec<Bytes> {
        // Whoever has them frees them.
        self.length = 0;
        let mut all = std::mem::take(&mut self.whole);
        all.push(last);
        all
    }

    /// Takes the memory in which parts are.
    fn slice(&mut self, memory: &Bytes) {
        self.whole.extend(self.unsliced.drain(..).map(|part| memory.slice(part)));
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        heap::freed(self.length);
    }
}

/// What has come: parts of an answer, and from `start` on what is not looked at yet.
struct Received {
    memory: Memory,
    start: usize,
    pieces: Pieces,
}

impl Received {
    /// What follows is a part of so many bytes.
    fn cut(&mut self, length: usize) {
        let end = self.start + length;
        self.pieces.unsliced.push(self.start..end);
        self.pieces.length += length;
        self.start = end;
    }

    /// Sees to it that there is room for so many bytes from `start` on; parts stay where they are. `lent` memory is taken
    /// first.
    fn make_room(&mut self, length: usize, lent: &mut Option<Loan>) {
        if self.memory.capacity() - self.start >= length {
            return;
        }
        let lent = lent.take().and_then(Loan::cleared).filter(|lent| lent.capacity() >= length);
        let mut memory = lent.map_or_else(
            || {
                // As much as has come so far, where more will come.
                let usual = self.pieces.length.clamp(LEAST_MEMORY, MOST_MEMORY);
                Memory::fresh(if self.pieces.length == 0 { length } else { length.max(usual) })
            },
            Memory::Lent,
        );
        memory.push(&self.memory.filled()[self.start..]);
        let full = std::mem::replace(&mut self.memory, memory);
        self.start = 0;
        if !self.pieces.unsliced.is_empty() {
            self.pieces.slice(&full.freeze());
        }
    }
}

/// Where a reply comes from.
pub(super) struct Source<'a, 'kept> {
    pub(super) wire: &'a Wire,
    pub(super) output: &'a pipe::Receiver,
    pub(super) printed: &'a mut Printed<'kept>,
    pub(super) max_response_bytes: usize,
    /// The id of the request that is answered.
    pub(super) id: u64,
    /// Whether a long answer may come in parts.
    pub(super) in_parts: bool,
    /// What the body has taken. Once an answer comes, that lies there.
    pub(super) memory: Option<Loan>,
}

impl Source<'_, '_> {
    /// The reply, or `None` when what came is no reply.
    pub(super) async fn reply(&mut self) -> io::Result<Option<Done>> {
        let memory = Memory::fresh(FIRST_READ);
        let mut received = Received { memory, start: 0, pieces: Pieces::default() };
        let mut confessed = false;
        loop {
            received.make_room(wire::HEADER, &mut None);
            self.read_to(&mut received, wire::HEADER).await?;
            let header = received.memory.filled()[received.start..].first_chunk();
            let Some(Ok(reply)) = header.map(Reply::decode) else { return Ok(None) };
            received.start += wire::HEADER;
            if reply.impure {
                // Once is enough: a script that says so for ever would fill the memory here.
                if confessed || reply.id != self.id {
                    return Ok(None);
                }
                confessed = true;
                continue;
            }
            let Some(length) = length(&reply, self.max_response_bytes) else { return Ok(None) };
            let is_answer = self.in_parts && reply.status == 200;
            if is_answer && received.pieces.length + length > self.max_response_bytes {
                return Ok(None);
            }
            if reply.more {
                // Many short ones would take more memory than they hold.
                if !is_answer || reply.id != self.id || length < wire::PART {
                    return Ok(None);
                }
                received.make_room(length, &mut self.memory);
                self.read_to(&mut received, length).await?;
                received.cut(length);
                received.make_room(USUAL_PART, &mut self.memory);
                continue;
            }
            let came_in_pieces = received.pieces.length > 0;
            if reply.status != 200 {
                received.pieces = Pieces::default();
            }
            received.make_room(length, &mut None);
            self.read_to(&mut received, length).await?;
            let Received { memory, start, mut pieces } = received;
            let end = start + length;
            let spoilt = reply.last || memory.filled().len() > end;
            let memory = memory.freeze();
            pieces.slice(&memory);
            let body = memory.slice(start..end);
            return Ok(Some(Done { reply, pieces, came_in_pieces, body, spoilt, confessed }));
        }
    }

    /// Reads until so many bytes are there that are not looked at yet, or more.
    async fn read_to(&mut self, received: &mut Received, length: usize) -> io::Result<()> {
        while received.memory.filled().len() < received.start + length {
            match received.memory.read_from(self.wire) {
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
            // The wire first: what is printed before a farewell is not this request's.
            biased;
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
