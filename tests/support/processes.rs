//! What `/proc` says about the processes that a server started. A process is known by its number
//! and its start time, so that a number used again is never taken for the old process.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    started: u64,
}

impl Process {
    pub fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|(_, started, _)| Self { pid, started })
    }

    /// Whether it still runs; a zombie does not.
    pub fn runs(self) -> bool {
        stat(self.pid).is_some_and(|(_, started, state)| started == self.started && state != 'Z')
    }

    pub fn kill(self) {
        if self.runs() {
            signal(self.pid, Signal::KILL);
        }
    }

    /// What it has had of a processor, in hundredths of a second; unlike the clock's time it is no longer where others want
    /// the processor, too.
    pub fn worked(self) -> u64 {
        let fields = fields(self.pid).unwrap_or_default();
        [11, 12].iter().filter_map(|place| fields.get(*place)?.parse::<u64>().ok()).sum()
    }

    pub fn environment(self) -> String {
        readable(fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default())
    }

    /// The name that a process gives itself with prctl, at most 15 bytes.
    pub fn name(self) -> String {
        readable(fs::read(format!("/proc/{}/comm", self.pid)).unwrap_or_default())
    }

    /// The program that it runs, if one may know.
    pub fn program(self) -> Option<std::path::PathBuf> {
        fs::read_link(format!("/proc/{}/exe", self.pid)).ok()
    }

    pub fn command_line(self) -> String {
        readable(fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default())
    }
}

/// Sends a signal to one process; one that has gone is no error.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    let _gone = kill_process(pid, signal);
}

/// All processes below `root`, without itself.
pub fn descendants(root: u32) -> Vec<Process> {
    let all: Vec<(u32, u32, u64, char)> = numbers()
        .filter_map(|pid| stat(pid).map(|(parent, started, state)| (pid, parent, started, state)))
        .collect();
    let mut family = vec![root];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        for &(pid, _, started, state) in all.iter().filter(|(_, p, ..)| *p == parent) {
            family.push(pid);
            if state != 'Z' {
                found.push(Process { pid, started });
            }
        }
        next += 1;
    }
    found
}

/// Zombies that are direct children of `root`: nobody reaped them.
pub fn unreaped(root: u32) -> usize {
    numbers()
        .filter(|pid| stat(*pid).is_some_and(|(parent, _, state)| parent == root && state == 'Z'))
        .count()
}

/// All processes of the machine whose command line holds `marker`.
pub fn with_argument(marker: &str) -> Vec<Process> {
    numbers()
        .filter_map(Process::of)
        .filter(|process| process.runs() && process.command_line().split(' ').any(|word| word == marker))
        .collect()
}

/// All processes of the machine that named themselves so.
pub fn with_name(name: &str) -> Vec<Process> {
    numbers().filter_map(Process::of).filter(|process| process.runs() && process.name() == name).collect()
}

fn numbers() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Parent, start time and state.
fn stat(pid: u32) -> Option<(u32, u64, char)> {
    let fields = fields(pid)?;
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?, fields.first()?.chars().next()?))
}

/// What follows the name, which stands in brackets and may hold anything.
fn fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.get(text.rfind(')')? + 2..)?.split(' ').map(str::to_owned).collect())
}

fn readable(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}
