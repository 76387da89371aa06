//! Texts: ASCII only, everything else as `\uXXXX`, 0x7f included. A surrogate that stands alone is
//! written alone, as Python does.
#![expect(unsafe_code, reason = "the characters of a str are read in place")]

use std::hint::select_unpredictable;

use pyo3::ffi;
use pyo3::prelude::*;

use super::{Outcome, Writer};
use crate::python::json::{WriteError, short};

/// What one character may take.
const LONGEST_ESCAPE: usize = 12;

/// So many characters are written between two looks at the limit. A text of no more is short.
const CHUNK: usize = 4096;

/// The characters of a str, by how wide it keeps them.
enum Characters<'a> {
    Narrow(&'a [u8]),
    Wide(&'a [u16]),
    Widest(&'a [u32]),
}

impl Characters<'_> {
    /// # Safety
    /// `text` must be a str that is ready and outlives what this gives.
    #[inline]
    unsafe fn of(text: *mut ffi::PyObject) -> Self {
        // SAFETY: a str that is ready has so many characters of this kind, and never changes.
        unsafe {
            let length = ffi::PyUnicode_GET_LENGTH(text) as usize;
            match ffi::PyUnicode_KIND(text) {
                ffi::PyUnicode_1BYTE_KIND => {
                    Self::Narrow(std::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(text), length))
                }
                ffi::PyUnicode_2BYTE_KIND => {
                    Self::Wide(std::slice::from_raw_parts(ffi::PyUnicode_2BYTE_DATA(text), length))
                }
                _ => Self::Widest(std::slice::from_raw_parts(ffi::PyUnicode_4BYTE_DATA(text), length)),
            }
        }
    }
}

impl Writer<'_, '_> {
    /// A str or an instance of a subclass of it, whatever that makes of `__str__`.
    #[inline]
    pub(super) fn text(&mut self, text: *mut ffi::PyObject) -> Outcome {
        // SAFETY: `text` is a str that the caller holds; it is made ready (3.10 and 3.11 know
        // texts that are not), and no Python code runs while its characters are borrowed.
        let characters = unsafe {
            if ffi::PyUnicode_READY(text) != 0 {
                return Err(PyErr::fetch(self.py).into());
            }
            Characters::of(text)
        };
        match characters {
            Characters::Narrow(characters) => self.narrow(characters),
            Characters::Wide(characters) => self.wide(characters),
            Characters::Widest(characters) => self.wide(characters),
        }
    }

    /// Characters below 0x100, most of which are written as they are.
    #[inline]
    fn narrow(&mut self, characters: &[u8]) -> Outcome {
        if self.out.len() + characters.len() > self.limit {
            return Err(WriteError::TooLarge);
        }
        if !quote_plain(self.out, characters) {
            return self.in_chunks(characters, escape_narrow);
        }
        Ok(())
    }

    /// Characters some of which are above 0xff.
    fn wide<Unit: Copy + Into<u32>>(&mut self, characters: &[Unit]) -> Outcome {
        self.in_chunks(characters, escape_wide)
    }

    /// Apart, as its frame would lie on the stack at every level of a deep list.
    #[inline(never)]
    fn in_chunks<Unit>(&mut self, characters: &[Unit], write: impl Fn(&mut Vec<u8>, &[Unit])) -> Outcome {
        self.out.push(b'"');
        for chunk in characters.chunks(CHUNK) {
            self.check_limit()?;
            write(self.out, chunk);
        }
        self.out.push(b'"');
        Ok(())
    }
}

/// Writes a short text; false, if it is not short.
///
/// # Safety
/// `text` must be an exact str, which is alive. Nothing but its memory is read.
#[inline]
pub(super) unsafe fn short_text(out: &mut Vec<u8>, text: *mut ffi::PyObject) -> bool {
    // SAFETY: it is a str; one that is not ready has no characters yet.
    let characters = unsafe {
        if !is_ready(text) || ffi::PyUnicode_GET_LENGTH(text) as usize > CHUNK {
            return false;
        }
        Characters::of(text)
    };
    match characters {
        Characters::Narrow(characters) if quote_plain(out, characters) => {}
        Characters::Narrow(characters) => quote(out, characters, escape_narrow),
        Characters::Wide(characters) => quote(out, characters, escape_wide),
        Characters::Widest(characters) => quote(out, characters, escape_wide),
    }
    true
}

