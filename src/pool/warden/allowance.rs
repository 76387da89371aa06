//! What a script may take, with its whole process tree, and the words for one that took more.

/// How much memory the machine, or the container, keeps for others.
const SPARE: std::ops::RangeInclusive<u64> = 24 << 20..=256 << 20;

/// A script that takes less than this is not what fills the machine.
const LEAST: u64 = 48 << 20;

#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// `TABPY_WORKER_MEMORY_MB`, above what the worker was born with.
    pub memory_bytes: u64,
    /// `TABPY_SCRIPT_PROCESSES`, the worker not counted.
    pub processes: usize,
    /// `TABPY_SCRIPT_DISK_MB`
    pub disk_bytes: u64,
    /// When less memory than this is left for all, the script with the most of it is ended,
    pub(super) spare_bytes: u64,
    /// unless it has less than this.
    pub(super) least_bytes: u64,
}

impl Allowance {
    /// `total` is the memory there is for everything.
    pub fn new(memory_bytes: u64, processes: usize, disk_bytes: u64, total: u64) -> Self {
        let spare_bytes = (total / 20).clamp(*SPARE.start(), *SPARE.end());
        Self { memory_bytes, processes, disk_bytes, spare_bytes, least_bytes: LEAST }
    }

    pub(super) fn too_many_processes(&self) -> String {
        format!(
            "The script ran more than {} processes at once, the limit of TABPY_SCRIPT_PROCESSES, so it was ended. Use \
             fewer (n_jobs, processes=), or raise that setting.",
            self.processes
        )
    }

    pub(super) fn too_much_memory(&self) -> String {
        format!(
            "MemoryError : the script used more than {} MB of memory, the limit of TABPY_WORKER_MEMORY_MB, so it was \
             ended. Work on fewer rows at a time, or raise that setting if the machine has more.",
            self.memory_bytes >> 20
        )
    }

    pub(super) fn too_much_disk(&self) -> String {
        format!(
            "OSError : the script kept more than {} MB in temporary files, the limit of TABPY_SCRIPT_DISK_MB, so it was \
             ended. A file counts as 4 KB at least. Write less or remove files earlier, or raise that setting.",
            self.disk_bytes >> 20
        )
    }
}

pub(super) const TOO_DEEP: &str = "OSError : the script's temporary files lie in folders more than 100 deep, where \
                                   TABPY_SCRIPT_DISK_MB cannot be measured, so it was ended. Use fewer folders.";

/// For the script that had the most memory when all was about to be used up.
pub(super) fn all_used_up(bytes: u64) -> String {
    format!(
        "MemoryError : the server was about to run out of memory, and this script used the most of it ({} MB), so it was \
         ended. Try again, work on fewer rows at a time, or give the server more memory; TABPY_MAX_WORKERS limits how many \
         scripts run at once.",
        bytes >> 20
    )
}
