//! A worker that reads a body while that is still coming, or still being laid out, in memory that the front fills. It is
//! ended if the body does not come to its end.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::channel::Wire;
use super::exchange::{BEGUN, Lost};
use super::lease::Lease;
use super::room::{Loan, Room};
use crate::mapping::Mapping;

/// The worker is told after so many bytes that there are more.
const NEWS: usize = 128 << 10;

/// Between two looks whether a worker reads what it was told, which it mostly has done long ago.
const PAUSE: Duration = Duration::from_millis(1);

pub struct Feed {
    /// None once the worker is of no use any more. The body stays where it is.
    lease: Option<Lease>,
    coming: Coming,
}

/// A body on its way to a worker.
pub(super) struct Coming {
    pub(super) id: u64,
    /// The id of the worker's request before.
    pub(super) last: u64,
    /// Nobody else has it before the body is whole.
    memory: Arc<Mapping>,
    length: usize,
    /// How much of it the worker knows of.
    told: usize,
    /// Whether it has been seen to read what it was told.
    heard: bool,
}

/// A body that lies in a worker's memory.
pub(super) struct Whole(Arc<Mapping>);

impl Pool {
    /// Begins to give a worker a body of so many bytes, for an evaluation with the functions of a generation. None, if
    /// no other worker would be left for who comes meanwhile, or none that is idle has room for it.
    pub fn feed(&self, length: usize, generation: u64) -> Option<Feed> {
        let mut lease = {
            let mut state = self.shared.lock();
            if state.stopping || state.idle.len() < 2 {
                return None;
            }
            let worker = state.take_idle_of(false, |worker| worker.has_room(length))?;
            self.leased(&state, worker)
        };
        let memory = lease.memory(length)?;
        let coming = lease.send_early(memory, length, generation)?;
        Some(Feed { lease: Some(lease), coming })
    }
}

impl Feed {
    /// Takes some more of the body; false, if that is more than there was to be.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if !self.coming.push(bytes) {
            return false;
        }
        if let Some(lease) = &mut self.lease
            && !lease.tell(&mut self.coming)
        {
            self.lease = None;
        }
        true
    }

    /// What of the body has come.
    pub fn come(&self) -> &[u8] {
        self.coming.memory.filled()
    }

    /// Whether a worker waits for more.
    pub fn is_awaited(&self) -> bool {
        self.lease.is_some()
    }

    /// Ends the worker.
    pub fn give_up(&mut self) {
        self.lease = None;
    }

    /// The body, once all of it has come.
    pub fn whole(&self) -> Option<impl AsRef<[u8]> + Send + use<>> {
        self.coming.is_whole().then(|| self.coming.whole())
    }

    /// The worker that has the whole body, and what it knows of it.
    pub(super) fn into_parts(self) -> Option<(Lease, Coming)> {
        self.lease.filter(|_| self.coming.is_whole()).map(|lease| (lease, self.coming))
    }
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.0.filled()
    }
}

impl Coming {
    pub(super) fn new(id: u64, last: u64, memory: Arc<Mapping>, length: usize) -> Self {
        Self { id, last, memory, length, told: 0, heard: false }
    }

    /// Puts some more of the body in its place; false, if that is more than there was to be.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(memory) = Arc::get_mut(&mut self.memory) else { return false };
        memory.filled().len() + bytes.len() <= self.length && memory.push(bytes)
    }

    /// What it means that the worker hears no more.
    pub(super) fn lost(&self) -> Lost {
        if self.told > BEGUN { Lost::WhileItRead } else { Lost::BeforeItBegan }
    }

    fn is_whole(&self) -> bool {
        self.memory.filled().len() == self.length
    }

    /// Tells the worker how much is there, if that is worth it and there is room to tell. One that has read nothing yet,
    /// and may be about to end, hears of no more than one may be told that has not begun.
    pub(super) fn tell(&mut self, wire: &Wire) -> io::Result<()> {
        let come = self.memory.filled().len();
        let come = if self.is_heard(wire)? { come } else { come.min(BEGUN) };
        if come == self.told || come < self.length && come - self.told < NEWS {
            return Ok(());
        }
        let number = (come as u64).to_le_bytes();
        let mut written = 0;
        wire.write_now(&mut &mut [IoSlice::new(&number)][..], &mut written)?;
        match written {
            0 => {}
            whole if whole == number.len() => self.told = come,
            // The kernel takes so little at once or not at all.
            _ => return Err(io::ErrorKind::WriteZero.into()),
        }
        Ok(())
    }

    fn is_heard(&mut self, wire: &Wire) -> io::Result<bool> {
        self.heard = self.heard || self.told > 0 && wire.is_read()?;
        Ok(self.heard)
    }

    /// Tells the worker that all is there, which must be so.
    pub(super) async fn finish(&mut self, wire: &Wire) -> io::Result<()> {
        if !self.is_whole() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while self.length > BEGUN && !self.is_heard(wire)? {
            tokio::time::sleep(PAUSE).await;
            self.tell(wire)?;
        }
        if self.told < self.length {
            let number = (self.length as u64).to_le_bytes();
            wire.write_all(&mut [IoSlice::new(&number)], &mut 0).await?;
        }
        Ok(())
    }

    /// What has come of the body, which is all of it when anybody asks.
    pub(super) fn whole(&self) -> Whole {
        Whole(Arc::clone(&self.memory))
    }

    /// The memory, which will go back to its room.
    pub(super) fn lent_by(self, room: Room) -> Loan {
        Loan::new(room, self.memory)
    }
}
