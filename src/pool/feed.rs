//! A worker that reads a body while that is still coming, in memory that the front fills. It is ended if the body does not
//! come to its end.

use std::io::{self, IoSlice};
use std::sync::Arc;

use super::Pool;
use super::channel::Wire;
use super::exchange::{BEGUN, Lost};
use super::lease::Lease;
use crate::mapping::Mapping;

/// The worker is told after so many bytes that there are more.
const NEWS: usize = 128 << 10;

pub struct Feed {
    pub(super) lease: Lease,
    pub(super) coming: Coming,
    /// Whether the worker is of no use any more.
    is_lost: bool,
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
}

/// A body that lies in a worker's memory.
pub(super) struct Whole(Arc<Mapping>);

impl Pool {
    /// Begins to give a worker a body of so many bytes, for an evaluation with the functions of a generation. None, if
    /// no other worker would be left for who comes meanwhile, or the one that there is has no such memory.
    pub fn feed(&self, length: usize, generation: u64) -> Option<Feed> {
        let mut lease = {
            let mut state = self.shared.lock();
            if state.stopping || state.idle.len() < 2 {
                return None;
            }
            self.lease(&mut state, false)?
        };
        let coming = lease.send_early(length, generation)?;
        Some(Feed { lease, coming, is_lost: false })
    }
}

impl Feed {
    /// Takes some more of the body. False, if it does not, because that is too much or the worker is of no use any more.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Coming { memory, length, .. } = &mut self.coming;
        let Some(memory) = Arc::get_mut(memory).filter(|_| !self.is_lost) else { return false };
        if memory.filled().len() + bytes.len() > *length || !memory.push(bytes) {
            return false;
        }
        let wire = self.lease.worker().and_then(|worker| worker.watched().ok());
        self.is_lost = !wire.is_some_and(|(wire, _)| self.coming.tell(wire).is_ok());
        if self.is_lost {
            self.lease.lose(&self.coming.lost());
        }
        true
    }

    /// What of the body has come.
    pub fn come(&self) -> &[u8] {
        self.coming.memory.filled()
    }

    /// The body, once all of it has come.
    pub fn whole(&self) -> Option<impl AsRef<[u8]> + Send + use<>> {
        (self.come().len() == self.coming.length).then(|| self.coming.whole())
    }
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.0.filled()
    }
}

impl Coming {
    pub(super) fn new(id: u64, last: u64, memory: Arc<Mapping>, length: usize) -> Self {
        Self { id, last, memory, length, told: 0 }
    }

    /// What it means that the worker hears no more.
    pub(super) fn lost(&self) -> Lost {
        if self.told > BEGUN { Lost::WhileItRead } else { Lost::BeforeItBegan }
    }

    /// Tells the worker how much is there, if that is worth it and there is room to tell.
    fn tell(&mut self, wire: &Wire) -> io::Result<()> {
        let come = self.memory.filled().len();
        if come < self.length && come - self.told < NEWS {
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

    /// Tells the worker that all is there.
    pub(super) async fn finish(&self, wire: &Wire) -> io::Result<()> {
        if self.told < self.length {
            let number = (self.length as u64).to_le_bytes();
            wire.write_all(&mut [IoSlice::new(&number)], &mut 0).await?;
        }
        Ok(())
    }

    /// The body; it must have come.
    pub(super) fn whole(&self) -> Whole {
        Whole(Arc::clone(&self.memory))
    }

    /// The memory, for the next body.
    pub(super) fn into_memory(self) -> Arc<Mapping> {
        self.memory
    }
}
