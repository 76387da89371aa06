//! How much memory there is, and how much is left: the machine's, or the container's where that is less.
//! Both kinds of control groups are read, and the groups around the own one. Nothing here decides what
//! the memory is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A group without a limit says so with a word, or with a number beyond any machine.
const NO_LIMIT: u64 = 1 << 40;

/// What is assumed where nothing can be read.
const UNKNOWN: u64 = 512 << 20;

/// A control group that may have a limit, by the files that tell.
struct Group {
    limit: PathBuf,
    used: PathBuf,
    statistics: PathBuf,
    /// What begins the line of `statistics` about files that were read and may be forgotten.
    reclaimable: &'static str,
}

/// Bytes in all.
pub fn total() -> u64 {
    let limits = groups().iter().filter_map(Group::limit);
    limits.chain(machine("MemTotal:")).min().unwrap_or(UNKNOWN)
}

/// Bytes that can still be had.
pub fn available() -> u64 {
    let left = groups().iter().filter_map(Group::available);
    left.chain(machine("MemAvailable:")).min().unwrap_or(UNKNOWN)
}

fn groups() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        found(&own, Path::new("/sys/fs/cgroup"))
    })
}

/// The groups of a process, as its `cgroup` file names them, and those around them.
fn found(own: &str, mount: &Path) -> Vec<Group> {
    let mut groups = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let v2 = controllers.is_empty();
        if !v2 && !controllers.split(',').any(|controller| controller == "memory") {
            continue;
        }
        let top = if v2 { mount.to_owned() } else { mount.join("memory") };
        // A container often sees its own group as the topmost, whatever the path says.
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        groups
            .extend(around.map(|path| Group::new(&top.join(path), v2)).filter(|group| group.limit.exists()));
    }
    groups
}

impl Group {
    fn new(folder: &Path, v2: bool) -> Self {
        let [limit, used, reclaimable] = if v2 {
            ["memory.max", "memory.current", "inactive_file "]
        } else {
            ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "]
        };
        Self {
            limit: folder.join(limit),
            used: folder.join(used),
            statistics: folder.join("memory.stat"),
            reclaimable,
        }
    }

    fn limit(&self) -> Option<u64> {
        number(&self.limit).filter(|limit| *limit < NO_LIMIT)
    }

    fn available(&self) -> Option<u64> {
        let limit = self.limit()?;
        let statistics = fs::read_to_string(&self.statistics).unwrap_or_default();
        let line = statistics.lines().find_map(|line| line.strip_prefix(self.reclaimable));
        let reclaimable = line.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        Some(limit.saturating_sub(number(&self.used)?.saturating_sub(reclaimable)))
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A line of the kernel's about the whole machine.
fn machine(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn a_group_of_the_second_kind_counts_with_those_around_it() {
        let mount = tempfile::tempdir().unwrap();
        let outer = mount.path().join("system.slice");
        let inner = outer.join("tabpy.service");
        write(&outer, "memory.max", "536870912\n");
        write(&outer, "memory.current", "268435456\n");
        write(&outer, "memory.stat", "anon 1\nactive_file 5\ninactive_file 1048576\n");
        write(&inner, "memory.max", "max\n");
        let groups = found("0::/system.slice/tabpy.service\n", mount.path());
        let limits: Vec<_> = groups.iter().map(Group::limit).collect();
        assert_eq!(limits, [None, Some(512 << 20)]);
        assert_eq!(groups[1].available(), Some((512 << 20) - (255 << 20)));
    }

    #[test]
    fn a_group_of_the_first_kind_is_found_though_the_container_does_not_see_its_path() {
        let mount = tempfile::tempdir().unwrap();
        let folder = mount.path().join("memory");
        write(&folder, "memory.limit_in_bytes", "1073741824\n");
        write(&folder, "memory.usage_in_bytes", "73741824\n");
        let own = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/\n";
        let groups = found(own, mount.path());
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].limit(), groups[0].available()), (Some(1 << 30), Some(1_000_000_000)));
        write(&folder, "memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(groups[0].limit(), None);
    }

    #[test]
    fn no_more_is_left_than_there_is() {
        assert!((64 << 20..=total()).contains(&available()));
    }
}
