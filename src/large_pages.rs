//! Large pages for large buffers: a megabyte of fresh memory costs 256 page faults of the usual size and
//! one of the large. It is advice, which a kernel may ignore; what is in the memory never changes.
#![expect(unsafe_code, reason = "advice about memory has no safe interface")]

use std::mem::MaybeUninit;

use rustix::mm::Advice;

/// What the kernels of x86-64 and of most others use.
pub(crate) const LARGE: usize = 2 << 20;

/// Smaller buffers hold too few whole large pages.
const WORTH_IT: usize = 2 * LARGE;

/// Asks for large pages where a buffer, or the spare part of one, is yet to be filled.
pub(crate) fn prefer(buffer: &mut [MaybeUninit<u8>]) {
    if buffer.len() < WORTH_IT {
        return;
    }
    let start = buffer.as_mut_ptr();
    let before = start.align_offset(LARGE);
    let length = buffer.len().saturating_sub(before) & !(LARGE - 1);
    // SAFETY: the range lies inside a buffer that the caller holds alone, and this advice changes no
    // byte of it. A refusal means small pages, which work as well.
    let _ = unsafe { rustix::mm::madvise(start.add(before).cast(), length, Advice::LinuxHugepage) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_changes_nothing_that_is_written() {
        let mut buffer: Vec<u8> = Vec::with_capacity(5 * LARGE + 12345);
        buffer.extend_from_slice(b"before");
        prefer(buffer.spare_capacity_mut());
        buffer.resize(5 * LARGE, b'x');
        prefer(buffer.spare_capacity_mut());
        assert!(buffer.starts_with(b"before") && buffer[6..].iter().all(|byte| *byte == b'x'));
    }
}
