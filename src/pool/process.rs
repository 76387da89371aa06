//! The process behind a worker: a child of this one or of the fork server, or not there yet. It ends
//! with its handle, and what its script has started ends with it. How it ended is put into words
//! here, for the one whose script it was; what is said to it is not known here.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::forker::Ends;
use crate::orphans::Own;

pub(super) const UNKNOWN: &str = "The Python process that ran the script has ended, and why is not known. \
                                  Try again; the server's log may say more.";

const ENDED: &str = "The script ended its Python process";

/// The process; it ends when its handle is dropped.
pub(super) enum Process {
    /// Ordered, and not there yet.
    Unborn,
    /// A child of this process, started plainly.
    Plain(Plain),
    /// A child of the fork server.
    Forked(Forked),
}

/// The handle to a process that was started plainly; there is a child until it is dropped.
pub(super) struct Plain(Option<(Child, Own)>);

/// The handle to a process that the fork server made.
pub(super) struct Forked {
    number: u64,
    pid: i32,
    pidfd: OwnedFd,
    ends: Arc<Ends>,
}

impl Process {
    pub(super) fn pid(&self) -> Option<i32> {
        match self {
            Self::Unborn => None,
            Self::Plain(plain) => i32::try_from(plain.0.as_ref()?.0.id()).ok(),
            Self::Forked(forked) => Some(forked.pid),
        }
    }

    /// Waits a little for an end that has been announced by a closed wire.
    pub(super) fn how_it_ended(&mut self) -> String {
        let patience = Duration::from_secs(1);
        let status = match self {
            Self::Unborn => None,
            Self::Plain(plain) => plain.wait_for_end(patience),
            Self::Forked(forked) => forked.ends.wait_for(forked.number, patience),
        };
        status.map_or_else(|| UNKNOWN.to_owned(), describe)
    }
}

impl Forked {
    pub(super) fn new(number: u64, pid: i32, pidfd: OwnedFd, ends: Arc<Ends>) -> Self {
        Self { number, pid, pidfd, ends }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        // The group first, while the number is certain to be the worker's. What has left the group
        // becomes the fork server's child, which ends it.
        if rustix::process::pidfd_send_signal(&self.pidfd, Signal::STOP).is_ok()
            && let Some(leader) = Pid::from_raw(self.pid)
        {
            kill_group(leader);
        }
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl Plain {
    pub(super) fn new(child: Child, own: Own) -> Self {
        Self(Some((child, own)))
    }

    /// How it ended, if it does soon. What its script started ends then, too.
    fn wait_for_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let (child, _) = self.0.as_mut()?;
        let until = Instant::now() + patience;
        while !has_ended(child).ok()? {
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        kill_group(Pid::from_child(child));
        child.wait().ok()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let Some((mut child, own)) = self.0.take() else { return };
        if has_ended(&child).is_err() {
            return;
        }
        kill_group(Pid::from_child(&child));
        let _ = child.kill();
        // A process takes its time to give back its memory, and a runtime's thread must not wait for it.
        let reaper = std::thread::Builder::new().name("reaper".to_owned());
        drop(reaper.spawn(move || {
            drop(child.wait());
            drop(own);
        }));
    }
}

/// Whether a child has ended; an error once it has been waited for. Until then its number is its own.
fn has_ended(child: &Child) -> rustix::io::Result<bool> {
    let only_look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(Pid::from_child(child)), only_look)?.is_some())
}

/// A worker leads a process group of its own: what its script started goes with it.
fn kill_group(leader: Pid) {
    let _ = rustix::process::kill_process_group(leader, Signal::KILL);
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("{ENDED} (exit code {code})."),
        (None, Some(signal)) => format!("{ENDED} (signal {signal}{}).", meaning(signal)),
        (None, None) => format!("{ENDED}."),
    }
}

fn meaning(signal: i32) -> &'static str {
    match Signal::from_named_raw(signal) {
        Some(Signal::SEGV) => ", a segmentation fault in a native library",
        Some(Signal::ABORT) => ", an abort in a native library",
        Some(Signal::KILL) => ", killed; the machine may be out of memory",
        Some(Signal::BUS) => ", a bus error in a native library",
        Some(Signal::FPE) => ", an arithmetic error in a native library",
        Some(Signal::ILL) => ", an instruction that this machine lacks",
        _ => "",
    }
}
