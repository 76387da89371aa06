#![expect(unsafe_code, reason = "the compiler takes no processor's instructions for granted")]

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_cvtsi128_si64, _mm_loadu_si128, _mm_madd_epi16, _mm_min_epu8,
    _mm_movemask_epi8, _mm_mullo_epi16, _mm_packs_epi32, _mm_set1_epi8, _mm_set1_epi16, _mm_set1_epi32,
    _mm_srli_epi16, _mm_sub_epi8,
};

/// A bit for each byte, the first one lowest, that tells whether it is a digit.
#[inline]
pub(crate) fn digits(text: &[u8; 16]) -> u32 {
    // SAFETY: every processor of this kind has SSE2.
    unsafe {
        let values = values(text);
        let are_digits = _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values);
        _mm_movemask_epi8(are_digits) as u32
    }
}

/// The number that the last so many bytes spell, which must be digits.
#[inline]
pub(crate) fn number(text: &[u8; 16], last: usize) -> u64 {
    // SAFETY: as above.
    let eights = unsafe {
        // Neighbours are joined to pairs, those to fours, and those to eights.
        let digits = _mm_and_si128(values(text), load(super::keep(last)));
        let pairs = _mm_srli_epi16(_mm_mullo_epi16(digits, _mm_set1_epi16(10 * 256 + 1)), 8);
        let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
        let eights = _mm_madd_epi16(_mm_packs_epi32(fours, fours), _mm_set1_epi32(10_000 | 1 << 16));
        _mm_cvtsi128_si64(eights) as u64
    };
    (eights & 0xffff_ffff) * 100_000_000 + (eights >> 32)
}

#[inline]
#[target_feature(enable = "sse2")]
fn values(text: &[u8; 16]) -> __m128i {
    _mm_sub_epi8(load(text), _mm_set1_epi8(b'0' as i8))
}

#[inline]
#[target_feature(enable = "sse2")]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: sixteen bytes are there, and this way to load them asks for no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
