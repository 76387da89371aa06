//! Who runs first where processors are short. The kernel lets what wakes up interrupt what runs. A worker, woken by its
//! request, would so take the processor from the front or a client in the middle of the next one; and to have
//! another processor interrupted takes longer than a tiny call. What is scheduled as a batch job has the same share
//! of the time, but waits until a processor is free, or its turn has come.
#![expect(unsafe_code, reason = "no safe wrapper has sched_setscheduler")]

use std::mem::zeroed;

/// Has this thread, and what it starts from now on, interrupt nobody when it wakes up. Where the kernel does not
/// allow that, everything is only slower.
pub(crate) fn interrupt_nobody() {
    // SAFETY: the parameters are integers, for which zero is a value: the one that this policy asks for. The calls
    // concern nothing but how this thread is scheduled.
    unsafe {
        // Whoever chose another policy for the server knows why.
        if libc::sched_getscheduler(0) == libc::SCHED_OTHER {
            libc::sched_setscheduler(0, libc::SCHED_BATCH, &zeroed());
        }
    }
}
