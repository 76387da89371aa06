//! Large pages for large buffers: a megabyte of fresh memory costs 256 page faults of the usual size and
//! one of the large. It is advice, which a kernel may ignore; what is in the memory never changes.
#![expect(unsafe_code, reason = "advice about memory has no safe interface")]

use std::mem::MaybeUninit;

use rustix::mm::Advice;

/// From the kernel's headers; the libc crate has it for one C library only.
const COLLAPSE: libc::c_int = 25;

/// A stretch with more holes than this would grow by being gathered.
const HOLES: usize = 8;

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

/// Lays what this process holds already in large pages, where it is as good as full: copying the process and
/// ending the copy then take a fraction of the time. A kernel before 6.1 does not know how.
pub(crate) fn gather() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (from, to) in maps.lines().filter_map(own_memory) {
        let first = from.next_multiple_of(LARGE);
        for start in (first..to & !(LARGE - 1)).step_by(LARGE) {
            if is_full(start) {
                // SAFETY: the range is one that the kernel has just named, of a process with a single thread, and
                // the call moves its bytes to other memory without changing any. A refusal changes nothing.
                unsafe { libc::madvise(start as *mut libc::c_void, LARGE, COLLAPSE) };
            }
        }
    }
}

/// Where a line of `/proc/self/maps` is about memory that is no file's and that one may write to.
fn own_memory(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights) = (words.next()?, words.next()?);
    let file = words.nth(2)?;
    if rights != "rw-p" || file != "0" || words.next().is_some_and(|name| name != "[heap]") {
        return None;
    }
    let (from, to) = range.split_once('-')?;
    Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
}

/// Whether hardly a page of a large page's stretch is missing. Where pages are larger than usual, so are the large
/// ones, and none of this size is.
fn is_full(start: usize) -> bool {
    let mut there = [0; LARGE / 4096];
    // SAFETY: the kernel writes one byte for each page of the range, and no page is smaller than that; what is asked about
    // need not even be mapped.
    let known = unsafe { libc::mincore(start as *mut libc::c_void, LARGE, there.as_mut_ptr()) } == 0;
    let missing = there.iter().filter(|page| **page & 1 == 0).count();
    known && missing * HOLES <= there.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_stays_what_it_was() {
        let buffer: Vec<u8> = (0..5 * LARGE).map(|place| (place / 4096) as u8).collect();
        gather();
        assert!(buffer.iter().enumerate().all(|(place, byte)| *byte == (place / 4096) as u8));
    }

    #[test]
    fn only_own_memory_is_gathered() {
        let heap = "5579a000-557b0000 rw-p 00000000 00:00 0                     [heap]";
        assert_eq!(own_memory(heap), Some((0x5579_a000, 0x557b_0000)));
        assert_eq!(own_memory("7f00-8f00 rw-p 00000000 00:00 0 "), Some((0x7f00, 0x8f00)));
        for other in [
            "7f00-8f00 r--p 00000000 00:00 0 ",
            "7f00-8f00 rw-s 00000000 00:01 1025 /dev/zero (deleted)",
            "7f00-8f00 rw-p 00000000 00:00 0 [stack]",
            "7f00-8f00 rw-p 00001000 fe:00 123 /usr/lib/libc.so.6",
        ] {
            assert_eq!(own_memory(other), None, "{other}");
        }
    }

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
