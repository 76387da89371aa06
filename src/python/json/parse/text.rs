//! Texts: each becomes a `str` of the narrowest kind that holds it, filled once. UTF-8 is checked
//! here, surrogate escapes are paired as Python pairs them, and one that stays alone stays in the text.
#![expect(unsafe_code, reason = "a new str is filled in place")]

use pyo3::ffi;

use super::{Owned, Parser, Unfit, scan};
use crate::python::json::short;

/// A text of fewer characters has its escapes read in one go.
pub(super) const UNITS: usize = 256;

impl Parser<'_, '_, '_> {
    /// Reads a text whose opening quote is next.
    #[inline]
    pub(super) fn text(&mut self, is_key: bool) -> Result<Owned, Unfit> {
        self.at += 1;
        let input = self.input;
        let rest = &input[self.at..];
        let plain = scan::plain(rest);
        if rest.get(plain) != Some(&b'"') {
            return self.unusual_text(plain);
        }
        self.at += plain + 1;
        let text = &rest[..plain];
        let cache = if is_key { &mut self.keys } else { &mut self.texts };
        let made = cache.get_or_make(text, new_ascii);
        self.made(made)
    }

    /// A text that is not ASCII or has escapes, after `plain` bytes that are neither.
    fn unusual_text(&mut self, plain: usize) -> Result<Owned, Unfit> {
        let rest = &self.input[self.at..];
        if rest.get(plain) == Some(&b'\\')
            && let Some(made) = self.usual_escapes()?
        {
            return self.made(made);
        }
        let end = plain + scan::within_string(&rest[plain..]);
        match rest.get(end) {
            Some(b'"') => {
                self.at += end + 1;
                let text = std::str::from_utf8(&rest[..end]).map_err(|_| Unfit)?;
                self.made(new_text(text))
            }
            Some(b'\\') => self.escaped_text(),
            _ => Err(Unfit),
        }
    }

    /// A text of ASCII and of escapes that stand for one character each, or nothing if it is another one.
    fn usual_escapes(&mut self) -> Result<Option<Owned>, Unfit> {
        let input = self.input;
        let mut at = self.at;
        let mut count = 0;
        let mut bits = 0;
        while let Some(units) = self.units.get_mut(count..).and_then(<[u16]>::first_chunk_mut::<8>) {
            let Some(chunk) = input.get(at..).and_then(<[u8]>::first_chunk::<8>) else { return Ok(None) };
            if let [b'\\', b'u', a, b, c, d, ..] = *chunk {
                let unit = hexadecimal(&[a, b, c, d])? as u16;
                if unit & 0xf800 == 0xd800 {
                    return Ok(None);
                }
                units[0] = unit;
                bits |= unit;
                count += 1;
                at += 6;
                continue;
            }
            // What is no longer plain is written over.
            *units = chunk.map(u16::from);
            let plain = scan::plain_of(*chunk);
            count += plain;
            at += plain;
            match chunk.get(plain) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Some(new_from_units(&self.units[..count], bits)));
                }
                Some(b'\\') if plain > 0 => {}
                Some(b'\\') => {
                    let Some(character) = short_escape(chunk[1]) else { return Ok(None) };
                    self.units[count] = character.into();
                    count += 1;
                    at += 2;
                }
                Some(_) => return Ok(None),
                None => {}
            }
        }
        Ok(None)
    }

    fn escaped_text(&mut self) -> Result<Owned, Unfit> {
        let mut characters = std::mem::take(&mut self.characters);
        characters.clear();
        let outcome = self.unescape(&mut characters);
        let text = outcome.and_then(|()| self.made(new_from_characters(&characters)));
        self.characters = characters;
        text
    }

    fn unescape(&mut self, characters: &mut Vec<u32>) -> Result<(), Unfit> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escapes(characters)?,
                Some(0x20..0x80) => {
                    let rest = &self.input[self.at..];
                    let plain = scan::plain(rest);
                    characters.extend(rest[..plain].iter().copied().map(u32::from));
                    self.at += plain;
                }
                Some(0x80..) => {
                    let rest = &self.input[self.at..];
                    let end = scan::within_string(rest);
                    let run = std::str::from_utf8(&rest[..end]).map_err(|_| Unfit)?;
                    characters.extend(run.chars().map(u32::from));
                    self.at += end;
                }
                _ => return Err(Unfit),
            }
        }
    }

    /// Reads the escapes that stand here side by side, as those of a whole word in most alphabets do.
    #[inline]
    fn escapes(&mut self, characters: &mut Vec<u32>) -> Result<(), Unfit> {
        while let Some([b'\\', b'u', digits @ ..]) = self.input[self.at..].first_chunk::<6>() {
            let character = hexadecimal(digits)?;
            if (0xd800..0xdc00).contains(&character) {
                break;
            }
            characters.push(character);
            self.at += 6;
        }
        if self.peek() == Some(b'\\') {
            self.at += 1;
            let character = self.escape()?;
            characters.push(character);
        }
        Ok(())
    }

    /// Reads an escape whose backslash is behind.
    fn escape(&mut self) -> Result<u32, Unfit> {
        let byte = self.peek().ok_or(Unfit)?;
        self.at += 1;
        if byte == b'u' {
            return self.unicode_escape();
        }
        short_escape(byte).map(u32::from).ok_or(Unfit)
    }

    fn unicode_escape(&mut self) -> Result<u32, Unfit> {
        let high = hexadecimal(self.input[self.at..].first_chunk().ok_or(Unfit)?)?;
        self.at += 4;
        if (0xd800..0xdc00).contains(&high) && self.input[self.at..].starts_with(b"\\u") {
            let low = hexadecimal(self.input[self.at + 2..].first_chunk().ok_or(Unfit)?)?;
            if (0xdc00..0xe000).contains(&low) {
                self.at += 6;
                return Ok(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            }
        }
        Ok(high)
    }
}

