//! One worker process and the two descriptors that lead to it: the wire, and what it prints. The
//! process ends with its handle. A handle's descriptors are watched by the runtime of the thread that
//! used it last, since a wake-up that crosses threads costs more than all the rest of a tiny call.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::channel::Wire;
use super::folder::Folder;
use super::output::Printed;
use super::process::{Forked, Plain, Process, UNKNOWN};
use super::room::Room;
use super::warden::{Warden, Watch};
use super::{Limits, Start};
use crate::mapping::Mapping;
use crate::orphans::Own;
use crate::wire::{self, Hello, Reply, Request, Setup, Task};

/// How long a worker may take to import what it is to preload.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(60);

/// How much may be on its way on a wire, each way: the kernel doubles what it is told, and takes this from anybody. It is
/// twice what it gives by itself, so that columns of ten thousand rows go in one write. With more, long bodies, which
/// are read while they are written, are not in the processor's cache any more when they are read.
const ROOM: usize = 212_992;

/// After so many pure scripts in a row, other ones are rare.
const NOTHING_ELSE: u64 = 5_000;

pub(super) struct Worker {
    pub(super) number: u64,
    /// Requests answered.
    pub(super) served: u64,
    /// The id of the request before.
    pub(super) last_id: u64,
    /// Whether it has run nothing but pure scripts, by what it has said before it ran any other. Whoever means harm may
    /// leave something behind that nobody finds, and that reads what comes next.
    pub(super) innocent: bool,
    /// How many of the last requests are said to have been pure, one after the other.
    pub(super) pure: u64,
    /// When it became idle.
    pub(super) rested: Instant,
    /// Whose line it last served; see [`super::waiting`].
    pub(super) line: Option<ThreadId>,
    /// Where large bodies come to it. Without one they go over the wire when they are whole.
    pub(super) room: Option<Room>,
    channel: Channel,
    process: Process,
    /// What it takes is measured while it is busy.
    watch: Option<Arc<Watch>>,
    /// Dropped after the process.
    folder: Folder,
}

/// The descriptors, by who watches them.
enum Channel {
    Unwatched {
        wire: BlockingStream,
        output: OwnedFd,
    },
    Watched {
        home: ThreadId,
        wire: Wire,
        output: pipe::Receiver,
    },
    /// Between the two, and after a failure to pass from one to the other.
    Gone,
}

/// A worker that is still to be born, and the descriptors for its process.
pub(super) struct Unborn {
    pub(super) worker: Worker,
    pub(super) wire: OwnedFd,
    pub(super) output: OwnedFd,
    /// None, where there is no such memory.
    pub(super) memory: Option<OwnedFd>,
}

impl Worker {
    pub(super) fn unborn(number: u64, start: &Start) -> io::Result<Unborn> {
        let (mine, theirs) = BlockingStream::pair()?;
        for end in [&mine, &theirs] {
            // What a kernel refuses only costs waiting for room.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(end, ROOM);
        }
        let (output, printing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        let channel = Channel::Unwatched { wire: mine, output };
        let (mapping, for_reading) = match Mapping::new(start.limits.max_request_bytes) {
            Ok((mapping, for_reading)) => (Some(mapping), Some(for_reading)),
            Err(error) => {
                tracing::debug!(worker = number, "large bodies will go over the wire: {error}");
                (None, None)
            }
        };
        let worker = Self {
            number,
            served: 0,
            last_id: super::exchange::unguessable(number, 0),
            innocent: true,
            pure: 0,
            rested: Instant::now(),
            line: None,
            room: mapping.map(Room::new),
            channel,
            process: Process::Unborn,
            watch: None,
            folder: start.folders.worker(number)?,
        };
        Ok(Unborn { worker, wire: OwnedFd::from(theirs), output: printing, memory: for_reading })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn born(mut self, process: Forked) -> Self {
        self.process = Process::Forked(process);
        self
    }

    /// Starts a process without the fork server, which takes longer. It says hello later, see
    /// [`Self::greet`].
    ///
    /// The thread that calls must live as long as the server: the kernel ends a worker when the
    /// thread that started it ends.
    pub(super) fn start(number: u64, start: &Start) -> io::Result<Self> {
        // Memory would have to be passed on under a number that other processes, started at the same time, get as well.
        let Unborn { mut worker, wire, output, .. } = Self::unborn(number, start)?;
        let child = Command::new("/proc/self/exe")
            .arg0("tabpy-rs")
            .arg("worker")
            .env_clear()
            .envs(start.environment(worker.folder()))
            .current_dir(worker.folder())
            .stdin(Stdio::from(wire))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output))
            .spawn()?;
        let own = Own::new(child.id());
        worker.process = Process::Plain(Plain::new(child, own));
        Ok(worker)
    }

