//! Memory that a reply is received in: fresh, or what a body has taken that is being answered.

use std::io;

use bytes::Bytes;

use super::channel::Wire;
use super::room::Loan;
use crate::large_pages;

/// An answer that fills a smaller part of lent memory is moved: a slow client would keep all of that.
const LITTLE: usize = 4;

pub(super) enum Memory {
    Fresh(Vec<u8>),
    Lent(Loan),
}

impl Memory {
    /// For so many bytes.
    pub(super) fn fresh(capacity: usize) -> Self {
        let mut memory = Vec::with_capacity(capacity);
        large_pages::prefer(memory.spare_capacity_mut());
        Self::Fresh(memory)
    }

    pub(super) fn filled(&self) -> &[u8] {
        match self {
            Self::Fresh(memory) => memory,
            Self::Lent(loan) => loan.as_ref(),
        }
    }

    /// How many bytes it holds at most, those that are there included.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Fresh(memory) => memory.capacity(),
            Self::Lent(loan) => loan.capacity(),
        }
    }

    /// Puts bytes behind those that are there, which there must be room for.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match self {
            Self::Fresh(memory) => memory.extend_from_slice(bytes),
            Self::Lent(loan) => {
                loan.spare()[..bytes.len()].copy_from_slice(bytes);
                loan.fill(bytes.len());
            }
        }
    }

    /// Puts what has come behind what is there; nothing is the end.
    pub(super) fn read_from(&mut self, wire: &Wire) -> io::Result<usize> {
        match self {
            Self::Fresh(memory) => wire.try_read(memory),
            Self::Lent(loan) => {
                let spare = loan.spare();
                let read = wire.try_read_to(spare.len(), spare)?;
                loan.fill(read);
                Ok(read)
            }
        }
    }

    pub(super) fn freeze(self) -> Bytes {
        match self {
            Self::Fresh(memory) => Bytes::from(memory),
            Self::Lent(loan) if loan.as_ref().len() < loan.capacity() / LITTLE => {
                Bytes::copy_from_slice(loan.as_ref())
            }
            Self::Lent(loan) => Bytes::from_owner(loan),
        }
    }
}
