//! Limits that the kernel enforces on a worker and, one by one, on what it starts. They make a script
//! fail in its own words (`MemoryError`, `OSError`) where the pool could only end it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::wire::Setup;

/// Files that a script may have open.
const OPEN_FILES: u64 = 1024;

/// Allocators reserve more than they use, and so does each thread's stack.
const LEAST_HEADROOM: u64 = 256 << 20;

/// Narrows the process's limits; for the last moment before the first script.
pub(super) fn set(setup: &Setup) {
    let memory = setup.worker_memory_bytes;
    let data = data_in_use() + memory + LEAST_HEADROOM.max(memory / 2);
    for (resource, most) in [
        (Resource::Data, data),
        (Resource::Fsize, setup.script_disk_bytes),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Core, 0),
    ] {
        let hard = getrlimit(resource).maximum;
        let most = hard.map_or(most, |hard| hard.min(most));
        // A limit that cannot be set is one that the pool's own measuring has to make up for.
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
}

/// What counts towards the limit already.
fn data_in_use() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kilobytes = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) << 10
}
