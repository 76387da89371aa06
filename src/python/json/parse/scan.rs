//! Looks through text eight bytes at a time. Each function returns how many bytes at the start are
//! not of the kind it looks for.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Up to the first quote, backslash, control character or byte that is not ASCII.
#[inline]
pub(super) fn plain(text: &[u8]) -> usize {
    first(text, plain_flags, |byte| !(0x20..0x80).contains(&byte) || byte == b'"' || byte == b'\\')
}

/// The same in a text of eight bytes.
#[inline]
pub(super) fn plain_of(text: [u8; 8]) -> usize {
    ((plain_flags(u64::from_le_bytes(text)) & HIGH).trailing_zeros() / 8) as usize
}

/// A flag may be wrong only above a byte that is rightly flagged, and the lowest one counts.
#[inline]
fn plain_flags(word: u64) -> u64 {
    word | word.wrapping_sub(ONES * 0x20) | equal(word, b'"') | equal(word, b'\\')
}

/// Up to the first quote, backslash or control character.
#[inline]
pub(super) fn within_string(text: &[u8]) -> usize {
    first(
        text,
        |word| !word & (word.wrapping_sub(ONES * 0x20) | equal(word, b'"') | equal(word, b'\\')),
        |byte| byte < 0x20 || byte == b'"' || byte == b'\\',
    )
}

#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES)
}

#[inline]
fn first(text: &[u8], flags: impl Fn(u64) -> u64, special: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let flagged = flags(u64::from_le_bytes(*chunk)) & HIGH;
        if flagged != 0 {
            return at + (flagged.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    text[at..].iter().position(|&byte| special(byte)).map_or(text.len(), |found| at + found)
}
