//! What a worker, or the fork server for all that it will make, is told before anything else. It is said
//! once: nothing that a request brings is in it.

use std::path::PathBuf;

use super::Confinement;

/// The first thing that a worker hears.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Setup {
    pub protocol: u32,
    /// The Python executable whose packages scripts see.
    pub python: String,
    /// Modules that are imported before the first request.
    pub preload: Vec<String>,
    /// Modules that each worker imports for itself, because they leave threads behind that a copy
    /// of the process would lack.
    pub import_in_worker: Vec<String>,
    /// An answer longer than this is refused.
    pub max_response_bytes: usize,
    /// What a script may use of memory, and write to one file.
    pub worker_memory_bytes: u64,
    pub script_disk_bytes: u64,
    pub confinement: Confinement,
    /// The folder for temporary files of the process that reads this.
    pub folder: PathBuf,
    /// Where deployed functions are; see [`crate::catalogue`].
    pub catalogue: PathBuf,
}

impl Setup {
    /// How much empty memory a worker keeps for its next large request: little of what a script may use.
    pub fn kept_bytes(&self) -> usize {
        const MOST: u64 = 128 << 20;
        (self.worker_memory_bytes / 8).min(MOST) as usize
    }
}
