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

/// Bytes that the tree holds for itself. What is shared within it counts once where it is more than its root.
pub(super) fn memory(tree: &[i32]) -> u64 {
    match tree {
        [only] => of_one(*only),
        several => several.iter().map(|pid| proportional(*pid).unwrap_or_else(|| of_one(*pid))).sum(),
    }
}

/// Anonymous and shared memory of one process, in bytes, without files that it maps.
fn of_one(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    sum_of(&status, &["RssAnon:", "RssShmem:"])
}

/// The same with what several processes share divided among them.
fn proportional(pid: i32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(sum_of(&rollup, &["Pss_Anon:", "Pss_Shmem:"]))
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

/// Whether a process was stopped by a signal, or by a debugger.
pub(super) fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may hold anything, also parentheses.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']))
}

/// Bytes that the machine, or the container, can still give.
pub(super) fn available() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let machine = sum_of(&machine, &["MemAvailable:"]);
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let container = |limit: &str, used: &str, statistics: &str, name: &str| {
        let statistics = fs::read_to_string(statistics).unwrap_or_default();
        // Files that were read and may be forgotten count as used, but can be had back.
        let reclaimable =
            statistics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(reclaimable.unwrap_or(0))))
    };
    let of_v2 = container(
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file ",
    );
    let of_v1 = container(
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file ",
    );
    of_v2.or(of_v1).map_or(machine, |container| container.min(machine))
}
