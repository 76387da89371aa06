//! Who goes first where worker and server want the same processor: the server, which needs it for
//! microseconds. Otherwise each request that is handed to a worker would interrupt the server before it
//! has handed out the next one.
#![expect(unsafe_code, reason = "rustix has no call for the scheduling policy")]

/// Makes this process, and what it starts, one that computes rather than answers. It gets no less time for
/// it; a system that does not take this is only slower.
pub(super) fn yield_to_the_server() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads the structure, which lives until it returns, and concerns this process alone.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}
