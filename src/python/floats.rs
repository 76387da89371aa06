//! Memory for the floats of large bodies. CPython takes 32 bytes for each and a look at its lists; here a float
//! takes the 24 bytes that it has, right behind the one before, in large pages. It is freed as any other object: the
//! function that CPython frees objects with is told of this memory the first time that some is needed.
#![expect(
    unsafe_code,
    reason = "objects are laid out in memory of our own, and freed through a function pointer"
)]

mod chunks;

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::OnceLock;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use chunks::{FLOAT, chunk_of, fewer, is_ours, lock};
pub(super) use chunks::{keep, keeps, trim};

/// Smaller documents have few floats.
const WORTH_IT: usize = 64 << 10;

/// What all floats begin with: their count of references, and their type.
type Header = [usize; 2];

/// Without a GIL, objects are counted and freed otherwise; and a debug build of CPython puts more into them.
const FITS: bool = cfg!(not(Py_GIL_DISABLED)) && FLOAT == size_of::<Header>() + size_of::<f64>();

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

#[cfg(test)]
mod tests;
