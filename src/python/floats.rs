//! Memory for the floats of large bodies. CPython takes 32 bytes for each and a look at its lists; here a float
//! takes the 24 bytes that it has, right behind the one before, in large pages. It is freed as any other object: the
//! function that CPython frees objects with is told of this memory the first time that some is needed.
//!
//! Each chunk counts what lives in it, and is used again when that is nothing. The Global Interpreter Lock, which
//! is held wherever objects are made and freed, guards the counts.
#![expect(
    unsafe_code,
    reason = "objects are laid out in memory of our own, and freed through a function pointer"
)]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect};

use crate::large_pages::LARGE;

/// Smaller documents have few floats.
const WORTH_IT: usize = 64 << 10;

/// Addresses that are set aside; memory is taken for as many chunks of them as are used.
const REGION: usize = 1 << 30;
const CHUNKS: usize = REGION / LARGE;

/// A worker that never sees more has small pages.
const SMALL_CHUNKS: usize = 1;

const FLOAT: usize = size_of::<ffi::PyFloatObject>();
const FLOATS: usize = LARGE / FLOAT;

/// What all floats begin with: their count of references, and their type.
type Header = [usize; 2];

/// Without a GIL, objects are counted and freed otherwise; and a debug build of CPython puts more into them.
const FITS: bool = cfg!(not(Py_GIL_DISABLED)) && FLOAT == size_of::<Header>() + size_of::<f64>();

/// Where the region begins; before there is one, where nothing is.
static START: AtomicUsize = AtomicUsize::new(NOWHERE);
const NOWHERE: usize = usize::MAX - REGION;

/// Floats of each chunk that are alive or not made yet.
static LEFT: [AtomicU32; CHUNKS] = [const { AtomicU32::new(0) }; CHUNKS];

static CHUNKS_OF_FLOATS: Mutex<Chunks> = Mutex::new(Chunks::new());

type Free = extern "C" fn(*mut c_void, *mut c_void);

/// How CPython frees objects by itself.
static FREE_OTHERS: OnceLock<Free> = OnceLock::new();

/// Where the floats of one document are made, one behind the other.
pub(super) struct Floats {
    /// Up to the end there is room; both are null where there is none.
    next: *mut u8,
    end: *mut u8,
    header: Header,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No float has come yet in a document that may be worth it.
    Untried,
    InUse,
    NotUsable,
}

impl Floats {
    /// For a document of so many bytes.
    pub(super) fn for_input(length: usize) -> Self {
        let state = if length >= WORTH_IT { State::Untried } else { State::NotUsable };
        Self { next: null_mut(), end: null_mut(), header: Header::default(), state }
    }

    /// A new float, or null with an exception set.
    #[inline]
    pub(super) fn make(&mut self, value: f64) -> *mut ffi::PyObject {
        if self.next == self.end {
            return self.make_elsewhere(value);
        }
        let float = self.next;
        // SAFETY: between `next` and `end` lies room for floats that nobody else has. What is written there is what
        // CPython writes for a new one, so it is one from here on.
        unsafe {
            float.cast::<Header>().write(self.header);
            float.add(size_of::<Header>()).cast::<f64>().write(value);
            self.next = float.add(FLOAT);
        }
        float.cast()
    }

    #[inline(never)]
    fn make_elsewhere(&mut self, value: f64) -> *mut ffi::PyObject {
        if self.has_room() {
            return self.make(value);
        }
        // SAFETY: making a float has no precondition but the interpreter, which runs while there is a parser.
        unsafe { ffi::PyFloat_FromDouble(value) }
    }

    /// Goes on to another chunk, if there is one.
    fn has_room(&mut self) -> bool {
        let room = match self.state {
            State::NotUsable => return false,
            State::Untried => header().and_then(|header| {
                self.header = header;
                lock().go_on()
            }),
            State::InUse => {
                self.stop();
                lock().go_on()
            }
        };
        self.state = if room.is_some() { State::InUse } else { State::NotUsable };
        (self.next, self.end) = room.unwrap_or((null_mut(), null_mut()));
        room.is_some()
    }

