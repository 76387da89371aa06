//! One worker under observation, as long as somebody holds it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::allowance::{Allowance, TOO_DEEP, all_used_up};
use crate::pool::disk::{Kept, Places};
use crate::pool::tree::{self, Memory};

/// Looking at files takes at most this part of the warden's time.
const PART: u32 = 10;

pub(in crate::pool) struct Watch {
    pub(super) number: u64,
    pid: i32,
    pidfd: OwnedFd,
    /// What it held before its first script.
    baseline: u64,
    /// How much memory bodies that it reads have taken, and how much of that is the present one's.
    room: Option<Arc<AtomicUsize>>,
    body: AtomicUsize,
    /// Counts up when a request begins and when it ends, so it is odd in between.
    turn: AtomicU64,
    ended: AtomicBool,
    /// Why it was ended.
    verdict: OnceLock<String>,
    files: Mutex<Files>,
    /// The turn of the last look.
    seen: AtomicU64,
}

/// What was last found of its files.
struct Files {
    places: Places,
    kept: Kept,
    /// Not to be looked at again before.
    next: Instant,
}

impl Watch {
    pub(super) fn new(
        number: u64,
        pid: i32,
        folder: &Path,
        room: Option<Arc<AtomicUsize>>,
    ) -> io::Result<Self> {
        let process = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = pidfd_open(process, PidfdFlags::empty())?;
        let files = Files { places: Places::of(folder, pid)?, kept: Kept::default(), next: Instant::now() };
        Ok(Self {
            number,
            pid,
            pidfd,
            baseline: tree::look(pid).memory.sum(),
            room,
            body: AtomicUsize::new(0),
            turn: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            verdict: OnceLock::new(),
            files: Mutex::new(files),
            seen: AtomicU64::new(0),
        })
    }

    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Says that a request begins, or that it has ended.
    pub(in crate::pool) fn next_turn(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn is_busy(&self) -> bool {
        is_busy(self.turn.load(Ordering::Relaxed))
    }

    pub(super) fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether the process is known to have ended.
    pub(in crate::pool) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(in crate::pool) fn verdict(&self) -> Option<String> {
        self.verdict.get().cloned()
    }

    /// Looks at a busy worker, and ends it if its script takes more than it may. Says how much memory that
    /// is, otherwise.
    pub(super) fn look(&self, allowance: &Allowance) -> Option<u64> {
        let turn = self.turn.load(Ordering::Relaxed);
        self.go_on_if_stopped();
        let tree = tree::of(self.pid);
        if tree.len() - 1 > allowance.processes {
            self.end(turn, || allowance.too_many_processes());
            return None;
        }
        let kept = self.files(&tree, allowance.disk_bytes);
        let memory = tree::memory(&tree);
        // A file that is memory and mapped would be counted twice; so would the body. What earlier ones have left is no
        // doing of the script.
        let body = self.body.load(Ordering::Relaxed) as u64;
        let mapped = memory.shared.saturating_sub(self.room().saturating_sub(body));
        let memory = Memory { shared: mapped.max(kept.memory + body), ..memory };
        let taken = memory.sum().saturating_sub(self.baseline);
        if taken > allowance.memory_bytes {
            self.end(turn, || allowance.too_much_memory());
        } else if self.seen.swap(turn, Ordering::Relaxed) != turn {
            // What lies there at a request's first look may be the one's before, which the worker is just removing.
        } else if kept.files > allowance.disk_bytes {
            self.end(turn, || allowance.too_much_disk());
        } else if kept.too_deep {
            self.end(turn, || TOO_DEEP.to_owned());
        }
        Some(taken)
    }

    /// Whether an idle worker holds so much memory that the next script would lack it.
    pub(super) fn is_worn(&self, allowance: &Allowance) -> bool {
        let memory = self.go_on_if_stopped();
        // What bodies have taken is given back soon.
        let room = self.room().min(memory.shared);
        memory.sum().saturating_sub(self.baseline + room) > allowance.memory_bytes / 2
    }

    fn room(&self) -> u64 {
        self.room.as_ref().map_or(0, |room| room.load(Ordering::Relaxed) as u64)
    }

    /// Says how long a body is that lies in memory, 0 for none.
    pub(in crate::pool) fn reads(&self, body: usize) {
        self.body.store(body, Ordering::Relaxed);
    }

    /// Ends the script that has the most memory, when there is none left for anybody.
    pub(super) fn end_for_all(&self, bytes: u64) {
        self.end(self.turn.load(Ordering::Relaxed), || all_used_up(bytes));
    }

    /// A process that somebody has stopped answers nobody.
    fn go_on_if_stopped(&self) -> Memory {
        let look = tree::look(self.pid);
        if look.stopped {
            let _ = pidfd_send_signal(&self.pidfd, Signal::CONT);
        }
        look.memory
    }

    fn files(&self, tree: &[i32], limit: u64) -> Kept {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        if began >= files.next {
            files.kept = files.places.measure(tree, limit);
            files.next = Instant::now() + began.elapsed() * PART;
        }
        files.kept
    }

    /// Ends the process and all that descend from it, unless the request that `turn` stands for is over.
    fn end(&self, turn: u64, verdict: impl FnOnce() -> String) {
        // Stopped first, so that nobody is born meanwhile, and the request cannot end behind our back.
        if pidfd_send_signal(&self.pidfd, Signal::STOP).is_err() {
            // It has ended, and its number may be another process's.
            return;
        }
        if !is_busy(turn) || self.turn.load(Ordering::Relaxed) != turn {
            let _ = pidfd_send_signal(&self.pidfd, Signal::CONT);
            return;
        }
        if self.verdict.set(verdict()).is_err() {
            return;
        }
        for signal in [Signal::STOP, Signal::KILL] {
            for handle in descendants(self.pid) {
                let _ = pidfd_send_signal(handle, signal);
            }
        }
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

fn is_busy(turn: u64) -> bool {
    turn % 2 == 1
}

/// Handles to those below a process. A number may have become another process's since it was read, so
/// it counts only if it is still found there once the handle is held.
fn descendants(pid: i32) -> Vec<OwnedFd> {
    let handle = |pid: &i32| Some((*pid, pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?));
    let handles: Vec<_> = tree::of(pid).iter().skip(1).filter_map(handle).collect();
    let still = tree::of(pid);
    handles.into_iter().filter(|(pid, _)| still.contains(pid)).map(|(_, handle)| handle).collect()
}
