//! How much memory there is: the machine's, or the container's where that is less.

/// A container without a limit says so with a number beyond any machine.
const NO_LIMIT: u64 = 1 << 40;

/// What the front, the fork server and the system below need of a small container.
const OWN: u64 = 160 << 20;

/// What one worker may take where nothing is set: half of what there is for scripts, so that one
/// large script does not end the others.
pub(super) fn for_a_worker(total: u64) -> u64 {
    (total.saturating_sub(OWN) / 2).max(64 << 20)
}

/// Bytes in all.
pub(super) fn total() -> u64 {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .filter_map(|path| number(path))
        .filter(|limit| *limit < NO_LIMIT)
        .chain(machine())
        .min()
        .unwrap_or(512 << 20)
}

fn machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_small_container_is_for_one_worker() {
        assert_eq!(for_a_worker(512 << 20) >> 20, 176);
        assert_eq!(for_a_worker(64 << 20) >> 20, 64);
        assert!(total() > 64 << 20);
    }
}
