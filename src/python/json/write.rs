//! The writer: Python objects straight to bytes, as `simplejson.dumps(value, ignore_nan=True)` lays
//! them out. Values of exactly Python's own types are written without calling Python; all others go
//! through `other`. It counts its depth with the interpreter's and stops where Python would.
#![expect(
    unsafe_code,
    reason = "lists and dicts are read through CPython's C API, without a check per element"
)]

mod array;
mod beside;
mod calendar;
mod digits;
mod key;
mod known;
mod number;
mod other;
mod pandas;
mod text;

use pyo3::exceptions::{PyBrokenPipeError, PyRecursionError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

pub(super) use known::Known;

use super::WriteError;
use crate::large_pages;

/// Python's own limit comes first unless a script has raised it; this one guards the C stack.
const MAX_DEPTH: usize = 1000;

/// So many elements tell how long the others will be.
const SAMPLE: usize = 256;

/// Room for less is made as it is needed.
const WORTH_FORESEEING: usize = 256 << 10;

type Outcome = Result<(), WriteError>;

/// Where parts of an answer go, and how long they are at least.
pub struct Parts<'a> {
    /// The first one: a shorter answer is not worth it.
    pub first: usize,
    pub length: usize,
    /// Whether a second thread may help.
    pub beside: bool,
    /// Says whether it has taken the part.
    pub take: &'a mut dyn FnMut(&[u8]) -> bool,
}

pub(super) fn document<'a>(
    value: &Bound<'_, PyAny>,
    out: &'a mut Vec<u8>,
    parts: Option<Parts<'a>>,
    limit: usize,
) -> Outcome {
    let mut writer =
        Writer { out, parts, gone: 0, limit, full: 0, open: Vec::new(), known: None, py: value.py() };
    let first = writer.parts.as_ref().map_or(limit, |parts| parts.first);
    writer.full = first.min(limit);
    writer.item(value.as_ptr())?;
    writer.check_limit()
}

struct Writer<'a, 'py> {
    out: &'a mut Vec<u8>,
    parts: Option<Parts<'a>>,
    /// Bytes that have gone in parts.
    gone: usize,
    /// What `out` may still come to, and from where on it is looked at.
    limit: usize,
    full: usize,
    /// The containers that are being written, outermost first; each is kept alive by its caller.
    open: Vec<*mut ffi::PyObject>,
    known: Option<Known<'py>>,
    py: Python<'py>,
}

