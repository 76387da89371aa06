//! The fork server: one interpreter that has imported what scripts will want, and copies of it on
//! demand. A copy is ready in milliseconds and shares all that it does not change. It has one thread,
//! runs no script, and when the front goes away it ends every worker and all that workers left behind.
#![expect(unsafe_code, reason = "a worker reads memory that the front fills")]

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};

use super::confine::{self, Prepared};
use crate::control;
use crate::large_pages;
use crate::mapping::View;
use crate::python::{self, Interpreter, Side, Surroundings};
use crate::wire::{Fork, Hello, LONGEST_MESSAGE, PROTOCOL, Report, Setup};

/// While processes that workers left behind are being ended, how often one looks again.
const SWEEP: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

struct Forker {
    control: OwnedFd,
    workers: HashMap<i32, Living>,
    setup: Setup,
    interpreter: Interpreter,
    /// For the next worker.
    prepared: Prepared,
}

/// A worker, as its parent knows it.
struct Living {
    number: u64,
    pidfd: OwnedFd,
}

pub(super) fn run() -> anyhow::Result<()> {
    let control = super::take_socket().context("the fork server has no socket to the server")?;
    rustix::thread::set_name(c"tabpy-forker")?;
    // What workers leave behind when they end becomes this process's child, and is ended.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut message = vec![0; LONGEST_MESSAGE];
    let Some((length, _)) = control::receive(&control, &mut message)? else { return Ok(()) };
    let setup: Setup = serde_json::from_slice(&message[..length])?;
    if setup.protocol != PROTOCOL {
        bail!("the server speaks protocol {}, the fork server {PROTOCOL}", setup.protocol);
    }
    // Where a process has no handle, workers are started in another way.
    rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    if setup.confinement.on {
        confine::hide_memory(true);
    }
    let (interpreter, warnings) = match Interpreter::start(&setup) {
        Ok(started) => started,
        Err(error) => {
            report(&control, &Report::Failed { reason: format!("{error:#}") }, &[])?;
            return Err(error);
        }
    };
    let hello = Hello {
        protocol: PROTOCOL,
        python_version: Interpreter::version(),
        warnings,
        confinement: String::new(),
        reads_memory: false,
    };
    let threaded = interpreter.threaded_modules();
    if threaded.is_empty() && !python::is_alone()? {
        let reason = "Python has threads before it imports anything of TABPY_PRELOAD; see its sitecustomize";
        report(&control, &Report::Failed { reason: reason.to_owned() }, &[])?;
        bail!(reason);
    }
    let prepared = Prepared::new(&setup, interpreter.folders());
    // A copy of large pages is made in a fraction of the time, and ends in a fraction.
    large_pages::gather();
    report(&control, &Report::Ready { hello, threaded }, &[])?;
    Forker { control, workers: HashMap::new(), setup, interpreter, prepared }.serve(&mut message)
}

impl Forker {
    /// Forks on demand and buries the dead. Returns in a worker, too, when that has served its time.
    fn serve(mut self, message: &mut [u8]) -> anyhow::Result<()> {
        let mut sweeping = false;
        loop {
            let (asked, ended) = self.wait(sweeping)?;
            for pid in ended {
                self.bury(pid)?;
            }
            sweeping = self.sweep();
            if !asked {
                continue;
            }
            let Some((length, descriptors)) = control::receive(&self.control, message)? else {
                self.end_all();
                return Ok(());
            };
            let order: Fork = serde_json::from_slice(&message[..length])?;
            let mut descriptors = descriptors.into_iter();
            let (Some(wire), Some(output)) = (descriptors.next(), descriptors.next()) else {
                self.regret(order.number, "the fork server has no room for a worker's descriptors")?;
                continue;
            };
            let memory = descriptors.next();
            match python::fork() {
                Ok(Side::Child) => return self.become_worker(&order.folder, wire, output, memory),
                Ok(Side::Parent(pid)) => {
                    if let Err(error) = self.register(order.number, pid) {
                        // It is nobody's child that is known, and so it is swept away.
                        sweeping = true;
                        self.regret(order.number, &error.to_string())?;
                    }
                }
                Err(error) => self.regret(order.number, &error.to_string())?,
            }
        }
    }

    /// Tells that there is no worker of this number. Those that there are go on.
    fn regret(&self, number: u64, reason: &str) -> anyhow::Result<()> {
        report(&self.control, &Report::NotBorn { number, reason: reason.to_owned() }, &[])
    }

