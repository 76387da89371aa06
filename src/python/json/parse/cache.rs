//! Remembers short ASCII texts of one document, so that a column of repeated values or the keys of
//! a thousand rows are one object each. It pauses where texts do not repeat, is never
//! built for a small document, and is forgotten with the document: no request sees another's data.
#![expect(unsafe_code, reason = "the cache owns references and compares with the bytes of a str")]

use pyo3::ffi;

use super::Owned;

/// A smaller document is parsed before a cache would pay.
const SMALL: usize = 16 * 1024;
/// The longest text that is remembered.
const LONGEST: usize = 48;
const SLOTS: usize = 2048;
/// After so many look-ups the cache asks itself whether it is of use: 25 % must be hits.
const TRIAL: u32 = 2048;
/// So many texts later it tries again: the next column may be another one.
const PAUSE: u32 = 32 * 1024;

pub(super) struct Cache {
    slots: Vec<Slot>,
    state: State,
    /// In this state.
    texts: u32,
    hits: u32,
}

#[derive(PartialEq)]
enum State {
    Never,
    On,
    Paused,
}

/// The last text that fell on this place, or null.
struct Slot {
    hash: u64,
    object: Owned,
}

impl Cache {
    pub(super) fn for_input(length: usize) -> Self {
        let state = if length >= SMALL { State::On } else { State::Never };
        Self { slots: Vec::new(), state, texts: 0, hits: 0 }
    }

    /// A new reference to a str of `text`: the remembered one, or what `make` makes, which is
    /// null when CPython could not make it. `text` must be ASCII.
    #[inline]
    pub(super) fn get_or_make(&mut self, text: &[u8], make: fn(&[u8]) -> Owned) -> Owned {
        if self.state == State::Never || text.is_empty() || text.len() > LONGEST {
            return make(text);
        }
        self.texts += 1;
        if self.state == State::Paused {
            if self.texts == PAUSE {
                self.change_to(State::On);
            }
            return make(text);
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || Slot { hash: 0, object: std::ptr::null_mut() });
        }
        if self.texts == TRIAL {
            self.change_to(if self.hits * 4 >= TRIAL { State::On } else { State::Paused });
        }
        let hash = hash(text);
        let slot = &mut self.slots[hash as usize % SLOTS];
        if let Some(seen) = slot.get(hash, text) {
            self.hits += 1;
            return seen;
        }
        let made = make(text);
        slot.put(hash, made);
        made
    }

    #[cold]
    fn change_to(&mut self, state: State) {
        (self.state, self.texts, self.hits) = (state, 0, 0);
    }
}

impl Slot {
    #[inline]
    fn get(&self, hash: u64, text: &[u8]) -> Option<Owned> {
        if self.object.is_null() || self.hash != hash {
            return None;
        }
        // SAFETY: a slot only holds ASCII str objects that this parser made: one byte a character,
        // alive as long as the slot.
        unsafe {
            let length = ffi::PyUnicode_GET_LENGTH(self.object) as usize;
            let seen = std::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(self.object), length);
            (seen == text).then(|| ffi::Py_NewRef(self.object))
        }
    }

    #[inline]
    fn put(&mut self, hash: u64, object: Owned) {
        // SAFETY: the slot takes a reference of its own to `object`, then drops what it held.
        unsafe {
            ffi::Py_XINCREF(object);
            ffi::Py_XDECREF(std::mem::replace(&mut self.object, object));
        }
        self.hash = hash;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // SAFETY: a slot owns one reference to its object, if it has one, and is dropped with the
        // parser, while the parser's `Python` token lives.
        unsafe { ffi::Py_XDECREF(self.object) };
    }
}

/// Eight bytes a step, folded by a wide multiplication. Equal hashes are still compared.
#[inline]
fn hash(text: &[u8]) -> u64 {
    let mut state = text.len() as u64;
    let mut rest = text;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        state = fold(state ^ u64::from_le_bytes(*chunk));
        rest = after;
    }
    let last = rest.iter().fold(0, |last, &byte| last << 8 | u64::from(byte));
    fold(state ^ last)
}

#[inline]
fn fold(state: u64) -> u64 {
    let product = u128::from(state) * 0x9e37_79b9_7f4a_7c15;
    (product >> 64) as u64 ^ product as u64
}