    /// Puts the rest of a chunk back. One that is used up goes back with its last float.
    fn stop(&mut self) {
        let unused = (self.end as usize - self.next as usize) / FLOAT;
        if unused > 0 {
            let chunk = chunk_of(self.next);
            let mut chunks = lock();
            if chunks.begun.is_none() {
                chunks.begun = Some((chunk, self.next as usize));
                chunks.begin_again();
            } else {
                drop(chunks);
                fewer(chunk, unused as u32);
            }
        }
        (self.next, self.end) = (null_mut(), null_mut());
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Remembers how CPython frees objects, before anybody may have changed that.
pub(super) fn prepare() {
    if let Some(free) = allocator().free {
        FREE_OTHERS.get_or_init(|| free);
    }
}

/// From now on at most so many bytes are kept empty.
pub(super) fn keep(bytes: usize) {
    lock().kept = bytes / LARGE;
}

/// Whether there is more than the next small document may need.
pub(super) fn keeps() -> bool {
    lock().empty.len() > SMALL_CHUNKS
}

/// Gives back what is empty.
pub(super) fn trim() {
    let mut chunks = lock();
    chunks.begin_again();
    if let Some((chunk, _)) = chunks.begun.take_if(|(chunk, next)| *next == start_of(*chunk) as usize) {
        chunks.empty.push(chunk);
    }
    chunks.trim(0);
}

/// What floats begin with, if they may be made here: objects are freed by our function, and laid out as expected.
fn header() -> Option<Header> {
    if !FITS || !frees() || !lock().has_region() {
        return None;
    }
    let value = 0.5_f64;
    // SAFETY: a new float is as large as its header and its value, and is dropped after it was read.
    unsafe {
        let float = ffi::PyFloat_FromDouble(value);
        if float.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        let header = float.cast::<Header>().read();
        let found = float.cast::<u8>().add(size_of::<Header>()).cast::<u64>().read();
        ffi::Py_DECREF(float);
        (found == value.to_bits()).then_some(header)
    }
}

/// Whether objects are freed by our function, from now on if not yet. Whatever traces memory puts its own in the place
/// of what it finds, and later that back: where it has begun before us, ours would be lost.
fn frees() -> bool {
    let mut allocator = allocator();
    let Some(free) = allocator.free else { return false };
    if std::ptr::fn_addr_eq(free, release as Free) {
        return true;
    }
    if !FREE_OTHERS.get().is_some_and(|original| std::ptr::fn_addr_eq(*original, free)) {
        return false;
    }
    allocator.free = Some(release);
    // SAFETY: all but freeing stays as it is, with its context, and freeing goes on there for all that is not ours. The
    // GIL is held, and CPython copies the structure.
    unsafe { ffi::PyMem_SetAllocator(OBJECTS, &mut allocator) };
    true
}

const OBJECTS: ffi::PyMemAllocatorDomain = ffi::PyMemAllocatorDomain::PYMEM_DOMAIN_OBJ;

fn allocator() -> ffi::PyMemAllocatorEx {
    let mut allocator =
        ffi::PyMemAllocatorEx { ctx: null_mut(), malloc: None, calloc: None, realloc: None, free: None };
    // SAFETY: CPython fills the structure.
    unsafe { ffi::PyMem_GetAllocator(OBJECTS, &mut allocator) };
    allocator
}

/// Takes floats of ours out of a list that is about to be dropped, where nobody else holds them or it: a quicker
/// way to free them than one by one.
pub(super) fn empty(list: &Bound<'_, PyList>) {
    let list = list.as_ptr();
    // SAFETY: the list is exactly one and alive. Where this is the only reference to it, nobody else sees its places,
    // in which nothing may stand once it is dropped. A float with a single reference is held by its place alone; no
    // code of its own runs when it goes, and its memory is accounted for here.
    unsafe {
        if ffi::Py_REFCNT(list) != 1 {
            return;
        }
        let count = ffi::PyList_GET_SIZE(list) as usize;
        let places = (*list.cast::<ffi::PyListObject>()).ob_item;
        let mut freed = (0, 0);
        for index in 0..count {
            let place = places.add(index);
            let object = *place;
            if !is_ours(object.cast()) || ffi::Py_REFCNT(object) != 1 {
                continue;
            }
            place.write(null_mut());
            let chunk = chunk_of(object.cast());
            if chunk != freed.0 {
                fewer(freed.0, freed.1);
                freed = (chunk, 0);
            }
            freed.1 += 1;
        }
        fewer(freed.0, freed.1);
    }
}

/// Frees an object: a float of ours, or any other one as before.
extern "C" fn release(context: *mut c_void, object: *mut c_void) {
    if is_ours(object) {
        fewer(chunk_of(object.cast()), 1);
    } else if let Some(free) = FREE_OTHERS.get() {
        free(context, object);
    }
}

#[inline]
fn is_ours(object: *mut c_void) -> bool {
    (object as usize).wrapping_sub(START.load(Ordering::Relaxed)) < REGION
}

/// So many floats of a chunk are gone, or will not be made. The GIL is held, so nobody else changes the count.
fn fewer(chunk: usize, floats: u32) {
    if floats == 0 {
        return;
    }
    let left = LEFT[chunk].load(Ordering::Relaxed).wrapping_sub(floats);
    LEFT[chunk].store(left, Ordering::Relaxed);
    if left == 0 {
        lock().give(chunk);
    }
}

fn chunk_of(float: *mut u8) -> usize {
    (float as usize - START.load(Ordering::Relaxed)) / LARGE
}

fn start_of(chunk: usize) -> *mut u8 {
    (START.load(Ordering::Relaxed) + chunk * LARGE) as *mut u8
}

fn end_of(chunk: usize) -> *mut u8 {
    start_of(chunk).wrapping_add(FLOATS * FLOAT)
}

fn lock() -> MutexGuard<'static, Chunks> {
    // Its state is whole at every moment, and no Python code runs while it is held.
    CHUNKS_OF_FLOATS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Chunks {
    /// Those from here on were never used.
    fresh: usize,
    /// With memory and without.
    empty: Vec<usize>,
    bare: Vec<usize>,
    /// One that has room yet, and from which address on.
    begun: Option<(usize, usize)>,
    kept: usize,
}

impl Chunks {
    const fn new() -> Self {
        Self { fresh: 0, empty: Vec::new(), bare: Vec::new(), begun: None, kept: 0 }
    }

    /// Sets the region aside, the first time.
    fn has_region(&self) -> bool {
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
    fn go_on(&mut self) -> Option<(*mut u8, *mut u8)> {
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
    fn begin_again(&mut self) {
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

#[cfg(test)]
mod tests;