    /// Waits for the front or for the end of a worker.
    fn wait(&self, sweeping: bool) -> anyhow::Result<(bool, Vec<i32>)> {
        let pids: Vec<i32> = self.workers.keys().copied().collect();
        let mut watched = vec![PollFd::new(&self.control, PollFlags::IN)];
        watched.extend(self.workers.values().map(|worker| PollFd::new(&worker.pidfd, PollFlags::IN)));
        match poll(&mut watched, sweeping.then_some(&SWEEP)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = pids
            .iter()
            .zip(&watched[1..])
            .filter(|(_, watched)| !watched.revents().is_empty())
            .map(|(pid, _)| *pid)
            .collect();
        Ok((!watched[0].revents().is_empty(), ended))
    }

    fn register(&mut self, number: u64, pid: i32) -> anyhow::Result<()> {
        let child = Pid::from_raw(pid).context("fork returned no process")?;
        // The child cannot be gone: nobody has waited for it yet.
        let pidfd = rustix::process::pidfd_open(child, PidfdFlags::empty())?;
        report(&self.control, &Report::Born { number, pid }, &[pidfd.as_fd()])?;
        self.workers.insert(pid, Living { number, pidfd });
        Ok(())
    }

    fn bury(&mut self, pid: i32) -> anyhow::Result<()> {
        let Some(worker) = self.workers.get(&pid) else { return Ok(()) };
        let status = rustix::process::waitid(
            WaitId::PidFd(worker.pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        )?;
        let Some(status) = status else { return Ok(()) };
        let ended = Report::Ended {
            number: worker.number,
            code: status.exit_status(),
            signal: status.terminating_signal(),
        };
        self.workers.remove(&pid);
        // What cannot be told is only not known as a reason.
        let _ = report(&self.control, &ended, &[]);
        Ok(())
    }

    /// Ends what dead workers have left behind; says whether there is more to come.
    fn sweep(&self) -> bool {
        let mut found = false;
        for pid in children() {
            if self.workers.contains_key(&pid) {
                continue;
            }
            found = true;
            if let Some(orphan) = Pid::from_raw(pid) {
                // It may have ended already, or be ending.
                let _ = rustix::process::kill_process(orphan, Signal::KILL);
                let _ = rustix::process::waitpid(Some(orphan), WaitOptions::NOHANG);
            }
        }
        found
    }

    fn end_all(&mut self) {
        for worker in self.workers.values() {
            let _ = rustix::process::pidfd_send_signal(&worker.pidfd, Signal::KILL);
        }
        self.workers.clear();
        // Each round ends the children of those that the last one ended.
        while self.sweep() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn become_worker(
        self,
        folder: &Path,
        wire: OwnedFd,
        output: OwnedFd,
        memory: Option<OwnedFd>,
    ) -> anyhow::Result<()> {
        let Self { control, workers, setup, mut interpreter, prepared } = self;
        // A worker must not be able to order workers, or to end others.
        drop((control, workers));
        super::leave_the_server()?;
        rustix::stdio::dup2_stdout(&output)?;
        rustix::stdio::dup2_stderr(&output)?;
        drop(output);
        let moved = super::out_of_the_way(&wire)?;
        drop(wire);
        let wire = UnixStream::from(moved);
        // No script ever sees the descriptor. Without it bodies come over the wire.
        // SAFETY: the front made it for this, and puts something else there once it has some of the answer to the body, which
        // has been parsed by then, and nothing of it is borrowed any more.
        let view = memory.and_then(|memory| unsafe { View::of(&memory) }.ok());
        let surroundings = Surroundings {
            import: &setup.import_in_worker,
            old_folder: &setup.folder,
            folder,
            confinement: &setup.confinement,
        };
        let (memory, warnings) = (view.as_ref(), Vec::new());
        match super::settle_in(&mut interpreter, &setup, memory, &surroundings, prepared, warnings) {
            Ok((hello, places)) => {
                super::greet(&wire, 0, &hello)?;
                super::serve(&wire, memory, &mut interpreter, places, &setup)
            }
            Err(error) => {
                super::give_up(&wire, 0, &error)?;
                Err(error)
            }
        }
    }
}

/// The processes whose parent this one is.
fn children() -> Vec<i32> {
    let path = format!("/proc/self/task/{}/children", rustix::process::getpid().as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn report(control: &OwnedFd, report: &Report, descriptors: &[BorrowedFd<'_>]) -> anyhow::Result<()> {
    match control::send(control, &serde_json::to_vec(report)?, descriptors) {
        // A front that has gone is noticed where the next order is read, and then all workers are ended.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