/// What the letter behind a backslash stands for.
fn short_escape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' | b'\\' | b'/' => letter,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// The values of the hexadecimal digits; every other byte's is above 15.
const HEXADECIMAL: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[inline]
fn hexadecimal(digits: &[u8; 4]) -> Result<u32, Unfit> {
    let [a, b, c, d] = digits.map(|digit| u32::from(HEXADECIMAL[usize::from(digit)]));
    if (a | b | c | d) > 15 { Err(Unfit) } else { Ok(a << 12 | b << 8 | c << 4 | d) }
}

#[inline]
fn new_ascii(text: &[u8]) -> Owned {
    if let [character] = *text {
        return single(character);
    }
    // SAFETY: a new str of `text.len()` ASCII characters has room for as many bytes, and the
    // caller has looked through `text`: every byte is below 0x80. The empty str is CPython's own
    // shared one, into which nothing is copied.
    unsafe {
        let made = ffi::PyUnicode_New(text.len() as ffi::Py_ssize_t, 0x7f);
        if !made.is_null() && !text.is_empty() {
            short::copy(text.as_ptr(), ffi::PyUnicode_1BYTE_DATA(made), text.len());
        }
        made
    }
}

/// `bits` are those that any of the units has.
#[inline]
fn new_from_units(units: &[u16], bits: u16) -> Owned {
    if bits <= 0xff {
        let highest = if bits > 0x7f { 0xff } else { 0x7f };
        return fill(units.len(), highest, units.iter().copied().map(u32::from));
    }
    // SAFETY: a new str of so many characters has room for as many units of two bytes, which is the kind that
    // CPython chooses by the highest one; what has no bit above the lower eight is of the kind before.
    unsafe {
        let made = ffi::PyUnicode_New(units.len() as ffi::Py_ssize_t, bits.into());
        if !made.is_null() {
            short::copy(units.as_ptr().cast(), ffi::PyUnicode_2BYTE_DATA(made).cast(), size_of_val(units));
        }
        made
    }
}

/// `text` is not ASCII.
fn new_text(text: &str) -> Owned {
    let mut length = 0;
    let mut widest = 0;
    for &byte in text.as_bytes() {
        // A character's first byte tells how wide it is; the others are 0b10xxxxxx.
        length += usize::from(byte & 0xc0 != 0x80);
        widest = widest.max(byte);
    }
    let highest = match widest {
        0xf0.. => 0x0010_ffff,
        0xc4.. => 0xffff,
        _ => 0xff,
    };
    fill(length, highest, text.chars().map(u32::from))
}

fn new_from_characters(characters: &[u32]) -> Owned {
    let bits = characters.iter().fold(0, |bits, character| bits | character);
    fill(characters.len(), bits.min(0x0010_ffff), characters.iter().copied())
}

/// A text of one character. CPython has one object for each of those, wherever it comes from, and scripts compare them
/// by `is`.
fn single(character: u8) -> Owned {
    // SAFETY: it takes a number, and the result is a new reference or null.
    unsafe { ffi::PyUnicode_FromOrdinal(character.into()) }
}

/// A str of exactly `length` characters whose kind holds `highest`.
#[inline]
fn fill(length: usize, highest: u32, mut characters: impl Iterator<Item = u32>) -> Owned {
    if length == 1
        && highest <= 0xff
        && let Some(character) = characters.next()
    {
        return single(character as u8);
    }
    // SAFETY: a new str of `length` characters has room for `length` units of its kind, which
    // CPython chose by `highest`; `take` keeps the writes inside. The callers pass as many
    // characters as they counted, so no unit stays unset.
    unsafe {
        let made = ffi::PyUnicode_New(length as ffi::Py_ssize_t, highest);
        if made.is_null() {
            return made;
        }
        let characters = characters.take(length).enumerate();
        match highest {
            ..=0xff => {
                let data = ffi::PyUnicode_1BYTE_DATA(made);
                characters.for_each(|(index, character)| *data.add(index) = character as u8);
            }
            0x100..=0xffff => {
                let data = ffi::PyUnicode_2BYTE_DATA(made);
                characters.for_each(|(index, character)| *data.add(index) = character as u16);
            }
            _ => {
                let data = ffi::PyUnicode_4BYTE_DATA(made);
                characters.for_each(|(index, character)| *data.add(index) = character);
            }
        }
        made
    }
}
