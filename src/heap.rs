//! Gives memory back that large bodies have left in the allocator. Their parts are freed by another thread
//! than the one that made them, and glibc keeps what lies between: a hundred megabytes on a small machine.

#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "nothing safe offers malloc_trim"))]

use std::sync::atomic::{AtomicBool, Ordering};

/// Less is taken again soon.
const LARGE: usize = 1 << 20;

static LEFT: AtomicBool = AtomicBool::new(false);

/// A body of so many bytes was freed.
pub(crate) fn freed(bytes: usize) {
    if bytes >= LARGE {
        LEFT.store(true, Ordering::Relaxed);
    }
}

/// Trims the allocator if there is something to trim; takes a few milliseconds then.
pub(crate) fn give_back() {
    if LEFT.swap(false, Ordering::Relaxed) {
        trim();
    }
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it takes a number, locks each arena while it looks at it, and touches free memory only.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}
