//! One worker under observation: what its script takes of memory, disk and processes, and the verdict
//! when that is more than it may. The figures are the kernel's; nothing that a script says counts.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{files, tree};

/// Looking at files takes at most this part of the warden's time.
const PART_FOR_FILES: u32 = 5;

/// A worker that has kept less than this of its scripts' memory is not worth replacing.
const GROWTH: u64 = 128 << 20;

/// What a script may take, with its whole process tree.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// `TABPY_WORKER_MEMORY_MB`, above what the worker was born with.
    pub memory_bytes: u64,
    /// `TABPY_SCRIPT_DISK_MB`.
    pub disk_bytes: u64,
    /// `TABPY_SCRIPT_PROCESSES`, the worker not counted.
    pub processes: usize,
}

pub(super) struct Watch {
    pid: i32,
    pidfd: OwnedFd,
    folder: PathBuf,
    /// What it held before its first script.
    baseline: u64,
    /// The number of the request that it works on; 0 while it is idle.
    busy: AtomicU64,
    /// Whether somebody has looked since it became idle.
    looked_after: AtomicBool,
    /// Whether scripts have left more memory in use than a new worker would need.
    grown: AtomicBool,
    files: Mutex<Files>,
    /// Why it was ended.
    verdict: OnceLock<String>,
}

/// What the last look at files has found, and when the next one is due.
#[derive(Default)]
struct Files {
    kept: files::Kept,
    /// Whether the process was seen stopped already.
    stopped: bool,
    next: Option<Instant>,
}

impl Watch {
    /// Of a process that has not met a script yet.
    pub(super) fn new(pid: i32, folder: PathBuf) -> Option<Self> {
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self {
            pid,
            pidfd,
            folder,
            baseline: tree::memory(&[pid]),
            busy: AtomicU64::new(0),
            looked_after: AtomicBool::new(true),
            grown: AtomicBool::new(false),
            files: Mutex::default(),
            verdict: OnceLock::new(),
        })
    }

    /// Which of its requests the worker works on from now on, or `None`.
    pub(super) fn set_busy(&self, request: Option<u64>) {
        if request.is_none() {
            self.looked_after.store(false, Ordering::Relaxed);
        }
        self.busy.store(request.unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn verdict(&self) -> Option<String> {
        self.verdict.get().cloned()
    }

    pub(super) fn has_grown(&self) -> bool {
        self.grown.load(Ordering::Relaxed)
    }

    pub(super) fn look(&self, allowance: &Allowance) {
        let request = self.busy.load(Ordering::Relaxed);
        if request == 0 {
            if !self.looked_after.swap(true, Ordering::Relaxed) {
                let kept = tree::memory(&[self.pid]).saturating_sub(self.baseline);
                self.grown.store(kept > GROWTH.max(allowance.memory_bytes / 2), Ordering::Relaxed);
            }
            return;
        }
        let tree = tree::of(self.pid);
        if let Some(verdict) = self.judge(&tree, allowance) {
            self.end(request, &tree, verdict);
        }
    }

    fn judge(&self, tree: &[i32], allowance: &Allowance) -> Option<String> {
        if tree.len() - 1 > allowance.processes {
            let limit = allowance.processes;
            return Some(format!(
                "The script ran more than {limit} processes at once, the limit of TABPY_SCRIPT_PROCESSES, so it was \
                 ended. Use fewer (n_jobs, processes=), or raise that setting."
            ));
        }
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        if files.next.is_none_or(|next| next <= began) {
            files.kept = files::kept(&self.folder, tree, allowance.disk_bytes);
            files.next = Some(Instant::now() + began.elapsed() * (PART_FOR_FILES - 1));
        }
        if files.kept.disk > allowance.disk_bytes {
            let limit = allowance.disk_bytes >> 20;
            return Some(format!(
                "OSError : the script kept more than {limit} MB in temporary files, the limit of TABPY_SCRIPT_DISK_MB, so \
                 it was ended. Write less, or remove what is not needed any more, or raise that setting."
            ));
        }
        if tree::memory(tree).saturating_sub(self.baseline) + files.kept.memory > allowance.memory_bytes {
            let limit = allowance.memory_bytes >> 20;
            return Some(format!(
                "MemoryError : the script used more than {limit} MB of memory, the limit of TABPY_WORKER_MEMORY_MB, \
                 so it was ended. Work on fewer rows at a time, or raise that setting if the machine has more."
            ));
        }
        let stopped = std::mem::replace(&mut files.stopped, tree::is_stopped(self.pid));
        (stopped && files.stopped).then(|| {
            "The Python process that ran the script was stopped by a signal, so it was ended. Scripts must not send \
             SIGSTOP; if somebody else did, try again."
                .to_owned()
        })
    }

    fn end(&self, request: u64, tree: &[i32], verdict: String) {
        // A request that has just been answered has nothing to do with it any more, and neither has the next one.
        if self.busy.load(Ordering::Relaxed) != request || self.verdict.set(verdict).is_err() {
            return;
        }
        // Stopped first, so that nobody is born meanwhile.
        for signal in [Signal::STOP, Signal::KILL] {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
            for pid in tree.iter().skip(1).filter_map(|pid| Pid::from_raw(*pid)) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_within_its_allowance_is_let_be_and_one_beyond_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), vec![1; 2 << 20]).unwrap();
        let this = i32::try_from(std::process::id()).unwrap();
        let enough = Allowance { memory_bytes: 1 << 40, disk_bytes: 1 << 40, processes: 1000 };
        let judge = |allowance: Allowance| {
            Watch::new(this, folder.path().to_owned()).unwrap().judge(&[this], &allowance)
        };
        assert_eq!(judge(enough), None);
        assert!(judge(Allowance { disk_bytes: 1 << 20, ..enough }).unwrap().contains("TABPY_SCRIPT_DISK_MB"));
        let watch = Watch::new(this, folder.path().to_owned()).unwrap();
        watch.look(&Allowance { disk_bytes: 0, ..enough });
        assert_eq!(watch.verdict(), None, "it is idle");
    }
}
