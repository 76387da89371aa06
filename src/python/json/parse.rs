//! The parser: bytes straight to Python objects. It accepts a part of what Python's `json` accepts
//! and makes the same objects of it; everything else is `Unfit`, and the caller asks Python. So it
//! has no error texts, and it stops at a nesting that no table needs.
#![expect(unsafe_code, reason = "objects are built through CPython's C API, without a check per element")]

mod cache;
mod decimal;
mod digits;
mod items;
mod number;
mod scan;
mod sixteen;
mod text;

use pyo3::ffi;
use pyo3::prelude::*;

use cache::Cache;
use items::Items;

use super::coming::Coming;
use crate::python::floats::Floats;

/// Deeper input is left to Python, whose own limit then holds.
const MAX_DEPTH: usize = 200;

/// A list of more elements gets memory of its own while it is read.
const LONG: usize = 4096;

/// Not for this parser: wrong, or too unusual. Python's `json` decides.
#[derive(Debug)]
pub(super) struct Unfit;

/// A new reference, which whoever holds it must give away or drop.
type Owned = *mut ffi::PyObject;

pub(super) fn document<'py>(py: Python<'py>, input: &[u8]) -> Result<Bound<'py, PyAny>, Unfit> {
    parse(py, input, input.len(), None)
}

/// The same of a document that is still coming. It is `Unfit` as well if an element other than a text is longer than the
/// margin.
pub(super) fn coming_document<'py>(
    py: Python<'py>,
    coming: &mut Coming<'_>,
) -> Result<Bound<'py, PyAny>, Unfit> {
    parse(py, coming.bytes(), coming.length(), Some(coming))
}

fn parse<'a, 'py>(
    py: Python<'py>,
    input: &'a [u8],
    length: usize,
    coming: Option<&mut Coming<'a>>,
) -> Result<Bound<'py, PyAny>, Unfit> {
    let mut parser = Parser {
        input,
        coming,
        length,
        enough: 0,
        at: 0,
        pending: Pending(Vec::new()),
        units: [0; text::UNITS],
        characters: Vec::new(),
        keys: Cache::for_input(length),
        texts: Cache::for_input(length),
        floats: Floats::for_input(length),
        py,
    };
    parser.look_ahead();
    parser.skip_whitespace();
    let value = parser.value(0)?;
    // SAFETY: `value` is a new reference that nothing else owns.
    let value = unsafe { Bound::from_owned_ptr(py, value) };
    parser.wait_for(length, 0);
    parser.skip_whitespace();
    if parser.at == length { Ok(value) } else { Err(Unfit) }
}

struct Parser<'a, 'b, 'py> {
    /// What there is of the document, where the rest comes from, and how long it is altogether.
    input: &'a [u8],
    coming: Option<&'b mut Coming<'a>>,
    length: usize,
    /// Up to here, the next element is there.
    enough: usize,
    at: usize,
    /// Elements of the lists that are open, keys and objects that wait for their values.
    pending: Pending,
    /// The characters of a text with escapes, in the room that nearly all need, or in more.
    units: [u16; text::UNITS],
    characters: Vec<u32>,
    keys: Cache,
    texts: Cache,
    floats: Floats,
    /// Proof that this thread may call Python, for as long as references are owned.
    py: Python<'py>,
}

/// References that are dropped when parsing stops half-way.
struct Pending(Vec<Owned>);

impl Drop for Pending {
    fn drop(&mut self) {
        for &object in &self.0 {
            // SAFETY: the stack owns one reference to each object, and a parser, which lives no
            // longer than its `Python` token, owns the stack.
            unsafe { ffi::Py_DECREF(object) };
        }
    }
}

