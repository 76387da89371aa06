//! What a worker sends back: its reply, and before it the parts of a long answer that is still being written.
//! Nobody knows before the reply comes whether they count, so they wait here.

use std::io::{self, ErrorKind};
use std::ops::Range;

use bytes::Bytes;
use tokio::net::unix::pipe;

use super::channel::Wire;
use super::output::Printed;
use crate::wire::{self, Reply};
use crate::{heap, large_pages};

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
    /// What was printed, if that was wanted.
    pub(super) output: Option<String>,
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

    fn push(&mut self, part: Range<usize>) {
        self.length += part.len();
        self.unsliced.push(part);
    }

    /// Takes the memory in which parts are.
    fn slice(&mut self, memory: &Bytes) {
        self.whole.extend(self.unsliced.drain(..).map(|part| memory.slice(part)));
    }

    /// Memory for what comes next, as much as has come so far.
    fn more_memory(&self) -> Vec<u8> {
        let mut memory = Vec::with_capacity(self.length.clamp(LEAST_MEMORY, MOST_MEMORY));
        large_pages::prefer(memory.spare_capacity_mut());
        memory
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        heap::freed(self.length);
    }
}

/// Where a reply comes from.
pub(super) struct Source<'a> {
    pub(super) wire: &'a Wire,
    pub(super) output: &'a pipe::Receiver,
    pub(super) printed: &'a mut Printed,
    pub(super) max_response_bytes: usize,
    /// The id of the request that is answered.
    pub(super) id: u64,
    /// Whether a long answer may come in parts.
    pub(super) in_parts: bool,
}

impl Source<'_> {
    /// The reply, or `None` when what came is no reply.
    pub(super) async fn reply(&mut self) -> io::Result<Option<Done>> {
        let mut pieces = Pieces::default();
        let mut received = Vec::with_capacity(FIRST_READ);
        // Where what is read next begins.
        let mut start = 0;
        let mut confessed = false;
        loop {
            self.read_to(&mut received, start + wire::HEADER).await?;
            let Some(Ok(reply)) = received[start..].first_chunk().map(Reply::decode) else { return Ok(None) };
            start += wire::HEADER;
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
            if is_answer && pieces.length + length > self.max_response_bytes {
                return Ok(None);
            }
            let end = start + length;
            if reply.more {
                // Many short ones would take more memory than they hold.
                if !is_answer || reply.id != self.id || length < wire::PART {
                    return Ok(None);
                }
                self.read_to(&mut received, end).await?;
                pieces.push(start..end);
                start = end;
                if received.capacity() - start < USUAL_PART {
                    let mut memory = pieces.more_memory();
                    memory.extend_from_slice(&received[start..]);
                    pieces.slice(&Bytes::from(std::mem::replace(&mut received, memory)));
                    start = 0;
                }
                continue;
            }
            let came_in_pieces = pieces.length > 0;
            if reply.status != 200 {
                pieces = Pieces::default();
            }
            self.read_to(&mut received, end).await?;
            let spoilt = reply.last || received.len() > end;
            let received = Bytes::from(received);
            pieces.slice(&received);
            let body = received.slice(start..end);
            return Ok(Some(Done { reply, pieces, came_in_pieces, body, spoilt, output: None, confessed }));
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
