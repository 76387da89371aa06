//! A request on its way to a worker.

use std::io::{self, IoSlice};

use super::channel::Wire;
use super::exchange::{BEGUN, Lost};
use crate::wire::{HEADER, Request};

pub(super) struct Sending {
    pub(super) id: u64,
    /// The id of the worker's request before.
    pub(super) last: u64,
    header: [u8; HEADER],
    /// Bytes that are sent.
    sent: usize,
}

impl Sending {
    /// Nothing is sent yet.
    pub(super) fn new(request: &Request, last: u64) -> Self {
        Self { id: request.id, last, header: request.encode(), sent: 0 }
    }

    /// What it means that the worker takes no more.
    pub(super) fn lost(&self) -> Lost {
        if self.sent > BEGUN { Lost::WhileItRead } else { Lost::BeforeItBegan }
    }

    /// Sends a header that stands alone, to a worker that waits for one.
    pub(super) fn send_header(&mut self, wire: &Wire) -> io::Result<()> {
        wire.write_now(&mut &mut [IoSlice::new(&self.header)][..], &mut self.sent)?;
        if self.sent < HEADER { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    /// Sends all of it.
    pub(super) async fn send(&mut self, wire: &Wire, name: &str, body: &[u8]) -> io::Result<()> {
        let mut slices = [IoSlice::new(&self.header), IoSlice::new(name.as_bytes()), IoSlice::new(body)];
        wire.write_all(&mut slices, &mut self.sent).await
    }
}
