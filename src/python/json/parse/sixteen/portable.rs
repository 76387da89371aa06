use crate::python::json::parse::digits::{eight, others, values};

/// A bit for each byte, the first one lowest, that tells whether it is a digit.
#[inline]
pub(crate) fn digits(text: &[u8; 16]) -> u32 {
    // Each byte's highest bit is moved to its place in the highest byte.
    let bits = |word: u64| (others(values(word)).wrapping_mul(0x0002_0408_1020_4081) >> 56) as u32;
    let [low, high] = words(text);
    !(bits(low) | bits(high) << 8) & 0xffff
}

/// The number that the last so many bytes spell, which must be digits.
#[inline]
pub(crate) fn number(text: &[u8; 16], last: usize) -> u64 {
    let [first, second] = words(text);
    let [keep_first, keep_second] = words(super::keep(last));
    eight(values(first) & keep_first) * 100_000_000 + eight(values(second) & keep_second)
}

#[inline]
fn words(bytes: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*bytes);
    [both as u64, (both >> 64) as u64]
}