    /// Tells the worker what it is for, and waits until it is ready.
    pub(super) fn greet(&mut self, start: &Start, warden: &Warden) -> anyhow::Result<Hello> {
        let Channel::Unwatched { wire, .. } = &mut self.channel else { bail!(wire::BrokenWire) };
        if matches!(self.process, Process::Plain(_)) {
            // A forked worker was told before it was born.
            let setup = Setup { folder: self.folder.path().to_owned(), ..start.setup.clone() };
            let setup = serde_json::to_vec(&setup)?;
            let request = Request::plain(Task::Setup, 0, setup.len() as u64);
            wire.write_all(&request.encode())?;
            wire.write_all(&setup)?;
        }
        wire.set_read_timeout(Some(HELLO_TIMEOUT))?;
        let mut header = [0; wire::HEADER];
        if wire.read_exact(&mut header).is_err() {
            bail!("the worker did not get ready: {}", self.process.how_it_ended());
        }
        let reply = Reply::decode(&header)?;
        let mut body = Vec::new();
        wire.take(reply.body_length.min(1 << 20)).read_to_end(&mut body)?;
        if reply.status != 200 {
            bail!("{}", String::from_utf8_lossy(&body));
        }
        let hello: Hello = serde_json::from_slice(&body).context("the worker's first words")?;
        if hello.protocol != wire::PROTOCOL {
            bail!(wire::BrokenWire);
        }
        wire.set_read_timeout(None)?;
        wire.set_nonblocking(true)?;
        if !hello.reads_memory {
            self.room = None;
        }
        let room = self.room.as_ref().map(Room::meter);
        if let Some(pid) = self.process.pid() {
            match warden.watch(self.number, pid, self.folder.path(), room) {
                Ok(watch) => self.watch = Some(watch),
                // Linux before 5.3, and containers whose rules are as old.
                Err(error) if lacks_handles(&error) => tracing::warn!(
                    worker = self.number,
                    "this kernel has no handles to processes, so TABPY_WORKER_MEMORY_MB, TABPY_SCRIPT_PROCESSES and \
                     TABPY_SCRIPT_DISK_MB are not watched"
                ),
                Err(error) => return Err(error).context("the worker cannot be watched"),
            }
        }
        Ok(hello)
    }

    /// Whether a body of so many bytes can come to its memory.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.room.as_ref().is_some_and(|room| room.is_free(length))
    }

    /// Says how long a body is that lies in memory, 0 for none.
    pub(super) fn reads(&self, body: usize) {
        if let Some(watch) = &self.watch {
            watch.reads(body);
        }
    }

    /// Says that a request begins, or that it has ended.
    pub(super) fn next_turn(&self) {
        if let Some(watch) = &self.watch {
            watch.next_turn();
        }
    }

    /// Whether an innocent one in its place would serve more at once, and what it keeps for other scripts is hardly
    /// missed.
    pub(super) fn had_better_be_innocent(&self) -> bool {
        !self.innocent && self.pure >= NOTHING_ELSE
    }

    /// Whether the process is known to have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.has_ended())
    }

    /// Whether it was ended for what its script took.
    pub(super) fn has_met_a_limit(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.verdict().is_some())
    }

    /// The descriptors, watched by this thread's runtime.
    pub(super) fn watched(&mut self) -> io::Result<(&Wire, &pipe::Receiver)> {
        let here = std::thread::current().id();
        if !matches!(&self.channel, Channel::Watched { home, .. } if *home == here) {
            let (wire, output) = match std::mem::replace(&mut self.channel, Channel::Gone) {
                Channel::Unwatched { wire, output } => (wire, output),
                Channel::Watched { wire, output, .. } => (wire.into_inner(), output.into_nonblocking_fd()?),
                Channel::Gone => return Err(io::ErrorKind::NotConnected.into()),
            };
            self.channel = Channel::Watched {
                home: here,
                wire: Wire::new(wire)?,
                output: pipe::Receiver::from_owned_fd_unchecked(output)?,
            };
        }
        match &self.channel {
            Channel::Watched { wire, output, .. } => Ok((wire, output)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Logs what it has printed since its last answer, as no request's.
    pub(super) fn tell_last_words(&self, limits: &Limits) {
        let mut printed = Printed::left_behind(self.number, limits.script_output_bytes);
        match &self.channel {
            Channel::Unwatched { output, .. } => printed.drain_unseen(output),
            Channel::Watched { output, .. } => printed.drain_unseen(output),
            Channel::Gone => {}
        }
    }

    /// How the process ended, in words for the one whose script it was.
    pub(super) async fn how_it_ended(&mut self) -> String {
        if let Some(verdict) = self.watch.as_ref().and_then(|watch| watch.verdict()) {
            return verdict;
        }
        let mut process = std::mem::replace(&mut self.process, Process::Unborn);
        let (tell, told) = oneshot::channel();
        // Without a thread the sender is dropped. The runtime would panic where the machine has no more of them.
        let thread = std::thread::Builder::new().name("coroner".to_owned());
        let _ = thread.spawn(move || tell.send(process.how_it_ended()));
        told.await.unwrap_or_else(|_| UNKNOWN.to_owned())
    }
}

fn lacks_handles(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSYS | Errno::PERM))
}
