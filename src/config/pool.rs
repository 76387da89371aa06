//! How many workers there are, how many requests may wait for one, and what a script may take. Where the
//! operator does not say, `sizing` does, by the machine's memory and processors.

use super::raw::Raw;
use super::sources::Sources;
use super::values::Value;
use super::{Machine, sizing};

#[derive(Debug)]
pub struct Pool {
    /// `TABPY_WORKERS` or `WEB_CONCURRENCY`
    pub workers: usize,
    /// `TABPY_MAX_WORKERS`; never less than `workers`.
    pub max_workers: usize,
    /// `TABPY_QUEUE_SIZE`
    pub queue_size: usize,
    /// `TABPY_MAX_RESPONSE_SIZE_MB`
    pub max_response_bytes: usize,
    /// `TABPY_SCRIPT_OUTPUT_KB`
    pub script_output_bytes: usize,
    /// `TABPY_WORKER_REQUESTS`
    pub worker_requests: u64,
    /// `TABPY_WORKER_MEMORY_MB`
    pub worker_memory_bytes: u64,
    /// `TABPY_SCRIPT_DISK_MB`
    pub script_disk_bytes: u64,
    /// `TABPY_SCRIPT_PROCESSES`
    pub script_processes: usize,
}

pub(super) fn pool(sources: &Sources, raw: &Raw, machine: &Machine) -> anyhow::Result<Pool> {
    /// More processes than any machine wants; a slip of the pen should not fork bomb.
    const MOST_WORKERS: u64 = 4096;
    let value = |name, text| Value::new(sources, name, text);
    let own = value("TABPY_WORKERS", &raw.tabpy_workers).count(1, MOST_WORKERS)?;
    let platform = value("WEB_CONCURRENCY", &raw.web_concurrency);
    let max_value = value("TABPY_MAX_WORKERS", &raw.tabpy_max_workers);
    let max = max_value.count(1, MOST_WORKERS)?;
    let workers = match own {
        Some(own) => own,
        None => {
            let fitting = sizing::workers(machine.memory, machine.cores);
            platform.count(1, MOST_WORKERS)?.unwrap_or(fitting).min(max.unwrap_or(usize::MAX))
        }
    };
    let max_workers = max.unwrap_or_else(|| sizing::most_workers(machine.memory, workers));
    if max_workers < workers {
        return Err(max_value.wrong(&format!("a number no smaller than TABPY_WORKERS, which is {workers}")));
    }
    Ok(Pool {
        workers,
        max_workers,
        queue_size: value("TABPY_QUEUE_SIZE", &raw.tabpy_queue_size).count(1, 1_000_000)?.unwrap_or(1000),
        max_response_bytes: value("TABPY_MAX_RESPONSE_SIZE_MB", &raw.tabpy_max_response_size_mb)
            .bytes(256, 1024 * 1024)?,
        script_output_bytes: value("TABPY_SCRIPT_OUTPUT_KB", &raw.tabpy_script_output_kb).bytes(64, 1024)?,
        worker_requests: value("TABPY_WORKER_REQUESTS", &raw.tabpy_worker_requests)
            .integer(1, u64::MAX)?
            .unwrap_or(100_000),
        worker_memory_bytes: value("TABPY_WORKER_MEMORY_MB", &raw.tabpy_worker_memory_mb)
            .integer(16, 1 << 24)?
            .map_or_else(|| sizing::for_a_worker(machine.memory), |megabytes| megabytes << 20),
        script_disk_bytes: value("TABPY_SCRIPT_DISK_MB", &raw.tabpy_script_disk_mb)
            .integer(1, 1 << 24)?
            .unwrap_or(512)
            << 20,
        script_processes: value("TABPY_SCRIPT_PROCESSES", &raw.tabpy_script_processes)
            .count(0, 100_000)?
            .unwrap_or(64),
    })
}
