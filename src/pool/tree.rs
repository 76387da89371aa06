//! A worker's process tree, as /proc shows it: who belongs to it and what memory it holds.

use std::fs;

/// The process and all that descend from it; the process itself first.
pub(super) fn of(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children(parent));
        next += 1;
    }
    found
}

/// Bytes of memory, without files that are mapped from a disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// Nobody else's.
    pub(super) own: u64,
    /// In files of a file system in memory.
    pub(super) shared: u64,
}

impl Memory {
    pub(super) fn sum(self) -> u64 {
        self.own + self.shared
    }
}

/// What the tree holds for itself: memory that is shared with the fork server is not counted
/// when the tree is more than its root, and is the baseline when it is not.
pub(super) fn memory(tree: &[i32]) -> Memory {
    if let [only] = tree {
        return look(*only).memory;
    }
    let each = tree.iter().map(|pid| proportional(*pid).unwrap_or_else(|| look(*pid).memory));
    each.fold(Memory::default(), |sum, one| Memory {
        own: sum.own + one.own,
        shared: sum.shared + one.shared,
    })
}

/// One process at one moment.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Look {
    pub(super) memory: Memory,
    /// Whether it was stopped by a signal.
    pub(super) stopped: bool,
}

pub(super) fn look(pid: i32) -> Look {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let memory = Memory { own: sum_of(&status, &["RssAnon:"]), shared: sum_of(&status, &["RssShmem:"]) };
    let state = status.lines().find_map(|line| line.strip_prefix("State:"));
    Look { memory, stopped: state.is_some_and(|state| state.trim_start().starts_with('T')) }
}

/// The same with what several processes share divided among them.
fn proportional(pid: i32) -> Option<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(Memory { own: sum_of(&rollup, &["Pss_Anon:"]), shared: sum_of(&rollup, &["Pss_Shmem:"]) })
}

/// Adds up the lines that begin so; the kernel counts in kB.
fn sum_of(text: &str, names: &[&str]) -> u64 {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let name = words.next()?;
            names.contains(&name).then(|| words.next()?.parse::<u64>().ok()).flatten()
        })
        .sum::<u64>()
        << 10
}

/// A process's children, of whichever of its threads.
fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}
