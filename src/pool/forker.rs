//! The front's side of the fork server: orders a worker and receives the handle to it, and hears how
//! workers ended. A fork server that has died is no use any more; the starter makes another one.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, kill_process};

use super::Start;
use super::process::Forked;
use super::tree;
use super::worker::{HELLO_TIMEOUT, Unborn, Worker};
use crate::control::{receive, send};
use crate::orphans::Own;
use crate::wire::{Fork, Hello, LONGEST_MESSAGE, Report, Setup};

/// A fork takes milliseconds; a fork server that needs so long is stuck.
const BIRTH_TIMEOUT: Duration = Duration::from_secs(10);

/// While one waits for it, how often one looks whether it was stopped.
const LOOK: Duration = Duration::from_millis(200);

/// What it takes to end the workers' processes, with some to spare.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How many ends are remembered for those whose request they ended.
const REMEMBERED: usize = 256;

/// The process of a new worker, or why there is none.
type Birth = Result<(i32, OwnedFd), String>;

pub(super) struct Forker {
    control: Arc<OwnedFd>,
    births: Receiver<Birth>,
    ends: Arc<Ends>,
    process: Child,
    _own: Own,
}

/// How workers ended, by their numbers.
#[derive(Default)]
pub(super) struct Ends {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    ended: VecDeque<(u64, ExitStatus)>,
    /// Whether the fork server has gone, and nothing more will be told.
    complete: bool,
}

impl Forker {
    /// Starts the fork server and waits until it has imported what it should.
    pub(super) fn start(start: &Start) -> anyhow::Result<(Self, Hello)> {
        let mut setup = start.setup.clone();
        loop {
            let (forker, hello, threaded) = Self::start_once(start, &setup)?;
            if threaded.is_empty() {
                return Ok((forker, hello));
            }
            tracing::warn!(
                modules = threaded.join(","),
                "these modules of TABPY_PRELOAD leave threads behind, so each worker imports them for itself"
            );
            drop(forker);
            // What remains may import one of them, which shows when it is the first to do so.
            let preload = std::mem::take(&mut setup.preload);
            let (in_worker, preload) = preload.into_iter().partition(|module| threaded.contains(module));
            setup.preload = preload;
            setup.import_in_worker.extend::<Vec<_>>(in_worker);
        }
    }

    fn start_once(start: &Start, setup: &Setup) -> anyhow::Result<(Self, Hello, Vec<String>)> {
        let (mine, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let process = Command::new("/proc/self/exe")
            .arg0("tabpy-rs")
            .args(["worker", "--fork"])
            .env_clear()
            .envs(start.environment(&start.folders.fork_server()))
            .current_dir(start.folders.fork_server())
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(std::io::stderr().as_fd().try_clone_to_owned()?))
            .stderr(Stdio::inherit())
            .spawn()
            .context("the fork server could not be started")?;
        let control = Arc::new(mine);
        let (births_to, births) = mpsc::channel();
        let (ready_to, ready) = mpsc::channel();
        let ends = Arc::new(Ends::default());
        let own = Own::new(process.id());
        let forker =
            Self { control: Arc::clone(&control), births, ends: Arc::clone(&ends), process, _own: own };
        std::thread::Builder::new()
            .name("forker".to_owned())
            .spawn(move || listen(&control, &ready_to, &births_to, &ends))?;
        let setup = Setup { folder: start.folders.fork_server(), ..setup.clone() };
        send(&forker.control, &serde_json::to_vec(&setup)?, &[])?;
        match ready.recv_timeout(HELLO_TIMEOUT) {
            Ok(Ok((hello, threaded))) => Ok((forker, hello, threaded)),
            Ok(Err(reason)) => bail!("{reason}"),
            Err(RecvTimeoutError::Timeout) => {
                bail!("Python did not get ready within {} s; see TABPY_PRELOAD", HELLO_TIMEOUT.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the fork server ended before it was ready"),
        }
    }

    /// Orders a worker.
    ///
    /// The inner error is about this one worker; the fork server is as good as before.
    pub(super) fn fork(&self, number: u64, start: &Start) -> anyhow::Result<Result<Worker, String>> {
        let Unborn { worker, wire, output, memory } = match Worker::unborn(number, start) {
            Ok(unborn) => unborn,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let order = serde_json::to_vec(&Fork { number, folder: worker.folder().to_owned() })?;
        let descriptors: Vec<_> = [&wire, &output].into_iter().chain(&memory).map(AsFd::as_fd).collect();
        match send(&self.control, &order, &descriptors) {
            Ok(()) => drop((wire, output, memory)),
            Err(gone @ (Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN)) => return Err(gone.into()),
            Err(error) => return Ok(Err(error.to_string())),
        }
        match self.birth() {
            Ok(Ok((pid, pidfd))) => {
                Ok(Ok(worker.born(Forked::new(number, pid, pidfd, Arc::clone(&self.ends)))))
            }
            Ok(Err(reason)) => Ok(Err(reason)),
            Err(_) => bail!("the fork server does not answer"),
        }
    }

    fn birth(&self) -> Result<Birth, RecvTimeoutError> {
        let until = Instant::now() + BIRTH_TIMEOUT;
        loop {
            match self.births.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => self.go_on_if_stopped(),
                outcome => return outcome,
            }
        }
    }

    /// A fork server that somebody has stopped makes no workers; ended, it would take all of them with it.
    pub(super) fn go_on_if_stopped(&self) {
        let Ok(pid) = i32::try_from(self.process.id()) else { return };
        if tree::look(pid).stopped {
            tracing::warn!("the fork server was stopped, and is told to go on");
            // Nobody has waited for it, so the number is its own.
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::CONT);
            }
        }
    }
}

