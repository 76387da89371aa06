//! The thread that measures busy workers several times a second, and ends those whose script takes
//! more than it may. Limits that the kernel enforces on a process do not reach its children; this does.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};

use super::tree;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What a script may take, with its whole process tree.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// `TABPY_WORKER_MEMORY_MB`, above what the worker was born with.
    pub memory_bytes: u64,
    /// `TABPY_SCRIPT_PROCESSES`, the worker not counted.
    pub processes: usize,
}

/// One worker under observation, as long as somebody holds it.
pub(super) struct Watch {
    pid: i32,
    pidfd: OwnedFd,
    /// What it held before its first script.
    baseline: u64,
    busy: AtomicBool,
    /// Why it was ended.
    verdict: OnceLock<String>,
}

/// All workers under observation.
#[derive(Default)]
pub(super) struct Warden {
    watched: Mutex<Vec<Weak<Watch>>>,
}

impl Watch {
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    pub(super) fn verdict(&self) -> Option<String> {
        self.verdict.get().cloned()
    }

    fn look(&self, allowance: &Allowance) {
        if !self.busy.load(Ordering::Relaxed) {
            return;
        }
        let tree = tree::of(self.pid);
        if tree.len() - 1 > allowance.processes {
            let limit = allowance.processes;
            self.end(
                &tree,
                format!(
                    "The script ran more than {limit} processes at once, the limit of TABPY_SCRIPT_PROCESSES, so it was \
                     ended. Use fewer (n_jobs, processes=), or raise that setting."
                ),
            );
        } else if tree::memory(&tree).saturating_sub(self.baseline) > allowance.memory_bytes {
            let limit = allowance.memory_bytes >> 20;
            self.end(
                &tree,
                format!(
                    "MemoryError : the script used more than {limit} MB of memory, the limit of TABPY_WORKER_MEMORY_MB, \
                     so it was ended. Work on fewer rows at a time, or raise that setting if the machine has more."
                ),
            );
        }
    }

    fn end(&self, tree: &[i32], verdict: String) {
        // A request that has just been answered has nothing to do with it any more.
        if !self.busy.load(Ordering::Relaxed) || self.verdict.set(verdict).is_err() {
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

impl Warden {
    pub(super) fn start(self: &Arc<Self>, allowance: Allowance) -> std::io::Result<()> {
        let warden = Arc::downgrade(self);
        std::thread::Builder::new().name("warden".to_owned()).spawn(move || {
            while let Some(warden) = warden.upgrade() {
                for watch in warden.present() {
                    watch.look(&allowance);
                }
                drop(warden);
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(())
    }

    /// Begins to observe a process that has not met a script yet.
    pub(super) fn watch(&self, pid: i32) -> Option<Arc<Watch>> {
        let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let baseline = tree::of_one(pid);
        let watch =
            Arc::new(Watch { pid, pidfd, baseline, busy: AtomicBool::new(false), verdict: OnceLock::new() });
        self.lock().push(Arc::downgrade(&watch));
        Some(watch)
    }

    fn present(&self) -> Vec<Arc<Watch>> {
        let mut watched = self.lock();
        watched.retain(|watch| watch.strong_count() > 0);
        watched.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Watch>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
