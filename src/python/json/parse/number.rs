//! Numbers: ints of any size, floats exactly as Python's `float()` rounds them. Digits are read eight at a
//! time. The grammar is JSON's; what `fast-float2`, which has the odd ones, would accept beyond it (`1.`,
//! `.5`, `+1`, leading zeros) is refused.
#![expect(unsafe_code, reason = "numbers are made through CPython's C API")]

use std::ffi::CString;

use pyo3::ffi;

use super::{Owned, Parser, Unfit, decimal};

/// So many decimal digits always fit an i64, and a u64.
const SAFE_DIGITS: usize = 18;

impl Parser<'_, '_> {
    #[inline]
    pub(super) fn number(&mut self) -> Result<Owned, Unfit> {
        let text = &self.input[self.at..];
        let negative = text[0] == b'-';
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
            Some(b'.') => return self.fraction(negative, whole, end),
            Some(b'e' | b'E') => return self.odd_float(),
            _ => {}
        }
        self.at += end;
        if count > SAFE_DIGITS {
            return self.long_int(&text[..end]);
        }
        let value = if negative { -(whole as i64) } else { whole as i64 };
        // SAFETY: making an int has no precondition but the running interpreter.
        self.made(unsafe { ffi::PyLong_FromLongLong(value) })
    }

    /// A number with a point, before which `point` bytes hold the sign and the whole part.
    #[inline]
    fn fraction(&mut self, negative: bool, whole: u64, point: usize) -> Result<Owned, Unfit> {
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
        // SAFETY: making a float has no precondition but the running interpreter.
        self.made(unsafe { ffi::PyFloat_FromDouble(if negative { -value } else { value }) })
    }

    /// A float with an exponent, very many digits, or one that is hard to round.
    #[cold]
    fn odd_float(&mut self) -> Result<Owned, Unfit> {
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

/// Appends the digits at the start of a text to a number. Says how many there were; with more than
/// nineteen in all the number is nonsense.
#[inline]
fn digits(text: &[u8], number: u64) -> (u64, usize) {
    const POWERS: [u64; 9] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let mut number = number;
    let mut count = 0;
    while let Some(chunk) = text.get(count..).and_then(<[u8]>::first_chunk::<8>) {
        // A digit becomes its value, and everything else more than nine.
        let values = u64::from_le_bytes(*chunk) ^ 0x3030_3030_3030_3030;
        let others =
            (((values & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
        let found = (others.trailing_zeros() / 8) as usize;
        if found == 0 {
            return (number, count);
        }
        // What follows the digits is shifted out, and zeros come in before them.
        let value = eight(values << (64 - 8 * found));
        number = number.wrapping_mul(POWERS[found]).wrapping_add(value);
        count += found;
        if found < 8 {
            return (number, count);
        }
    }
    while let Some(digit @ b'0'..=b'9') = text.get(count) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        count += 1;
    }
    (number, count)
}

/// Eight digits, one a byte, the first one lowest, as the number that they spell: neighbours are joined to
/// pairs, those to fours, and those to eight.
#[inline]
fn eight(digits: u64) -> u64 {
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}
