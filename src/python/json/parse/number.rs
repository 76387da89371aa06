//! Numbers: ints of any size, floats exactly as Python's `float()` rounds them. The grammar is
//! JSON's; what `fast-float2` would accept beyond it (`1.`, `.5`, `+1`, leading zeros) is refused.
#![expect(unsafe_code, reason = "numbers are made through CPython's C API")]

use std::ffi::CString;

use pyo3::ffi;

use super::{Owned, Parser, Unfit};

/// So many decimal digits always fit an i64.
const SAFE_DIGITS: usize = 18;

impl Parser<'_, '_> {
    #[inline]
    pub(super) fn number(&mut self) -> Result<Owned, Unfit> {
        let text = &self.input[self.at..];
        let negative = text[0] == b'-';
        let first = usize::from(negative);
        let mut end = first;
        let mut magnitude = 0_i64;
        while let Some(&digit @ b'0'..=b'9') = text.get(end) {
            magnitude = magnitude.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            end += 1;
        }
        let digits = end - first;
        if digits == 0 {
            return self.negative_infinity();
        }
        if digits > 1 && text[first] == b'0' {
            return Err(Unfit);
        }
        match text.get(end) {
            Some(b'.') if !text.get(end + 1).is_some_and(u8::is_ascii_digit) => return Err(Unfit),
            Some(b'.' | b'e' | b'E') => return self.float(),
            _ => {}
        }
        self.at += end;
        if digits > SAFE_DIGITS {
            return self.long_int(&text[..end]);
        }
        let value = if negative { -magnitude } else { magnitude };
        // SAFETY: making an int has no precondition but the running interpreter.
        self.made(unsafe { ffi::PyLong_FromLongLong(value) })
    }

    fn float(&mut self) -> Result<Owned, Unfit> {
        // An exponent without digits stays behind, and no value may be followed by it.
        let (value, length) =
            fast_float2::parse_partial::<f64, _>(&self.input[self.at..]).map_err(|_| Unfit)?;
        self.at += length;
        // SAFETY: making a float has no precondition but the running interpreter.
        self.made(unsafe { ffi::PyFloat_FromDouble(value) })
    }

    fn long_int(&mut self, digits: &[u8]) -> Result<Owned, Unfit> {
        let digits = CString::new(digits).map_err(|_| Unfit)?;
        // SAFETY: the text ends with a NUL byte; CPython copies what it needs. Past its limit of
        // digits it raises, and the caller asks Python for the words.
        self.made(unsafe { ffi::PyLong_FromString(digits.as_ptr(), std::ptr::null_mut(), 10) })
    }

    fn negative_infinity(&mut self) -> Result<Owned, Unfit> {
        const WORD: &[u8] = b"-Infinity";
        if !self.input[self.at..].starts_with(WORD) {
            return Err(Unfit);
        }
        self.at += WORD.len();
        // SAFETY: making a float has no precondition but the running interpreter.
        self.made(unsafe { ffi::PyFloat_FromDouble(f64::NEG_INFINITY) })
    }
}