impl<'py> Writer<'_, 'py> {
    fn value(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        self.item(value.as_ptr())
    }

    /// Writes an object that somebody holds at least until Python code runs.
    #[inline]
    fn item(&mut self, item: *mut ffi::PyObject) -> Outcome {
        // SAFETY: `item` is alive, since no Python code runs before the first branch is left:
        // exact str, float, int, bool and None are written without any. For everything else a
        // reference is taken first.
        unsafe {
            let kind = ffi::Py_TYPE(item);
            if kind == &raw mut ffi::PyFloat_Type {
                number::float(self.out, ffi::PyFloat_AS_DOUBLE(item));
                Ok(())
            } else if kind == &raw mut ffi::PyUnicode_Type {
                self.text(item)
            } else if kind == &raw mut ffi::PyLong_Type {
                self.int(item)
            } else if let Some(word) = simple_word(item) {
                self.out.extend_from_slice(word);
                Ok(())
            } else {
                let item = Bound::from_borrowed_ptr(self.py, item);
                if kind == &raw mut ffi::PyList_Type {
                    self.within(&item, |writer| writer.list(&item))
                } else if kind == &raw mut ffi::PyDict_Type {
                    self.within(&item, |writer| writer.dict(&item))
                } else if kind == &raw mut ffi::PyTuple_Type {
                    self.within(&item, |writer| writer.tuple(&item))
                } else {
                    self.other(&item)
                }
            }
        }
    }

    /// Writes a container, unless it is already being written or lies too deep.
    fn within(&mut self, container: &Bound<'py, PyAny>, write: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let pointer = container.as_ptr();
        if self.open.contains(&pointer) {
            return Err(PyValueError::new_err("Circular reference detected").into());
        }
        if self.open.len() == MAX_DEPTH {
            let message = "maximum recursion depth exceeded while encoding a JSON object";
            return Err(PyRecursionError::new_err(message).into());
        }
        // SAFETY: the text ends with a NUL byte, and every success is followed by one leave.
        if unsafe { ffi::Py_EnterRecursiveCall(c" while encoding a JSON object".as_ptr()) } != 0 {
            return Err(PyErr::fetch(self.py).into());
        }
        self.open.push(pointer);
        let outcome = write(self);
        self.open.pop();
        // SAFETY: the call above entered.
        unsafe { ffi::Py_LeaveRecursiveCall() };
        outcome
    }

    /// Makes room for a column of so many elements, after a sample has told how long they are.
    #[cold]
    fn foresee(&mut self, start: usize, count: usize) {
        if self.parts.is_some() {
            return;
        }
        let each = (self.written() - start).div_ceil(SAMPLE);
        let rest = each.saturating_mul(count.saturating_sub(SAMPLE));
        // A little more, since a sample is only that; and never more than may be written.
        let rest = (rest + rest / 16).min(self.limit.saturating_sub(self.out.len()));
        if rest >= WORTH_FORESEEING && self.out.try_reserve(rest).is_ok() {
            large_pages::prefer(self.out.spare_capacity_mut());
        }
    }

    /// Bytes of the answer so far.
    fn written(&self) -> usize {
        self.gone + self.out.len()
    }

    /// An exact list. Its elements' code may change it, so its length is read again each time.
    fn list(&mut self, list: &Bound<'py, PyAny>) -> Outcome {
        let list = list.as_ptr();
        let start = self.written();
        self.out.push(b'[');
        let mut index = 0;
        // SAFETY: `list` is an exact list that the caller holds, and `index` is below the length
        // that it has now; `item` takes its own reference before any Python code runs.
        unsafe {
            while index < ffi::PyList_GET_SIZE(list) {
                if index as usize == SAMPLE {
                    return self.long_list(start, list);
                }
                self.separate(index > 0)?;
                self.element(ffi::PyList_GET_ITEM(list, index))?;
                index += 1;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    /// What follows a list's sample. In a function of its own: deep lists are not long, and need less of the stack so.
    ///
    /// # Safety
    /// `list` must be an exact list, longer than a sample.
    #[inline(never)]
    unsafe fn long_list(&mut self, start: usize, list: *mut ffi::PyObject) -> Outcome {
        // SAFETY: as in `list`. As long as elements are written beside, no Python code runs, and this thread has the GIL:
        // the list and what it holds stay what they are. Nothing but their memory is read.
        unsafe {
            let count = ffi::PyList_GET_SIZE(list) as usize;
            self.foresee(start, count);
            let items = beside::Shared::new((*list.cast::<ffi::PyListObject>()).ob_item.cast_const());
            let simple = |mut range: std::ops::Range<usize>, out: &mut Vec<u8>| {
                range.all(|index| out.len() < beside::MOST && simple_item(out, *items.start().add(index)))
            };
            let mut index = self.beside(start, count, &simple)? as ffi::Py_ssize_t;
            while index < ffi::PyList_GET_SIZE(list) {
                self.separate(true)?;
                self.element(ffi::PyList_GET_ITEM(list, index))?;
                index += 1;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    /// An element of a column, which mostly are of these kinds.
    ///
    /// # Safety
    /// As for [`Self::item`].
    #[inline]
    unsafe fn element(&mut self, item: *mut ffi::PyObject) -> Outcome {
        // SAFETY: `item` is alive.
        unsafe {
            let kind = ffi::Py_TYPE(item);
            if kind == &raw mut ffi::PyFloat_Type {
                number::float(self.out, ffi::PyFloat_AS_DOUBLE(item));
                Ok(())
            } else if kind == &raw mut ffi::PyLong_Type {
                self.int(item)
            } else if kind == &raw mut ffi::PyUnicode_Type {
                self.text(item)
            } else {
                self.item(item)
            }
        }
    }

    /// An exact tuple, which nothing can change.
    fn tuple(&mut self, tuple: &Bound<'py, PyAny>) -> Outcome {
        let tuple = tuple.as_ptr();
        self.out.push(b'[');
        // SAFETY: `tuple` is an exact tuple that the caller holds, and indexes stay below its length.
        unsafe {
            for index in 0..ffi::PyTuple_GET_SIZE(tuple) {
                self.separate(index > 0)?;
                self.item(ffi::PyTuple_GET_ITEM(tuple, index))?;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    /// An exact dict. Its values' code may change it, which then is the error that Python raises.
    fn dict(&mut self, dict: &Bound<'py, PyAny>) -> Outcome {
        let dict = dict.as_ptr();
        self.out.push(b'{');
        let mut position = 0;
        let mut key = std::ptr::null_mut();
        let mut value = std::ptr::null_mut();
        // SAFETY: `dict` is an exact dict that the caller holds. PyDict_Next reads its state anew
        // each time and lends a key and a value, to which references are taken at once.
        unsafe {
            let size = ffi::PyDict_Size(dict);
            while ffi::PyDict_Next(dict, &mut position, &mut key, &mut value) != 0 {
                let key = Bound::from_borrowed_ptr(self.py, key);
                let value = Bound::from_borrowed_ptr(self.py, value);
                self.separate(self.out.last() != Some(&b'{'))?;
                self.pair(&key, &value)?;
                if ffi::PyDict_Size(dict) != size {
                    return Err(PyRuntimeError::new_err("dictionary changed size during iteration").into());
                }
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn pair(&mut self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Outcome {
        self.key(key)?;
        self.out.extend_from_slice(b": ");
        self.item(value.as_ptr())
    }

    /// Goes on to the next element, if the answer is not too large yet.
    #[inline]
    fn separate(&mut self, more: bool) -> Outcome {
        if more {
            self.out.extend_from_slice(b", ");
        }
        self.check_limit()
    }

    #[inline]
    fn check_limit(&mut self) -> Outcome {
        if self.out.len() > self.full { self.hand_out() } else { Ok(()) }
    }

    /// How much is in `out` when a part is to go, or when it is too much.
    fn fullness(&self) -> usize {
        self.parts.as_ref().map_or(self.limit, |parts| parts.length.min(self.limit))
    }

    #[cold]
    fn hand_out(&mut self) -> Outcome {
        self.limit = self.limit.checked_sub(self.out.len()).ok_or(WriteError::TooLarge)?;
        self.gone += self.out.len();
        let Some(parts) = &mut self.parts else { return Err(WriteError::TooLarge) };
        if !(parts.take)(self.out) {
            return Err(PyBrokenPipeError::new_err("nobody takes the answer").into());
        }
        self.out.clear();
        self.full = self.fullness();
        Ok(())
    }

    /// What is written meanwhile, which is no part of the answer yet.
    fn apart(&mut self, write: impl FnOnce(&mut Self) -> Outcome) -> Result<Vec<u8>, WriteError> {
        let (parts, full) = (self.parts.take(), self.full);
        self.full = self.limit;
        let start = self.out.len();
        let outcome = write(self);
        (self.parts, self.full) = (parts, full);
        outcome.map(|()| self.out.split_off(start))
    }
}

/// Writes a comma and an element that can be written by a thread which may not call Python; false, if it is another one.
///
/// # Safety
/// `item` must be alive, and nobody may change it. Nothing but its memory is read.
#[inline]
unsafe fn simple_item(out: &mut Vec<u8>, item: *mut ffi::PyObject) -> bool {
    out.extend_from_slice(b", ");
    // SAFETY: as the caller promises.
    unsafe {
        let kind = ffi::Py_TYPE(item);
        if kind == &raw mut ffi::PyFloat_Type {
            number::float(out, ffi::PyFloat_AS_DOUBLE(item));
            true
        } else if kind == &raw mut ffi::PyLong_Type {
            number::small_int(item).map(|value| digits::signed(out, value)).is_some()
        } else if kind == &raw mut ffi::PyUnicode_Type {
            text::short_text(out, item)
        } else {
            let word = simple_word(item);
            out.extend_from_slice(word.unwrap_or_default());
            word.is_some()
        }
    }
}

/// The word for an object of which there is only one.
fn simple_word(item: *mut ffi::PyObject) -> Option<&'static [u8]> {
    // SAFETY: the interpreter runs, and these objects never move.
    let (none, yes, no) = unsafe { (ffi::Py_None(), ffi::Py_True(), ffi::Py_False()) };
    match item {
        item if item == none => Some(b"null"),
        item if item == yes => Some(b"true"),
        item if item == no => Some(b"false"),
        _ => None,
    }
}
