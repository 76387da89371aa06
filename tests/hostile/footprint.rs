//! What a server takes of the machine at one moment: processes, memory, files. Everything that
//! its scripts start stays below the test process, which takes in orphans; so nothing escapes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::shelter;
use crate::support::processes::{self, Process};

/// Memory is in kilobytes, shared pages counted in parts where the kernel tells.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    pub processes: usize,
    pub memory: u64,
    pub front_memory: u64,
    pub descriptors: usize,
    pub files: BTreeSet<PathBuf>,
}

impl Footprint {
    pub fn of(front: u32, folder: &Path) -> Self {
        let family = processes::descendants(front);
        let front_memory = memory(front);
        let memory = front_memory + family.iter().map(|process| memory(process.pid)).sum::<u64>();
        let descriptors = fs::read_dir(format!("/proc/{front}/fd")).map_or(0, Iterator::count);
        let files = writable_places(front, folder)
            .iter()
            .flat_map(|place| everything_in(place))
            .filter(|path| !path.is_dir())
            .collect();
        Self { processes: family.len(), memory, front_memory, descriptors, files }
    }
}

/// Makes orphans children of this process, so that they are found.
pub fn adopt_orphans() {
    let this = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(this)).unwrap();
}

/// Processes that came from a server and are no part of it: orphans, and other programs.
pub fn strays(front: u32) -> Vec<Process> {
    let family = processes::descendants(front);
    let ancestors = ancestors(front);
    processes::descendants(std::process::id())
        .into_iter()
        .filter(|process| process.pid != front && !ancestors.contains(&process.pid))
        .filter(|process| !family.contains(process) || !is_server(*process))
        .collect()
}

/// Every path below a folder, links not followed; what can't be read counts as empty.
pub fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}

/// Paths with the marker in their name, in the server's folder and all places that are writable.
pub fn marked_paths(marker: &str, front: u32, folder: &Path) -> Vec<PathBuf> {
    let is_marked =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(marker));
    let mut places = shelter::shared_places(front, folder);
    places.push(folder.to_owned());
    let found: BTreeSet<PathBuf> =
        places.iter().flat_map(|place| everything_in(place)).filter(is_marked).collect();
    found.into_iter().collect()
}

fn writable_places(front: u32, folder: &Path) -> Vec<PathBuf> {
    let mut places = shelter::shared_places(front, folder);
    places.push(folder.join("tmp"));
    places
}

fn is_server(process: Process) -> bool {
    let program = process.program().map(|path| path.display().to_string());
    program.is_none_or(|program| program.trim_end_matches(" (deleted)").ends_with("/tabpy-rs"))
}

fn ancestors(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut pid = pid;
    while let Some(parent) = status(pid, "PPid:").filter(|parent| *parent > 1) {
        pid = u32::try_from(parent).unwrap();
        found.push(pid);
    }
    found
}

fn memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    number_after(&rollup, "Pss:").or_else(|| status(pid, "VmRSS:")).unwrap_or(0)
}

/// A number of `/proc/PID/status`.
pub fn status(pid: u32, field: &str) -> Option<u64> {
    number_after(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, field)
}

fn number_after(text: &str, field: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}
