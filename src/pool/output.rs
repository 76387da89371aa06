//! What a script prints, line by line into the log, with the id of the request that is worked on.
//! Bounded: a script that floods its output is read to the end, so that it does not block, but the
//! log stops at the limit and says so.

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use tokio::net::unix::pipe;

use crate::telemetry;

/// What the kernel keeps in a pipe.
const PIPE: usize = 64 << 10;

/// What a line of the log holds beside the text.
const LINE_COST: usize = 64;

pub(super) struct Printed<'a> {
    line: Vec<u8>,
    /// Bytes that may still be logged.
    allowed: usize,
    limit: usize,
    dropped: usize,
    open: bool,
    /// The worker's number, where no request is known that the output belongs to.
    worker: Option<u64>,
    /// Where the text goes beside the log, if somebody wants it.
    kept: Option<&'a mut Vec<u8>>,
}

impl<'a> Printed<'a> {
    /// Of a request, whose text is also put into `kept`.
    pub(super) fn new(limit: usize, kept: Option<&'a mut Vec<u8>>) -> Self {
        Self { line: Vec::new(), allowed: limit, limit, dropped: 0, open: true, worker: None, kept }
    }

    /// What was printed between two requests, which is logged as neither's.
    pub(super) fn left_behind(worker: u64, limit: usize) -> Self {
        let mut printed = Self::new(limit, None);
        printed.worker = Some(worker);
        printed
    }

    /// Whether more may come: the pipe is closed when the worker has ended.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Takes what the runtime knows to be there, without waiting.
    pub(super) fn drain(&mut self, output: &pipe::Receiver) {
        self.drain_by(|chunk| output.try_read(chunk));
    }

    /// Takes what is there, also what has come since the runtime last looked. That costs a system call.
    pub(super) fn drain_unseen(&mut self, output: impl AsFd) {
        self.drain_by(|chunk| Ok(rustix::io::read(output.as_fd(), chunk)?));
    }

    fn drain_by(&mut self, read: impl Fn(&mut [u8]) -> io::Result<usize>) {
        let mut chunk = [0; 8192];
        // No more at once than a pipe holds: a script that prints without end has its worker's turn, not ours.
        for _ in 0..PIPE / chunk.len() {
            if !self.open {
                return;
            }
            match read(&mut chunk) {
                Ok(0) => self.open = false,
                Ok(length) => self.take(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.open = false,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.allowed);
        self.allowed -= taken;
        self.dropped += bytes.len() - taken;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(&bytes[..taken]);
        }
        for part in bytes[..taken].split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.log_line();
                // A line costs more than its text.
                self.allowed = self.allowed.saturating_sub(LINE_COST);
            }
        }
    }

    fn log_line(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        // Nothing that a terminal would obey.
        let text = text.trim_end().replace(|letter: char| letter.is_control() && letter != '\t', "\u{fffd}");
        if !text.is_empty() {
            self.log(|worker| tracing::info!(target: "script", worker, "{text}"));
        }
        self.line.clear();
    }

    /// Logs a line, which has the worker's number where it is no request's; another one's work may be what finds it.
    fn log(&self, line: impl FnOnce(Option<u64>)) {
        match self.worker {
            None => line(None),
            worker => telemetry::about_now(None, || line(worker)),
        }
    }
}

/// Logs what is left, and what was left out, also of a script that was stopped.
impl Drop for Printed<'_> {
    fn drop(&mut self) {
        self.log_line();
        if self.dropped > 0 {
            self.log(|worker| {
                tracing::warn!(
                    target: "script",
                    worker,
                    "the script printed {} more bytes than the {} KB of TABPY_SCRIPT_OUTPUT_KB; they are not logged",
                    self.dropped,
                    self.limit >> 10
                );
            });
        }
    }
}
