//! Texts: ASCII only, everything else as `\uXXXX`, 0x7f included. A surrogate that stands alone is
//! written alone, as Python does.
#![expect(unsafe_code, reason = "the characters of a str are read in place")]

use pyo3::ffi;
use pyo3::prelude::*;

use super::{Outcome, Writer, short};
use crate::python::json::WriteError;

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
            self.out.push(b'"');
            match ffi::PyUnicode_KIND(text) {
                ffi::PyUnicode_1BYTE_KIND => {
                    let bytes = std::slice::from_raw_parts(ffi::PyUnicode_1BYTE_DATA(text), length);
                    self.narrow(bytes)?;
                }
                ffi::PyUnicode_2BYTE_KIND => {
                    let units = std::slice::from_raw_parts(ffi::PyUnicode_2BYTE_DATA(text), length);
                    self.wide(units)?;
                }
                _ => {
                    let units = std::slice::from_raw_parts(ffi::PyUnicode_4BYTE_DATA(text), length);
                    self.wide(units)?;
                }
            }
            self.out.push(b'"');
        }
        Ok(())
    }

    /// Characters below 0x100, most of which are written as they are.
    #[inline]
    fn narrow(&mut self, mut characters: &[u8]) -> Outcome {
        if self.out.len() + characters.len() > self.limit {
            return Err(WriteError::TooLarge);
        }
        loop {
            let plain = plain(characters);
            short::append(self.out, &characters[..plain]);
            let Some(&special) = characters.get(plain) else { return Ok(()) };
            escape(self.out, u32::from(special));
            self.check_limit()?;
            characters = &characters[plain + 1..];
        }
    }

    fn wide<Unit: Copy + Into<u32>>(&mut self, characters: &[Unit]) -> Outcome {
        for chunk in characters.chunks(CHUNK) {
            self.check_limit()?;
            self.out.reserve(LONGEST_ESCAPE * chunk.len());
            for &character in chunk {
                match character.into() {
                    plain @ (0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e) => self.out.push(plain as u8),
                    unit @ 0x80..=0xffff => hexadecimal(self.out, unit),
                    special => escape(self.out, special),
                }
            }
        }
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
        0..=0xffff => return hexadecimal(out, character),
        _ => {
            let above = character - 0x10000;
            hexadecimal(out, 0xd800 + (above >> 10));
            return hexadecimal(out, 0xdc00 + (above & 0x3ff));
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Two hexadecimal digits for each byte.
const DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

#[inline]
fn hexadecimal(out: &mut Vec<u8>, unit: u32) {
    let [a, b] = DIGITS[(unit >> 8 & 0xff) as usize];
    let [c, d] = DIGITS[(unit & 0xff) as usize];
    out.extend_from_slice(&[b'\\', b'u', a, b, c, d]);
}

/// How many characters at the start are written as they are; eight at a time.
#[inline]
fn plain(characters: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let equal = |word: u64, byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let mut at = 0;
    while let Some(chunk) = characters[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // A flag may be wrong only above a byte that is rightly flagged, and the lowest one counts.
        let below = word.wrapping_sub(ONES * 0x20);
        let flags = word | word.wrapping_add(ONES) | below | equal(word, b'"') | equal(word, b'\\');
        let flagged = flags & (ONES * 0x80);
        if flagged != 0 {
            return at + (flagged.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let special = |&byte: &u8| !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
    characters[at..].iter().position(special).map_or(characters.len(), |found| at + found)
}
