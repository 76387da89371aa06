//! The elements of a long list, collected in the memory that the list then takes over: they are neither
//! copied nor is room for them filled with zeros first. How many there will be is told by the first ones.
#![expect(
    unsafe_code,
    reason = "a list is given its elements' memory, which CPython's C API has no call for"
)]

use std::mem::MaybeUninit;

use pyo3::ffi;

use super::Owned;
use crate::large_pages;

/// Memory of CPython's with references, the first `count` of which are owned.
pub(super) struct Items {
    start: *mut Owned,
    count: usize,
    room: usize,
}

impl Items {
    /// Takes over some references, with room for more. The GIL must be held as long as they are kept.
    /// None, if there is no memory for that.
    pub(super) fn with_room(first: &mut Vec<Owned>, from: usize, room: usize) -> Option<Self> {
        let count = first.len() - from;
        let mut items = Self { start: std::ptr::null_mut(), count: 0, room: 0 };
        // Where so much cannot be had, twice as much as there is may do.
        if !items.make_room(room.max(count)) && !items.make_room(count * 2) {
            return None;
        }
        // SAFETY: there is room for them, and they leave the vector in the same step.
        unsafe {
            std::ptr::copy_nonoverlapping(first.as_ptr().add(from), items.start, count);
            first.set_len(from);
        }
        items.count = count;
        Some(items)
    }

    /// Takes a reference over. False, if there is no memory for it.
    #[inline]
    pub(super) fn push(&mut self, item: Owned) -> bool {
        if self.count == self.room && !self.make_room(self.room * 2) {
            // SAFETY: the reference was given to this function.
            unsafe { ffi::Py_DECREF(item) };
            return false;
        }
        // SAFETY: there is room behind the references that are there.
        unsafe { self.start.add(self.count).write(item) };
        self.count += 1;
        true
    }

    #[cold]
    fn make_room(&mut self, room: usize) -> bool {
        let Some(bytes) = room.checked_mul(size_of::<Owned>()) else { return false };
        // SAFETY: the memory is CPython's, or null before the first time, and nobody else knows of it. What is
        // advised about is the part that holds nothing yet.
        unsafe {
            let start = ffi::PyMem_Realloc(self.start.cast(), bytes).cast::<Owned>();
            if start.is_null() {
                return false;
            }
            (self.start, self.room) = (start, room);
            let spare = start.add(self.count).cast::<MaybeUninit<u8>>();
            let length = (room - self.count) * size_of::<Owned>();
            large_pages::prefer(std::slice::from_raw_parts_mut(spare, length));
        }
        true
    }

    /// A list of all of them, or null.
    pub(super) fn into_list(mut self) -> Owned {
        // SAFETY: the new list, which nobody else has seen, has neither elements nor memory for them. It gets
        // what a list has in every CPython with a GIL from 3.10 on: memory by PyMem_Malloc, of which as much
        // as its size holds references that it owns. What was given away is not dropped here.
        unsafe {
            let list = ffi::PyList_New(0);
            if !list.is_null() {
                self.give_back_spare();
                let inside = list.cast::<ffi::PyListObject>();
                (*inside).ob_item = self.start;
                (*inside).allocated = self.room as ffi::Py_ssize_t;
                (*inside).ob_base.ob_size = self.count as ffi::Py_ssize_t;
                std::mem::forget(self);
            }
            list
        }
    }

    fn give_back_spare(&mut self) {
        // SAFETY: as in `make_room`; the references that are there stay. Where nothing can be given back,
        // the memory is as it was.
        unsafe {
            let start = ffi::PyMem_Realloc(self.start.cast(), self.count * size_of::<Owned>());
            if !start.is_null() {
                (self.start, self.room) = (start.cast(), self.count);
            }
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        // SAFETY: these references are owned here, as is the memory, and the GIL is held.
        unsafe {
            for index in 0..self.count {
                ffi::Py_DECREF(*self.start.add(index));
            }
            ffi::PyMem_Free(self.start.cast());
        }
    }
}
