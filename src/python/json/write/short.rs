//! Appends the short texts of which an answer is made. Numbers have hardly more than twenty characters, and
//! a call of the C library to copy so few takes longer than the copying.
#![expect(unsafe_code, reason = "a few bytes are copied without asking how many at each")]

/// The longest text that is copied here.
const LONGEST: usize = 32;

#[inline]
pub(super) fn append(out: &mut Vec<u8>, text: &[u8]) {
    let length = text.len();
    if length > LONGEST {
        out.extend_from_slice(text);
        return;
    }
    out.reserve(LONGEST);
    let end = out.len();
    // SAFETY: there is room for the longest text, which this one is not above, behind the end; both copies of
    // each branch lie inside the first `length` bytes of source and target and together cover them, overlapping
    // where the length is not twice the step. Source and target are apart: `text` is borrowed, `out` held alone.
    unsafe {
        let from = text.as_ptr();
        let to = out.as_mut_ptr().add(end);
        if length >= 16 {
            twice::<16>(from, to, length);
        } else if length >= 8 {
            twice::<8>(from, to, length);
        } else if length >= 4 {
            twice::<4>(from, to, length);
        } else {
            for index in 0..length {
                *to.add(index) = *from.add(index);
            }
        }
        out.set_len(end + length);
    }
}

/// Copies the first and the last so many bytes of a text.
///
/// # Safety
/// The text must be at least `STEP` and at most twice as long, and there must be room for it at `to`.
#[inline]
unsafe fn twice<const STEP: usize>(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: as the caller promises; arrays of bytes need no alignment.
    unsafe {
        let first = from.cast::<[u8; STEP]>().read();
        let last = from.add(length - STEP).cast::<[u8; STEP]>().read();
        to.cast::<[u8; STEP]>().write(first);
        to.add(length - STEP).cast::<[u8; STEP]>().write(last);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn texts_of_all_lengths_are_appended_whole() {
        let text: Vec<u8> = (0..100).collect();
        for length in 0..text.len() {
            let mut out = Vec::new();
            for start in 0..text.len() - length {
                let before = out.clone();
                super::append(&mut out, &text[start..start + length]);
                assert_eq!(out, [before, text[start..start + length].to_vec()].concat());
            }
        }
    }
}
