//! The memory that floats are made in: chunks of a large page, in a region of addresses that is set aside for them,
//! so that a float of ours is known by where it lies. Each chunk counts what lives in it, and is used again when that
//! is nothing. The Global Interpreter Lock, which is held wherever objects are made and freed, guards the counts.
#![expect(unsafe_code, reason = "memory is mapped, given and taken by address")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect};

use crate::large_pages::LARGE;

/// Addresses that are set aside; memory is taken for as many chunks of them as are used.
const REGION: usize = 1 << 30;
const CHUNKS: usize = REGION / LARGE;

/// A worker that never sees more has small pages.
const SMALL_CHUNKS: usize = 1;

pub(super) const FLOAT: usize = size_of::<ffi::PyFloatObject>();
const FLOATS: usize = LARGE / FLOAT;

/// Where the region begins; before there is one, where nothing is.
static START: AtomicUsize = AtomicUsize::new(NOWHERE);
const NOWHERE: usize = usize::MAX - REGION;

/// Floats of each chunk that are alive or not made yet.
static LEFT: [AtomicU32; CHUNKS] = [const { AtomicU32::new(0) }; CHUNKS];

static CHUNKS_OF_FLOATS: Mutex<Chunks> = Mutex::new(Chunks::new());

/// From now on at most so many bytes are kept empty.
pub(in crate::python) fn keep(bytes: usize) {
    lock().kept = bytes / LARGE;
}

/// Whether there is more than the next small document may need.
pub(in crate::python) fn keeps() -> bool {
    lock().empty.len() > SMALL_CHUNKS
}

/// Gives back what is empty.
pub(in crate::python) fn trim() {
    let mut chunks = lock();
    chunks.begin_again();
    if let Some((chunk, _)) = chunks.begun.take_if(|(chunk, next)| *next == start_of(*chunk) as usize) {
        chunks.empty.push(chunk);
    }
    chunks.trim(0);
}

#[inline]
pub(super) fn is_ours(object: *mut c_void) -> bool {
    (object as usize).wrapping_sub(START.load(Ordering::Relaxed)) < REGION
}

/// So many floats of a chunk are gone, or will not be made. The GIL is held, so nobody else changes the count.
pub(super) fn fewer(chunk: usize, floats: u32) {
    if floats == 0 {
        return;
    }
    let left = LEFT[chunk].load(Ordering::Relaxed).wrapping_sub(floats);
    LEFT[chunk].store(left, Ordering::Relaxed);
    if left == 0 {
        lock().give(chunk);
    }
}

pub(super) fn chunk_of(float: *mut u8) -> usize {
    (float as usize - START.load(Ordering::Relaxed)) / LARGE
}

pub(super) fn start_of(chunk: usize) -> *mut u8 {
    (START.load(Ordering::Relaxed) + chunk * LARGE) as *mut u8
}

pub(super) fn end_of(chunk: usize) -> *mut u8 {
    start_of(chunk).wrapping_add(FLOATS * FLOAT)
}

pub(super) fn lock() -> MutexGuard<'static, Chunks> {
    // Its state is whole at every moment, and no Python code runs while it is held.
    CHUNKS_OF_FLOATS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Chunks {
    /// Those from here on were never used.
    pub(super) fresh: usize,
    /// With memory and without.
    pub(super) empty: Vec<usize>,
    pub(super) bare: Vec<usize>,
    /// One that has room yet, and from which address on.
    pub(super) begun: Option<(usize, usize)>,
    kept: usize,
}

impl Chunks {
    const fn new() -> Self {
        Self { fresh: 0, empty: Vec::new(), bare: Vec::new(), begun: None, kept: 0 }
    }

    /// Sets the region aside, the first time.
    pub(super) fn has_region(&self) -> bool {
        if START.load(Ordering::Relaxed) != NOWHERE {
            return true;
        }
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at a place of the kernel's choice touches nobody's memory.
        let Ok(start) = (unsafe { mmap_anonymous(null_mut(), REGION + LARGE, ProtFlags::empty(), flags) })
        else {
            return false;
        };
        START.store((start as usize).next_multiple_of(LARGE), Ordering::Relaxed);
        true
    }

    /// Room for floats, from where on and up to where: in the chunk that was begun, or in another one.
    pub(super) fn go_on(&mut self) -> Option<(*mut u8, *mut u8)> {
        self.begin_again();
        let (chunk, next) = match self.begun.take() {
            Some((chunk, next)) => (chunk, next as *mut u8),
            None => {
                let chunk = self.take()?;
                (chunk, start_of(chunk))
            }
        };
        Some((next, end_of(chunk)))
    }

    /// A chunk in which no float was made yet.
    fn take(&mut self) -> Option<usize> {
        let chunk = match self.empty.pop() {
            Some(chunk) => chunk,
            None => {
                let chunk = self.bare.last().copied().unwrap_or(self.fresh);
                if chunk == CHUNKS || !has_memory(chunk) {
                    return None;
                }
                if self.bare.pop().is_none() {
                    self.fresh += 1;
                }
                chunk
            }
        };
        LEFT[chunk].store(FLOATS as u32, Ordering::Relaxed);
        Some(chunk)
    }

    /// Where nothing that was made in the chunk with room is alive, all of it is room again.
    pub(super) fn begin_again(&mut self) {
        if let Some((chunk, next)) = &mut self.begun
            && LEFT[*chunk].load(Ordering::Relaxed) as usize == (end_of(*chunk) as usize - *next) / FLOAT
        {
            *next = start_of(*chunk) as usize;
            LEFT[*chunk].store(FLOATS as u32, Ordering::Relaxed);
        }
    }

    fn give(&mut self, chunk: usize) {
        self.empty.push(chunk);
        if self.empty.len() > self.kept + 1 {
            self.trim(self.kept);
        }
    }

    /// Takes the memory of all empty chunks but so many.
    fn trim(&mut self, keep: usize) {
        for chunk in self.empty.drain(..self.empty.len().saturating_sub(keep)) {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
            // SAFETY: the place is one of the region's, in which nothing lives any more. A refusal leaves its memory.
            let _ = unsafe { mmap_anonymous(start_of(chunk).cast(), LARGE, ProtFlags::empty(), flags) };
            self.bare.push(chunk);
        }
    }
}

/// Gives a chunk its memory; false, if there is none.
fn has_memory(chunk: usize) -> bool {
    let start = start_of(chunk).cast();
    // SAFETY: the place is one of the region's, in which nothing lives, and advice changes no byte of it.
    unsafe {
        if mprotect(start, LARGE, MprotectFlags::READ | MprotectFlags::WRITE).is_err() {
            return false;
        }
        if chunk >= SMALL_CHUNKS {
            let _ = madvise(start, LARGE, Advice::LinuxHugepage);
        }
    }
    true
}