impl Parser<'_, '_, '_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn value(&mut self, depth: usize) -> Result<Owned, Unfit> {
        match self.peek() {
            Some(b'"') => self.whole_text(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            _ => self.word(),
        }
    }

    /// A text that may be longer than what has come.
    #[inline]
    fn whole_text(&mut self) -> Result<Owned, Unfit> {
        let start = self.at;
        match self.text(false) {
            Err(Unfit) if self.input.len() < self.length => self.text_when_whole(start),
            outcome => outcome,
        }
    }

    #[cold]
    fn text_when_whole(&mut self, start: usize) -> Result<Owned, Unfit> {
        self.at = start;
        self.wait_for(self.length, 0);
        self.text(false)
    }

    fn word(&mut self) -> Result<Owned, Unfit> {
        let rest = &self.input[self.at..];
        let is = |word: &[u8]| rest.starts_with(word);
        // SAFETY: the interpreter runs (`self.py`), so its singletons exist.
        let (length, value) = unsafe {
            if is(b"null") {
                (4, ffi::Py_NewRef(ffi::Py_None()))
            } else if is(b"true") {
                (4, ffi::Py_NewRef(ffi::Py_True()))
            } else if is(b"false") {
                (5, ffi::Py_NewRef(ffi::Py_False()))
            } else if is(b"NaN") {
                (3, self.made(ffi::PyFloat_FromDouble(f64::NAN))?)
            } else if is(b"Infinity") {
                (8, self.made(ffi::PyFloat_FromDouble(f64::INFINITY))?)
            } else {
                return Err(Unfit);
            }
        };
        self.at += length;
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Owned, Unfit> {
        if depth >= MAX_DEPTH {
            return Err(Unfit);
        }
        let start = self.at;
        self.at += 1;
        let first = self.pending.0.len();
        self.skip_whitespace();
        if self.peek() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                let item = self.value(depth + 1)?;
                self.pending.0.push(item);
                if self.next_item(b']')? {
                    break;
                }
                // Without a GIL a list keeps more beside its elements.
                if cfg!(not(Py_GIL_DISABLED)) && self.pending.0.len() - first == LONG {
                    return self.long_list(depth, first, start);
                }
            }
        }
        let count = self.pending.0.len() - first;
        // SAFETY: a new list of `count` empty places, which nobody else has seen, takes over exactly the
        // references that stand above `first`; they leave the stack in the same step, so each has one owner throughout.
        unsafe {
            let list = self.made(ffi::PyList_New(count as ffi::Py_ssize_t))?;
            if count > 0 {
                let places = (*list.cast::<ffi::PyListObject>()).ob_item;
                std::ptr::copy_nonoverlapping(self.pending.0.as_ptr().add(first), places, count);
            }
            self.pending.0.set_len(first);
            Ok(list)
        }
    }

    /// The rest of a list that began at `start` and whose elements so far stand above `first`.
    fn long_list(&mut self, depth: usize, first: usize, start: usize) -> Result<Owned, Unfit> {
        // If the others are as long as these; a little more, since a sample is only that.
        let rest = (self.length - self.at).saturating_mul(LONG) / (self.at - start);
        let mut items = Items::with_room(&mut self.pending.0, first, LONG + rest + rest / 16).ok_or(Unfit)?;
        loop {
            let item = match self.peek() {
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b'"') => self.whole_text()?,
                _ => self.value(depth + 1)?,
            };
            if !items.push(item) {
                return Err(Unfit);
            }
            if self.next_item(b']')? {
                return self.made(items.into_list());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Owned, Unfit> {
        if depth >= MAX_DEPTH {
            return Err(Unfit);
        }
        self.at += 1;
        // SAFETY: making an empty dict has no precondition but the running interpreter.
        let dict = unsafe { self.made(ffi::PyDict_New())? };
        self.pending.0.push(dict);
        self.skip_whitespace();
        if self.peek() == Some(b'}') {
            self.at += 1;
        } else {
            loop {
                if self.peek() != Some(b'"') {
                    return Err(Unfit);
                }
                let key = self.text(true)?;
                self.pending.0.push(key);
                self.skip_whitespace();
                if self.peek() != Some(b':') {
                    return Err(Unfit);
                }
                self.at += 1;
                self.skip_whitespace();
                let value = self.value(depth + 1)?;
                self.pending.0.pop();
                // SAFETY: `dict` is owned by the stack and by nobody else yet; `key` was just
                // taken from the stack and `value` was just made, so both are ours to drop.
                let outcome = unsafe {
                    let outcome = ffi::PyDict_SetItem(dict, key, value);
                    ffi::Py_DECREF(key);
                    ffi::Py_DECREF(value);
                    outcome
                };
                if outcome != 0 {
                    return Err(self.refused());
                }
                if self.next_item(b'}')? {
                    break;
                }
            }
        }
        self.pending.0.pop();
        Ok(dict)
    }

    /// Steps over a comma (false) or the closing bracket (true).
    #[inline]
    fn next_item(&mut self, close: u8) -> Result<bool, Unfit> {
        self.skip_whitespace();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                if self.at > self.enough {
                    self.look_ahead();
                }
                self.skip_whitespace();
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(Unfit),
        }
    }

    /// Waits until some more of the document is there than the next element's.
    #[cold]
    fn look_ahead(&mut self) {
        let margin = self.coming.as_ref().map_or(0, |coming| coming.margin);
        self.wait_for(self.at + 2 * margin, margin);
    }

    /// Waits until so much of the document is there, or all. What never comes is found missing.
    fn wait_for(&mut self, length: usize, margin: usize) {
        if let Some(coming) = &mut self.coming {
            coming.wait_for(length);
            self.input = coming.bytes();
        }
        let whole = self.input.len() == self.length;
        self.enough = if whole { usize::MAX } else { self.input.len().saturating_sub(margin) };
    }

    /// What CPython made, or `Unfit` if it could not.
    #[inline]
    fn made(&self, object: Owned) -> Result<Owned, Unfit> {
        if object.is_null() { Err(self.refused()) } else { Ok(object) }
    }

    /// CPython's exception is dropped: Python's own parser will raise its like, or succeed.
    #[cold]
    fn refused(&self) -> Unfit {
        drop(PyErr::take(self.py));
        Unfit
    }
}
