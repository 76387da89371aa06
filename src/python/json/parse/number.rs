//! Numbers: ints of any size, floats exactly as Python's `float()` rounds them. The usual ones are read by
//! `digits` in a few steps, the others here. The grammar is JSON's; what `fast-float2`, which has the odd ones,
//! would accept beyond it (`1.`, `.5`, `+1`, leading zeros) is refused.
#![expect(unsafe_code, reason = "numbers are made through CPython's C API")]

use std::ffi::{CString, c_long};

use pyo3::ffi;

use super::digits::{Usual, Window, digits};
use super::{Owned, Parser, Unfit, decimal};

/// So many decimal digits always fit an i64, and a u64.
const SAFE_DIGITS: usize = 18;

impl Parser<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<Owned, Unfit> {
        let negative = self.peek() == Some(b'-');
        let first = self.at + usize::from(negative);
        let usual = Window::at(self.input, first).and_then(|window| window.usual());
        let (made, length) = match usual {
            Some(Usual::Whole { number, length }) => {
                let value = number as i64;
                (new_int(if negative { -value } else { value }), length)
            }
            Some(Usual::Fraction { digits, behind, length }) => {
                let Some(value) = decimal::to_float(digits, -(behind as i32)) else {
                    return self.odd_float();
                };
                (self.floats.make(if negative { -value } else { value }), length)
            }
            None => return self.odd_number(negative),
        };
        self.at = first + length;
        self.made(made)
    }

    /// Whatever begins like a number.
    #[inline(never)]
    fn odd_number(&mut self, negative: bool) -> Result<Owned, Unfit> {
        let text = &self.input[self.at..];
        let first = usize::from(negative);
        let (whole, count) = digits(&text[first..], 0);
        if count == 0 {
            return self.negative_infinity();
        }
        if count > 1 && text[first] == b'0' {
            return Err(Unfit);
        }
        let end = first + count;
        match text.get(end) {
            Some(b'.') => return self.odd_fraction(negative, whole, end),
            Some(b'e' | b'E') => return self.odd_float(),
            _ => {}
        }
        self.at += end;
        if count > SAFE_DIGITS {
            return self.long_int(&text[..end]);
        }
        let value = if negative { -(whole as i64) } else { whole as i64 };
        self.made(new_int(value))
    }

    /// A number with a point, before which `point` bytes hold the sign and the whole part.
    fn odd_fraction(&mut self, negative: bool, whole: u64, point: usize) -> Result<Owned, Unfit> {
        let text = &self.input[self.at..];
        let (all, count) = digits(&text[point + 1..], whole);
        if count == 0 {
            return Err(Unfit);
        }
        let end = point + 1 + count;
        // Zeros in front count as digits here, which sends some numbers the slow way.
        let exact = end - 1 - usize::from(negative) <= SAFE_DIGITS + 1;
        if !exact || matches!(text.get(end), Some(b'e' | b'E')) {
            return self.odd_float();
        }
        let Some(value) = decimal::to_float(all, -(count as i32)) else { return self.odd_float() };
        self.at += end;
        self.float(if negative { -value } else { value })
    }

    /// A float with an exponent, very many digits, or one that is hard to round.
    #[cold]
    fn odd_float(&mut self) -> Result<Owned, Unfit> {
        // An exponent without digits stays behind, and no value may be followed by it.
        let (value, length) =
            fast_float2::parse_partial::<f64, _>(&self.input[self.at..]).map_err(|_| Unfit)?;
        self.at += length;
        self.float(value)
    }

    fn float(&mut self, value: f64) -> Result<Owned, Unfit> {
        let float = self.floats.make(value);
        self.made(float)
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
        self.float(f64::NEG_INFINITY)
    }
}

#[inline]
fn new_int(value: i64) -> Owned {
    // SAFETY: making an int has no precondition but the interpreter, which runs while there is a parser.
    unsafe {
        // CPython makes the usual ones quicker of a long, which elsewhere may be shorter.
        match c_long::try_from(value) {
            Ok(value) => ffi::PyLong_FromLong(value),
            Err(_) => ffi::PyLong_FromLongLong(value),
        }
    }
}
