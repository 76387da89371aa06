//! Memory that the front and one worker have in common: the front puts a large body there as it comes, and the worker
//! reads it where it lies. Only the front can write to it, and nobody can make it smaller.
#![expect(unsafe_code, reason = "memory that another process sees has no safe interface")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::fs::{fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create, open};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// A stretch of addresses that is given back when it is dropped.
struct Stretch {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: it is an address and a length; who reads and writes there is up to its two owners below.
unsafe impl Send for Stretch {}
// SAFETY: as above.
unsafe impl Sync for Stretch {}

/// The front's side.
pub struct Mapping {
    stretch: Stretch,
    filled: usize,
    /// Up to here there may be pages that take memory.
    taken: usize,
    descriptor: OwnedFd,
}

/// A worker's side.
pub struct View {
    stretch: Stretch,
}

/// Where a body lies, or will lie: only what the front has said to be there may be read.
pub struct Body<'a> {
    start: NonNull<u8>,
    length: usize,
    view: PhantomData<&'a View>,
}

impl Mapping {
    /// Room for bodies of so many bytes, of which a page takes memory once it was filled; and a descriptor for the
    /// worker, with which it can be read.
    pub fn new(room: usize) -> io::Result<(Self, OwnedFd)> {
        let descriptor = memfd_create(c"tabpy-body", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&descriptor, room as u64)?;
        fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let theirs = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let stretch = Stretch::new(&descriptor, room, ProtFlags::READ | ProtFlags::WRITE)?;
        Ok((Self { stretch, filled: 0, taken: 0, descriptor }, theirs))
    }

    /// How much there is room for.
    pub fn room(&self) -> usize {
        self.stretch.length
    }

    /// Makes ready for the next body.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// Puts something behind what is there; false if there is no room for it.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.stretch.length - self.filled {
            return false;
        }
        // SAFETY: the room ends behind these bytes, which are part of no reference: this is the only writer, readers
        // here get what is filled, and the worker's side reads what it was told of.
        unsafe {
            let end = self.stretch.start.add(self.filled);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), end.as_ptr(), bytes.len());
        }
        self.filled += bytes.len();
        self.taken = self.taken.max(self.filled);
        true
    }

    /// What is there.
    pub fn filled(&self) -> &[u8] {
        // SAFETY: these bytes are filled; they change only through `&mut self`, as no other process can write to them.
        unsafe { std::slice::from_raw_parts(self.stretch.start.as_ptr(), self.filled) }
    }

    /// How much memory it takes, at most.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Gives the memory back that earlier bodies took.
    pub fn release(&mut self) {
        self.filled = 0;
        let all = self.stretch.length as u64;
        if fallocate(&self.descriptor, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, all).is_ok()
        {
            self.taken = 0;
        }
    }
}

impl View {
    /// The worker's side of the front's memory.
    pub fn of(descriptor: &OwnedFd) -> io::Result<Self> {
        let length = usize::try_from(fstat(descriptor)?.st_size).map_err(io::Error::other)?;
        let stretch = Stretch::new(descriptor, length, ProtFlags::READ)?;
        // SAFETY: the range is mapped and this process's own; a copy of the process has no use for it.
        let _ = unsafe { madvise(stretch.start.as_ptr().cast(), length, Advice::LinuxDontFork) };
        Ok(Self { stretch })
    }

    /// The place of a body of so many bytes; none if there is no room for so many.
    pub fn body(&self, length: usize) -> Option<Body<'_>> {
        let start = self.stretch.start;
        (length <= self.stretch.length).then_some(Body { start, length, view: PhantomData })
    }
}

impl Body<'_> {
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }
}

impl Stretch {
    fn new(descriptor: &OwnedFd, length: usize, rights: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping where the kernel finds room, so it lies in nobody's way.
        let start = unsafe { mmap(std::ptr::null_mut(), length, rights, MapFlags::SHARED, descriptor, 0)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }
}

impl Drop for Stretch {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and whoever reads there borrows the owner that is being dropped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use rustix::mm::{MprotectFlags, mprotect};

    use super::*;

    fn seen(view: &View, length: usize) -> &[u8] {
        // SAFETY: the tests ask for what is filled, or never was.
        unsafe { std::slice::from_raw_parts(view.body(length).unwrap().start().as_ptr(), length) }
    }

    #[test]
    fn what_the_front_fills_is_what_a_worker_sees() {
        let (mut mapping, theirs) = Mapping::new(5 << 20).unwrap();
        let view = View::of(&theirs).unwrap();
        drop(theirs);
        assert_eq!((mapping.room(), mapping.filled()), (5 << 20, &b""[..]));
        assert!(mapping.push(b"abc") && mapping.push(b"de"));
        assert_eq!((mapping.filled(), seen(&view, 5)), (&b"abcde"[..], &b"abcde"[..]));
        mapping.clear();
        assert!(mapping.push(b"AB"));
        assert_eq!((mapping.filled(), seen(&view, 5)), (&b"AB"[..], &b"ABcde"[..]));
        assert!(view.body(5 << 20).is_some() && view.body((5 << 20) + 1).is_none());
        mapping.release();
        assert_eq!((mapping.filled(), mapping.taken(), seen(&view, 5)), (&b""[..], 0, &[0; 5][..]));
        assert!(mapping.push(b"ab") && seen(&view, 3) == b"ab\0" && mapping.taken() == 2);
    }

    #[test]
    fn nobody_else_can_write_to_it_or_make_it_smaller() {
        let (mut mapping, theirs) = Mapping::new(1 << 20).unwrap();
        assert!(mapping.push(b"abc"));
        assert!(rustix::io::pwrite(&theirs, b"x", 0).is_err() && ftruncate(&theirs, 0).is_err());
        assert!(fallocate(&theirs, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096).is_err());
        assert!(ftruncate(&mapping.descriptor, 0).is_err());
        assert!(Stretch::new(&theirs, 1 << 20, ProtFlags::READ | ProtFlags::WRITE).is_err());
        let view = View::of(&theirs).unwrap();
        // SAFETY: the range is mapped, and nothing is written there.
        let outcome = unsafe {
            let start = view.stretch.start.as_ptr().cast();
            mprotect(start, 1 << 20, MprotectFlags::READ | MprotectFlags::WRITE)
        };
        assert!(outcome.is_err() && mapping.filled() == b"abc");
    }

    #[test]
    fn no_more_goes_in_than_there_is_room_for() {
        let (mut mapping, _theirs) = Mapping::new(4096).unwrap();
        assert!(mapping.push(&[b'a'; 4095]) && !mapping.push(b"bc") && mapping.push(b"b"));
        assert!(mapping.push(b"") && !mapping.push(b"c"));
        assert!(mapping.filled().ends_with(b"ab") && Mapping::new(0).is_err());
    }
}
