//! Texts: each becomes a `str` of the narrowest kind that holds it, filled once. UTF-8 is checked
//! here, surrogate escapes are paired as Python pairs them, and one that stays alone stays in the text.
#![expect(unsafe_code, reason = "a new str is filled in place")]

use pyo3::ffi;

use super::{Owned, Parser, Unfit, scan};

impl Parser<'_, '_> {
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
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(Unfit),
        };
        Ok(u32::from(character))
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
    // SAFETY: a new str of `text.len()` ASCII characters has room for as many bytes, and the
    // caller has looked through `text`: every byte is below 0x80. The empty str is CPython's own
    // shared one, into which nothing is copied.
    unsafe {
        let made = ffi::PyUnicode_New(text.len() as ffi::Py_ssize_t, 0x7f);
        if !made.is_null() && !text.is_empty() {
            std::ptr::copy_nonoverlapping(text.as_ptr(), ffi::PyUnicode_1BYTE_DATA(made), text.len());
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

/// A str of exactly `length` characters whose kind holds `highest`.
#[inline]
fn fill(length: usize, highest: u32, characters: impl Iterator<Item = u32>) -> Owned {
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
