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

/// So many characters are written between two looks at the limit.
const CHUNK: usize = 4096;

impl Writer<'_, '_> {
    /// A str or an instance of a subclass of it, whatever that makes of `__str__`.
    #[inline]
    pub(super) fn text(&mut self, text: *mut ffi::PyObject) -> Outcome {
        // SAFETY: `text` is a str that the caller holds; it is made ready (3.10 and 3.11 know
        // texts that are not) before its kind and data are read, it can't change, and no Python
        // code runs while the slice lives.
        unsafe {
            if ffi::PyUnicode_READY(text) != 0 {
                return Err(PyErr::fetch(self.py).into());
            }
            let length = ffi::PyUnicode_GET_LENGTH(text) as usize;
            match ffi::PyUnicode_KIND(text) {
                ffi::PyUnicode_1BYTE_KIND => {
                    let bytes = std::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(text), length);
                    self.narrow(bytes)
                }
                ffi::PyUnicode_2BYTE_KIND => {
                    let units = std::slice::from_raw_parts(ffi::PyUnicode_2BYTE_DATA(text), length);
                    self.wide(units)
                }
                _ => {
                    let units = std::slice::from_raw_parts(ffi::PyUnicode_4BYTE_DATA(text), length);
                    self.wide(units)
                }
            }
        }
    }

    /// Characters below 0x100, most of which are written as they are.
    #[inline]
    fn narrow(&mut self, characters: &[u8]) -> Outcome {
        if self.out.len() + characters.len() > self.limit {
            return Err(WriteError::TooLarge);
        }
        let plain = plain(characters);
        if plain == characters.len() {
            short::quote(self.out, characters);
            return Ok(());
        }
        self.with_escapes(characters, plain)
    }

    /// Characters of which so many at the start are written as they are, and one behind them is not.
    #[inline(never)]
    fn with_escapes(&mut self, mut characters: &[u8], mut count: usize) -> Outcome {
        self.out.push(b'"');
        loop {
            self.out.extend_from_slice(&characters[..count]);
            let Some(&special) = characters.get(count) else { break };
            escape(self.out, u32::from(special));
            self.check_limit()?;
            characters = &characters[count + 1..];
            count = plain(characters);
        }
        self.out.push(b'"');
        Ok(())
    }

    /// Characters some of which are above 0xff.
    fn wide<Unit: Copy + Into<u32>>(&mut self, characters: &[Unit]) -> Outcome {
        self.out.push(b'"');
        for chunk in characters.chunks(CHUNK) {
            self.check_limit()?;
            self.out.reserve(LONGEST_ESCAPE * chunk.len() + 8);
            let start = self.out.as_mut_ptr();
            let mut end = self.out.len();
            for &character in chunk {
                let character = character.into();
                let plain = matches!(character, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
                if plain || matches!(character, 0x80..=0xffff) {
                    // Words and what is between them alternate as they like: no guess is better than a bad one.
                    let text = select_unpredictable(plain, u64::from(character), hexadecimal(character));
                    // SAFETY: there is room for the longest escapes of a chunk and for a word behind them.
                    unsafe { start.add(end).cast::<[u8; 8]>().write(text.to_le_bytes()) };
                    end += select_unpredictable(plain, 1, 6);
                    continue;
                }
                // SAFETY: this many bytes were written. What follows fits, so nothing is moved.
                unsafe { self.out.set_len(end) };
                escape(self.out, character);
                end = self.out.len();
            }
            // SAFETY: as above.
            unsafe { self.out.set_len(end) };
        }
        self.out.push(b'"');
        Ok(())
    }
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