/// Ends the process, which ends the workers it made.
impl Drop for Forker {
    fn drop(&mut self) {
        // Told that the front is gone, it ends its workers and what they left behind, and then itself.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        let until = Instant::now() + END_TIMEOUT;
        while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ends {
    /// How a worker ended, if it is told in time.
    pub(super) fn wait_for(&self, number: u64, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((_, status)) = known.ended.iter().find(|(ended, _)| *ended == number) {
                return Some(*status);
            }
            if known.complete {
                return None;
            }
            let left = until.checked_duration_since(Instant::now())?;
            known = self.changed.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn add(&self, number: u64, status: ExitStatus) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ended.len() >= REMEMBERED {
            known.ended.pop_front();
        }
        known.ended.push_back((number, status));
        self.changed.notify_all();
    }

    fn complete(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).complete = true;
        self.changed.notify_all();
    }
}

/// Takes the fork server's reports until it ends.
fn listen(
    control: &OwnedFd,
    ready: &Sender<Result<(Hello, Vec<String>), String>>,
    births: &Sender<Birth>,
    ends: &Ends,
) {
    let mut message = vec![0; LONGEST_MESSAGE];
    while let Some((report, descriptor)) = hear(control, &mut message) {
        // A receiver that is gone has no use for the report.
        match report {
            Report::Ready { hello, threaded } => drop(ready.send(Ok((hello, threaded)))),
            Report::Failed { reason } => drop(ready.send(Err(reason))),
            Report::Born { pid, .. } => {
                let birth =
                    descriptor.map(|pidfd| (pid, pidfd)).ok_or_else(|| "no pidfd came with it".to_owned());
                drop(births.send(birth));
            }
            Report::NotBorn { reason, .. } => drop(births.send(Err(reason))),
            Report::Ended { number, code, signal } => {
                // The wait status, as the kernel packs it.
                let raw = code.map_or_else(|| signal.unwrap_or(0), |code| code << 8);
                ends.add(number, ExitStatus::from_raw(raw));
            }
        }
    }
    ends.complete();
}

/// One report; `None` when the fork server has gone, or is not to be understood any more.
fn hear(control: &OwnedFd, message: &mut [u8]) -> Option<(Report, Option<OwnedFd>)> {
    let (length, descriptors) = receive(control, message).ok()??;
    Some((serde_json::from_slice(&message[..length]).ok()?, descriptors.into_iter().next()))
}
