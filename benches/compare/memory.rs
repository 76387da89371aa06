//! Memory of a server with all its processes: the sum of their proportional set sizes, in which a
//! page that several processes share counts once. Memory that no process has mapped, such as
//! what lies in a socket, is not in it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const BETWEEN_SAMPLES: Duration = Duration::from_millis(20);

/// Runs `work` and samples meanwhile. In bytes.
pub(crate) fn peak_during<T>(root: u32, work: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(of_tree(root));
                thread::sleep(BETWEEN_SAMPLES);
            }
            peak
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, sampler.join().unwrap_or(0))
    })
}

pub(crate) fn of_tree(root: u32) -> u64 {
    tree(root).into_iter().filter_map(proportional_set_size).sum()
}

fn proportional_set_size(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The process, its descendants, and whoever else is in its process group.
fn tree(root: u32) -> Vec<u32> {
    let processes: Vec<Process> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Process::read(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect();
    let mut found = vec![root];
    let mut looked_at = 0;
    while let Some(&parent) = found.get(looked_at) {
        for process in &processes {
            let belongs = process.parent == parent || process.group == root;
            if belongs && !found.contains(&process.id) {
                found.push(process.id);
            }
        }
        looked_at += 1;
    }
    found
}

struct Process {
    id: u32,
    parent: u32,
    group: u32,
}

impl Process {
    /// The name before the fields that are wanted may hold spaces and brackets.
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let mut fields = text.rsplit_once(") ")?.1.split(' ').skip(1);
        Some(Self { id, parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
    }
}
