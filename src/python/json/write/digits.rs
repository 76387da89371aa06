//! Whole numbers in decimal, eight digits at a time: all of them are computed side by side in one word, and
//! the zeros in front shifted out, so that a number takes the same steps whatever its length.
#![expect(unsafe_code, reason = "digits are written to reserved memory, a word at a time")]

const EIGHT_DIGITS: u64 = 100_000_000;

/// The longest text, a sign and twenty digits, in whole words.
const ROOM: usize = 1 + 3 * 8;

pub(super) fn signed(out: &mut Vec<u8>, number: i64) {
    append(out, number < 0, number.unsigned_abs());
}

pub(super) fn unsigned(out: &mut Vec<u8>, number: u64) {
    append(out, false, number);
}

#[inline]
fn append(out: &mut Vec<u8>, negative: bool, number: u64) {
    out.reserve(ROOM);
    let end = out.len();
    // SAFETY: there is room for a sign and three words behind the end. No more words are written, each one
    // behind the text so far, and the bytes up to the last digit are set.
    unsafe {
        let start = out.as_mut_ptr().add(end);
        start.write(b'-');
        let start = start.add(usize::from(negative));
        let length = if number < EIGHT_DIGITS { first(start, number) } else { long(start, number) };
        out.set_len(end + usize::from(negative) + length);
    }
}

/// # Safety
/// There must be room for three words at `to`.
#[inline(never)]
unsafe fn long(to: *mut u8, number: u64) -> usize {
    let (high, low) = (number / EIGHT_DIGITS, number % EIGHT_DIGITS);
    // SAFETY: a u64 has at most twenty digits, so the recursion is one deep: at most four, eight and eight.
    unsafe {
        let length = if high < EIGHT_DIGITS { first(to, high) } else { long(to, high) };
        word(to.add(length), eight(low) | ZEROS);
        length + 8
    }
}

/// Writes a number below a hundred million and says how many digits it has.
///
/// # Safety
/// There must be room for a word at `to`.
#[inline]
unsafe fn first(to: *mut u8, number: u64) -> usize {
    let digits = eight(number);
    // The last digit is written even if it is a zero.
    let zeros = (digits | 1 << 56).trailing_zeros() & !7;
    // SAFETY: as the caller promises.
    unsafe { word(to, (digits | ZEROS) >> zeros) };
    8 - zeros as usize / 8
}

/// # Safety
/// There must be room for a word at `to`.
#[inline]
unsafe fn word(to: *mut u8, word: u64) {
    // SAFETY: as the caller promises; arrays of bytes need no alignment.
    unsafe { to.cast::<[u8; 8]>().write(word.to_le_bytes()) };
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// A number below a hundred million as eight digits, one a byte, the first one lowest: it is split into
/// fours, those into pairs, and those into digits. Dividing is multiplying by a little more than the reciprocal,
/// which is exact for numbers so small.
#[inline]
fn eight(number: u64) -> u64 {
    let fours = (number / 10_000) | (number % 10_000) << 32;
    let hundreds = ((fours * 5243) >> 19) & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (pairs - tens * 10) << 8
}

#[cfg(test)]
mod tests {
    fn check(number: i64) {
        let mut out = b"before".to_vec();
        super::signed(&mut out, number);
        super::unsigned(&mut out, number.unsigned_abs());
        assert_eq!(out, format!("before{number}{}", number.unsigned_abs()).as_bytes());
    }

    #[test]
    fn numbers_of_all_lengths_are_written_as_the_standard_library_does() {
        for exponent in 0..19 {
            let power = 10_i64.pow(exponent);
            for number in [power - 1, power, power + 1, power * 9, power / 7 * 5] {
                check(number);
                check(-number);
            }
        }
        for number in [0, i64::MIN, i64::MAX] {
            check(number);
        }
        let mut out = Vec::new();
        super::unsigned(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().as_bytes());
    }

    #[test]
    fn all_fours_and_many_eights_are_right() {
        for number in (0..10_000).chain((0..100_000_000).step_by(9973)) {
            check(number);
        }
    }
}
