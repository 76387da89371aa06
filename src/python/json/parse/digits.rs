//! Decimal digits as numbers. Columns of numbers differ in how many digits they have, so the usual ones take the
//! same steps whatever their length: a wrong guess of the processor costs more. The others are read by words.

use std::hint::select_unpredictable;

use super::sixteen;

/// So many digits always fit a u64.
const SAFE_DIGITS: usize = 19;

const POWERS: [u64; SAFE_DIGITS + 1] = {
    let mut powers = [1; SAFE_DIGITS + 1];
    let mut exponent = 1;
    while exponent <= SAFE_DIGITS {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// What lies around the first digit of a number, as far as it may have to be read.
pub(super) struct Window<'a>(&'a [u8; BEFORE + BEHIND]);

/// Digits are read together with what is before them.
const BEFORE: usize = 16;
const BEHIND: usize = 32;

/// A number of the usual kind, its sign and what comes after it aside.
pub(super) enum Usual {
    Whole {
        number: u64,
        length: usize,
    },
    /// All digits without the point, how many were behind that, and how long the text is.
    Fraction {
        digits: u64,
        behind: usize,
        length: usize,
    },
}

impl<'a> Window<'a> {
    #[inline]
    pub(super) fn at(input: &'a [u8], first: usize) -> Option<Self> {
        let before = first.checked_sub(BEFORE)?;
        input.get(before..)?.first_chunk().map(Self)
    }

    /// None, if it is no number or one that has to be looked at more closely.
    #[inline(always)]
    pub(super) fn usual(&self) -> Option<Usual> {
        let [_, first, second] = self.0.as_chunks::<16>().0 else { return None };
        let others = !(sixteen::digits(first) | sixteen::digits(second) << 16);
        let count = others.trailing_zeros() as usize;
        let leading_zero = self.byte(0) == b'0';
        if count == 0 || count > 16 || leading_zero && count > 1 {
            return None;
        }
        match self.byte(count) {
            b'.' => {}
            b'e' | b'E' => return None,
            _ => return Some(Usual::Whole { number: self.number(count, count)?, length: count }),
        }
        // The bit of the point is the lowest one.
        let length = (others & (others - 1)).trailing_zeros() as usize;
        let behind = length.wrapping_sub(count + 1);
        // Zeros before the first other digit are counted with a fraction only.
        let all = behind + if leading_zero { 0 } else { count };
        if length == 32 || behind == 0 || all > SAFE_DIGITS || matches!(self.byte(length), b'e' | b'E') {
            return None;
        }
        // A fraction of more than sixteen digits is cut in two, if only a zero is before the point. Whether it is
        // so long changes from number to number.
        let cut = behind.saturating_sub(16);
        let long = cut > 0;
        if long & !leading_zero {
            return None;
        }
        let (end, last) = select_unpredictable(long, (length.wrapping_sub(16), cut), (count, count));
        let high = self.number(end, last)?;
        let low = self.number(length, behind - cut)?;
        Some(Usual::Fraction { digits: high * POWERS[behind - cut] + low, behind, length })
    }

    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.0[BEFORE + at]
    }

    /// The last so many digits before a place.
    #[inline(always)]
    fn number(&self, end: usize, last: usize) -> Option<u64> {
        let text = self.0.get(BEFORE + end - 16..)?.first_chunk()?;
        Some(sixteen::number(text, last))
    }
}

/// Appends the digits at the start of a text to a number. Says how many there were; with more than
/// nineteen in all the number is nonsense.
#[inline]
pub(super) fn digits(text: &[u8], number: u64) -> (u64, usize) {
    let mut number = number;
    let mut count = 0;
    while let Some(chunk) = text.get(count..).and_then(<[u8]>::first_chunk::<8>) {
        let values = values(u64::from_le_bytes(*chunk));
        // What follows the digits is shifted out, and zeros come in before them.
        let found = (others(values).trailing_zeros() / 8) as usize;
        if found == 0 {
            return (number, count);
        }
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

/// Eight characters, with digits as their values.
#[inline]
pub(super) fn values(word: u64) -> u64 {
    word ^ 0x3030_3030_3030_3030
}

/// The highest bit of each byte that is above nine.
#[inline]
pub(super) fn others(values: u64) -> u64 {
    (((values & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080
}

/// Eight digits, one a byte, the first one lowest, as the number that they spell: neighbours are joined to
/// pairs, those to fours, and those to eight.
#[inline]
pub(super) fn eight(digits: u64) -> u64 {
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}
