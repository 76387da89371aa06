//! Sixteen bytes at once: which of them are digits, and which number the last of them spell. Every processor of
//! the x86-64 kind has the instructions for it; others take them eight at a time.

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(not(target_arch = "x86_64"))]
pub(super) use portable::{digits, number};
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{digits, number};

/// Sixteen bytes from the place that is the number of those to keep are a mask for the last ones.
const KEEP: [u8; 32] = {
    let mut mask = [0; 32];
    let mut at = 16;
    while at < 32 {
        mask[at] = 0xff;
        at += 1;
    }
    mask
};

#[inline]
fn keep(last: usize) -> &'static [u8; 16] {
    const ALL: &[u8; 16] = &[0xff; 16];
    KEEP[last..].first_chunk().unwrap_or(ALL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_find_the_same_digits(text: [u8; 16]) {
            prop_assert_eq!(sse2::digits(&text), portable::digits(&text));
            for (place, byte) in text.iter().enumerate() {
                prop_assert_eq!(portable::digits(&text) >> place & 1 == 1, byte.is_ascii_digit());
            }
        }

        #[test]
        fn both_ways_read_the_same_number(number in 0..10_u64.pow(16), last in 0..=16_usize) {
            let text: [u8; 16] = format!("{number:016}").into_bytes().try_into().unwrap();
            let expected = number % 10_u64.pow(last as u32);
            prop_assert_eq!(super::number(&text, last), expected);
            prop_assert_eq!(portable::number(&text, last), expected);
        }

        #[test]
        fn what_is_before_the_last_bytes_does_not_matter(mut text: [u8; 16], last in 0..=16_usize) {
            for byte in &mut text[16 - last..] {
                *byte = b'0' + *byte % 10;
            }
            prop_assert_eq!(super::number(&text, last), portable::number(&text, last));
        }
    }
}
