//! Memory that the front and one worker have in common: the front puts a large body there as it comes, and the worker
//! reads it where it lies. Once that is done, the front may put the answer there. Nobody can make it smaller, and only the
//! front can write to it: the worker maps it for reading, which cannot be changed, and lets go of the descriptor before it
//! meets a script.
#![expect(unsafe_code, reason = "memory that another process sees has no safe interface")]

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::fs::{fallocate, fchmod, fcntl_add_seals, fstat, ftruncate, memfd_create, open};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::process::{Resource, getrlimit};

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
    taken: Arc<AtomicUsize>,
    descriptor: OwnedFd,
}

/// A worker's side.
pub struct View {
    stretch: Stretch,
}

/// Where a body lies, or will lie: only what the front has said to be there may be read.
pub struct Place<'a> {
    start: NonNull<u8>,
    length: usize,
    view: PhantomData<&'a View>,
}

impl Mapping {
    /// Room for bodies of so many bytes, of which a page takes memory once it was filled; and a descriptor for the
    /// worker, with which it can be read.
    pub fn new(length: usize) -> io::Result<(Self, OwnedFd)> {
        if getrlimit(Resource::Fsize).current.is_some_and(|most| most < length as u64) {
            // The kernel would end the process for trying.
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let descriptor = create()?;
        ftruncate(&descriptor, length as u64)?;
        fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        // So that the worker's descriptor cannot be opened again for writing without changing this first.
        fchmod(&descriptor, Mode::RUSR)?;
        let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        let theirs = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let stretch = Stretch::new(&descriptor, length, ProtFlags::READ | ProtFlags::WRITE)?;
        Ok((Self { stretch, filled: 0, taken: Arc::default(), descriptor }, theirs))
    }

    /// How much there is room for.
    pub fn length(&self) -> usize {
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
        self.taken.fetch_max(self.filled, Ordering::Relaxed);
        true
    }

    /// Memory behind what is there that earlier bodies have taken.
    pub fn spare(&mut self) -> &mut [u8] {
        let length = self.taken().saturating_sub(self.filled);
        // SAFETY: it is mapped up to there, and this is the only writer; no other process can write to it.
        unsafe { std::slice::from_raw_parts_mut(self.stretch.start.as_ptr().add(self.filled), length) }
    }

    /// So much of what was spare has been filled.
    pub fn fill(&mut self, bytes: usize) {
        self.filled = self.taken().min(self.filled + bytes);
    }

    /// How much memory it takes, at most.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed).min(self.stretch.length)
    }

    /// What is there.
    pub fn filled(&self) -> &[u8] {
        // SAFETY: these bytes are filled; they change only through `&mut self`, as no other process can write to them.
        unsafe { std::slice::from_raw_parts(self.stretch.start.as_ptr(), self.filled) }
    }

    /// Tells at any time how much memory it takes, at most.
    pub fn meter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.taken)
    }

    /// Gives the memory back that earlier bodies took; not every kernel knows how.
    pub fn release(&mut self) -> io::Result<()> {
        self.filled = 0;
        let all = self.stretch.length as u64;
        fallocate(&self.descriptor, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, all)?;
        self.taken.store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// Under a name that shows in `/proc`. Not every kernel knows that nobody wants to run it.
fn create() -> rustix::io::Result<OwnedFd> {
    let name = c"tabpy-body";
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL).or_else(|_| memfd_create(name, flags))
}

impl View {
    /// The worker's side of the front's memory.
    ///
    /// # Safety
    /// The descriptor must be one that [`Mapping::new`] gave. Whoever fills the mapping must leave what it has told the
    /// reader to be there as it is, until that has done with it.
    pub unsafe fn of(descriptor: &OwnedFd) -> io::Result<Self> {
        let length = usize::try_from(fstat(descriptor)?.st_size).map_err(io::Error::other)?;
        let stretch = Stretch::new(descriptor, length, ProtFlags::READ)?;
        // SAFETY: the range is mapped and this process's own; a copy of the process has no use for it.
        let _ = unsafe { madvise(stretch.start.as_ptr().cast(), length, Advice::LinuxDontFork) };
        Ok(Self { stretch })
    }

    /// The place of a body of so many bytes; none if there is no room for so many.
    pub fn place(&self, length: usize) -> Option<Place<'_>> {
        let start = self.stretch.start;
        (length <= self.stretch.length).then_some(Place { start, length, view: PhantomData })
    }
}

impl Place<'_> {
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
        unsafe { std::slice::from_raw_parts(view.place(length).unwrap().start().as_ptr(), length) }
    }

    #[test]
    fn what_the_front_fills_is_what_a_worker_sees() {
        let (mut mapping, theirs) = Mapping::new(5 << 20).unwrap();
        // SAFETY: it is the mapping's, and nobody holds what is seen while it is filled.
        let view = unsafe { View::of(&theirs) }.unwrap();
        drop(theirs);
        assert_eq!((mapping.length(), mapping.filled()), (5 << 20, &b""[..]));
        assert!(mapping.push(b"abc") && mapping.push(b"de"));
        assert_eq!((mapping.filled(), seen(&view, 5)), (&b"abcde"[..], &b"abcde"[..]));
        mapping.clear();
        assert!(mapping.push(b"AB"));
        assert_eq!((mapping.filled(), seen(&view, 5)), (&b"AB"[..], &b"ABcde"[..]));
        assert!(view.place(5 << 20).is_some() && view.place((5 << 20) + 1).is_none());
        mapping.release().unwrap();
        assert_eq!(
            (mapping.filled(), mapping.meter().load(Ordering::Relaxed), seen(&view, 5)),
            (&b""[..], 0, &[0; 5][..])
        );
        assert!(
            mapping.push(b"ab") && seen(&view, 3) == b"ab\0" && mapping.meter().load(Ordering::Relaxed) == 2
        );
    }

    #[test]
    fn nobody_else_can_write_to_it_or_make_it_smaller() {
        let (mut mapping, theirs) = Mapping::new(1 << 20).unwrap();
        assert!(mapping.push(b"abc"));
        assert!(rustix::io::pwrite(&theirs, b"x", 0).is_err() && ftruncate(&theirs, 0).is_err());
        assert!(fallocate(&theirs, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096).is_err());
        assert!(ftruncate(&mapping.descriptor, 0).is_err());
        if !rustix::process::geteuid().is_root() {
            let path = format!("/proc/self/fd/{}", theirs.as_raw_fd());
            assert!(open(path, OFlags::RDWR, Mode::empty()).is_err());
        }
        assert!(Stretch::new(&theirs, 1 << 20, ProtFlags::READ | ProtFlags::WRITE).is_err());
        // SAFETY: it is the mapping's, and nobody holds what is seen while it is filled.
        let view = unsafe { View::of(&theirs) }.unwrap();
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
