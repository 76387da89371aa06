//! The arenas in which CPython keeps its small objects. CPython gives them back as soon as they are
//! empty, and takes them anew for the next large request, at a page fault for every four kilobytes:
//! here some are kept, until the process has been idle. In a worker they lie in large pages.
#![expect(
    unsafe_code,
    reason = "CPython asks for its arenas through function pointers, and they are mapped memory"
)]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::large_pages::LARGE;

/// CPython's size of an arena since 3.10.
const ARENA: usize = 1 << 20;
const ARENAS: usize = LARGE / ARENA;

/// So many chunks of a worker have small pages: one that never sees a large request stays small.
const SMALL_CHUNKS: usize = 2;

static ARENAS_OF_PYTHON: Mutex<Arenas> = Mutex::new(Arenas::new());

/// Has CPython take its arenas here. To be called before it is initialized, once.
pub(super) fn install() {
    let mut allocator =
        ffi::PyObjectArenaAllocator { ctx: null_mut(), alloc: Some(allocate), free: Some(release) };
    // SAFETY: the functions honour the contract of CPython's arena allocators: memory of the size that
    // was asked for, or null; and each is given back once, with the size it was taken with. CPython
    // copies the structure.
    unsafe { ffi::PyObject_SetArenaAllocator(&mut allocator) };
}

/// From now on at most so many bytes are kept empty, and large requests get large pages.
pub(super) fn keep(bytes: usize) {
    let mut arenas = lock();
    arenas.kept_chunks = bytes / LARGE;
    arenas.small_chunks_left = SMALL_CHUNKS;
    arenas.large_pages = true;
}

/// Whether there is more than the next small request may need.
pub(super) fn keeps() -> bool {
    lock().empty.len() > ARENAS
}

/// Gives back what is empty.
pub(super) fn trim() {
    lock().trim(0);
}

fn lock() -> MutexGuard<'static, Arenas> {
    // Its state is whole at every moment, and no Python code runs while it is held.
    ARENAS_OF_PYTHON.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn allocate(_: *mut c_void, size: usize) -> *mut c_void {
    if size == ARENA {
        lock().take().map_or(null_mut(), Arena::pointer)
    } else {
        map(size).unwrap_or(null_mut())
    }
}

extern "C" fn release(_: *mut c_void, arena: *mut c_void, size: usize) {
    if size == ARENA {
        lock().give(Arena(arena as usize));
    } else {
        unmap(arena, size);
    }
}

/// The address of an arena.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Arena(usize);

impl Arena {
    fn pointer(self) -> *mut c_void {
        self.0 as *mut c_void
    }

    /// The chunk that it is a part of.
    fn chunk(self) -> usize {
        self.0 & !(LARGE - 1)
    }
}

/// Arenas come in chunks of a large page, aligned to its size, and go as such.
struct Arenas {
    /// Empty ones, the last to be taken first.
    empty: Vec<Arena>,
    kept_chunks: usize,
    small_chunks_left: usize,
    large_pages: bool,
}

impl Arenas {
    const fn new() -> Self {
        Self { empty: Vec::new(), kept_chunks: 0, small_chunks_left: 0, large_pages: false }
    }

    fn take(&mut self) -> Option<Arena> {
        if let Some(arena) = self.empty.pop() {
            return Some(arena);
        }
        let chunk = map_aligned()?;
        if self.small_chunks_left > 0 {
            self.small_chunks_left -= 1;
        } else if self.large_pages {
            // SAFETY: the chunk was just mapped, and the advice changes no byte of it.
            let _ = unsafe { madvise(chunk, LARGE, Advice::LinuxHugepage) };
        }
        let first = chunk as usize;
        self.empty.extend((1..ARENAS).map(|index| Arena(first + index * ARENA)));
        Some(Arena(first))
    }

    fn give(&mut self, arena: Arena) {
        self.empty.push(arena);
        if self.empty.len() > (self.kept_chunks + 1) * ARENAS {
            self.trim(self.kept_chunks);
        }
    }

    /// Unmaps empty chunks but so many.
    fn trim(&mut self, keep: usize) {
        self.empty.sort_unstable_by_key(|arena| arena.0);
        let mut whole: Vec<usize> = self
            .empty
            .chunk_by(|one, next| one.chunk() == next.chunk())
            .filter(|arenas| arenas.len() == ARENAS)
            .map(|arenas| arenas[0].chunk())
            .collect();
        let excess = whole.split_off(keep.min(whole.len()));
        self.empty.retain(|arena| excess.binary_search(&arena.chunk()).is_err());
        for chunk in excess {
            unmap(chunk as *mut c_void, LARGE);
        }
    }
}

fn map(size: usize) -> Option<*mut c_void> {
    // SAFETY: a new mapping at a place of the kernel's choice touches nobody's memory.
    unsafe { mmap_anonymous(null_mut(), size, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }.ok()
}

fn unmap(start: *mut c_void, size: usize) {
    // SAFETY: the callers pass what `map` gave, or a part of it, in which nothing lives any more. A
    // refusal leaves it mapped, which is no worse.
    let _ = unsafe { munmap(start, size) };
}

/// A chunk of a large page's size and alignment.
fn map_aligned() -> Option<*mut c_void> {
    let start = map(LARGE)?;
    if (start as usize).is_multiple_of(LARGE) {
        return Some(start);
    }
    // The kernel gave another place: twice the size holds an aligned chunk, and the rest goes back.
    unmap(start, LARGE);
    let start = map(2 * LARGE)?;
    let before = start.cast::<u8>().align_offset(LARGE);
    let chunk = start.wrapping_byte_add(before);
    for (rest, size) in [(start, before), (chunk.wrapping_byte_add(LARGE), LARGE - before)] {
        if size > 0 {
            unmap(rest, size);
        }
    }
    Some(chunk)
}
