//! Copies short texts, of which bodies and answers are made. Most have hardly more than twenty characters, and
//! a call of the C library to copy so few takes longer than the copying.
#![expect(unsafe_code, reason = "a few bytes are copied without asking how many at each")]

/// The longest text that is copied here.
const LONGEST: usize = 32;

/// Appends a text between quotes.
#[inline]
pub(super) fn quote(out: &mut Vec<u8>, text: &[u8]) {
    let length = text.len();
    out.reserve(length + 2);
    let end = out.len();
    // SAFETY: there is room for the text and two quotes behind the end, all of which is set. Source and target
    // are apart: `text` is borrowed, `out` held alone.
    unsafe {
        let start = out.as_mut_ptr().add(end);
        start.write(b'"');
        copy(text.as_ptr(), start.add(1), length);
        start.add(1 + length).write(b'"');
        out.set_len(end + length + 2);
    }
}

/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`].
#[inline]
pub(super) unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: both copies of each branch lie inside the first `length` bytes of source and target and together
    // cover them, overlapping where the length is not twice the step.
    unsafe {
        if length > LONGEST {
            std::ptr::copy_nonoverlapping(from, to, length);
        } else if length >= 16 {
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
    fn texts_of_all_lengths_are_copied_whole() {
        let text: Vec<u8> = (0..100).collect();
        for length in 0..text.len() {
            let mut out = Vec::new();
            for start in 0..text.len() - length {
                let before = out.clone();
                let copied = &text[start..start + length];
                super::quote(&mut out, copied);
                assert_eq!(out, [&before, b"\"".as_slice(), copied, b"\""].concat());
            }
        }
    }
}