/// # Safety
/// `text` must be a str.
#[inline]
unsafe fn is_ready(text: *mut ffi::PyObject) -> bool {
    // Since 3.12 every str is.
    // SAFETY: as the caller promises.
    cfg!(Py_3_12) || unsafe { ffi::PyUnicode_IS_READY(text) != 0 }
}

fn quote<Unit>(out: &mut Vec<u8>, characters: &[Unit], write: impl Fn(&mut Vec<u8>, &[Unit])) {
    out.push(b'"');
    write(out, characters);
    out.push(b'"');
}

/// Writes characters between quotes, if all of them are written as they are.
#[inline]
fn quote_plain(out: &mut Vec<u8>, characters: &[u8]) -> bool {
    let is_plain = plain(characters) == characters.len();
    if is_plain {
        short::quote(out, characters);
    }
    is_plain
}

fn escape_narrow(out: &mut Vec<u8>, mut characters: &[u8]) {
    loop {
        let count = plain(characters);
        out.extend_from_slice(&characters[..count]);
        let Some(&special) = characters.get(count) else { return };
        escape(out, u32::from(special));
        characters = &characters[count + 1..];
    }
}

fn escape_wide<Unit: Copy + Into<u32>>(out: &mut Vec<u8>, characters: &[Unit]) {
    out.reserve(LONGEST_ESCAPE * characters.len() + 8);
    let start = out.as_mut_ptr();
    let mut end = out.len();
    for &character in characters {
        let character = character.into();
        let plain = matches!(character, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if plain || matches!(character, 0x80..=0xffff) {
            // Words and what is between them alternate as they like: no guess is better than a bad one.
            let text = select_unpredictable(plain, u64::from(character), hexadecimal(character));
            // SAFETY: there is room for the longest escapes of all and for a word behind them.
            unsafe { start.add(end).cast::<[u8; 8]>().write(text.to_le_bytes()) };
            end += select_unpredictable(plain, 1, 6);
            continue;
        }
        // SAFETY: this many bytes were written. What follows fits, so nothing is moved.
        unsafe { out.set_len(end) };
        escape(out, character);
        end = out.len();
    }
    // SAFETY: as above.
    unsafe { out.set_len(end) };
}

fn escape(out: &mut Vec<u8>, character: u32) {
    let short = match character {
        0x22 => b'"',
        0x5c => b'\\',
        0x0a => b'n',
        0x0d => b'r',
        0x09 => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..=0xffff => return out.extend_from_slice(&hexadecimal(character).to_le_bytes()[..6]),
        _ => {
            let above = character - 0x10000;
            escape(out, 0xd800 + (above >> 10));
            return escape(out, 0xdc00 + (above & 0x3ff));
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Two hexadecimal digits for each byte, the first one lowest.
const DIGITS: [u16; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = u16::from_le_bytes([digits[byte >> 4], digits[byte & 15]]);
        byte += 1;
    }
    pairs
};

/// The six bytes of an escape, the first one lowest.
#[inline]
fn hexadecimal(unit: u32) -> u64 {
    let high = u64::from(DIGITS[(unit >> 8 & 0xff) as usize]);
    let low = u64::from(DIGITS[(unit & 0xff) as usize]);
    u64::from(u16::from_le_bytes(*b"\\u")) | high << 16 | low << 32
}

/// How many characters at the start are written as they are; eight at a time.
#[inline]
fn plain(characters: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = characters[at..].first_chunk() {
        let special = specials(*chunk);
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    if let Some(last) = characters.last_chunk() {
        // The first of these have been seen and are plain.
        return characters.len() - 8 + (specials(*last).trailing_zeros() / 8) as usize;
    }
    let special = |&byte: &u8| !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
    characters.iter().position(special).unwrap_or(characters.len())
}

/// The highest bit of the first byte that is not written as it is, and of some that follow it.
#[inline]
fn specials(characters: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let equal = |word: u64, byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let word = u64::from_le_bytes(characters);
    // A flag may be wrong only above a byte that is rightly flagged, and the lowest one counts.
    let below = word.wrapping_sub(ONES * 0x20);
    let flags = word | word.wrapping_add(ONES) | below | equal(word, b'"') | equal(word, b'\\');
    flags & (ONES * 0x80)
}
