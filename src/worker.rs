//! The child's loop: read a frame, let Python answer it, write a frame. A worker has one interpreter,
//! answers one request after the other, and ends when the front's end of the socket closes. It never looks
//! at a clock; and it says goodbye when a script has left what the next one must not meet.

mod confine;
mod eager;
mod forker;
mod frames;
mod limits;

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use confine::Prepared;
pub(crate) use confine::hide_memory;
use eager::Eager;
use frames::{FIRST_READ, more_is_there, read_frame, read_more, write_alone, write_frame, write_part};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;

use crate::mapping::View;
use crate::priority;
use crate::python::json::{Read, Told};
use crate::python::{Aftermath, Asked, Interpreter, Outcome, Source, Surroundings, Wanted};
use crate::temporary::{self, Look};
use crate::wire::{self, Hello, Reply, Request, Setup, Task};

/// A buffer larger than this is given back once no request has come for a while.
const KEPT_BUFFER: usize = 1 << 20;

/// How long a worker waits for another large request before it gives memory back.
const IDLE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Runs the worker until the front goes away.
pub fn run() -> anyhow::Result<()> {
    let stream = UnixStream::from(take_socket().context("the worker has no socket to the server")?);
    leave_the_server()?;
    let mut buffer = Vec::with_capacity(FIRST_READ);
    let Some(first) = read_frame(&stream, &mut buffer, &mut Vec::new())? else { return Ok(()) };
    if first.task != Task::Setup {
        bail!(wire::BrokenWire);
    }
    let setup: Setup = serde_json::from_slice(&buffer[wire::HEADER..])?;
    if setup.protocol != wire::PROTOCOL {
        bail!("the server speaks protocol {}, the worker {}", setup.protocol, wire::PROTOCOL);
    }
    // Nothing is imported before the process is confined: a thread that is there by then is not.
    let import = [setup.preload.clone(), setup.import_in_worker.clone()].concat();
    let bare = Setup { preload: Vec::new(), ..setup.clone() };
    let (mut interpreter, warnings) = match Interpreter::start(&bare) {
        Ok(started) => started,
        Err(error) => {
            give_up(&stream, first.id, &error)?;
            return Err(error);
        }
    };
    let surroundings = Surroundings {
        import: &import,
        old_folder: &setup.folder,
        folder: &setup.folder,
        confinement: &setup.confinement,
    };
    let prepared = Prepared::new(&setup, interpreter.folders());
    match settle_in(&mut interpreter, &setup, None, &surroundings, prepared, warnings) {
        Ok((hello, places)) => {
            greet(&stream, first.id, &hello)?;
            serve(&stream, None, &mut interpreter, places, &setup)
        }
        Err(error) => {
            give_up(&stream, first.id, &error)?;
            Err(error)
        }
    }
}

/// What a process does to become a worker for scripts: moves into its folder, gives up what scripts
/// are kept from, and imports what could not be imported earlier. Gives the folders that are its own.
fn settle_in(
    interpreter: &mut Interpreter,
    setup: &Setup,
    memory: Option<&View>,
    surroundings: &Surroundings<'_>,
    prepared: Prepared,
    mut warnings: Vec<String>,
) -> anyhow::Result<(Hello, Vec<Place>)> {
    let folder = surroundings.folder;
    // The front, and a client on the same machine, go first.
    priority::interrupt_nobody();
    std::env::set_current_dir(folder).context("the folder for temporary files")?;
    let confined = confine::confine(setup, folder, prepared);
    warnings.extend(confined.warnings);
    warnings.extend(interpreter.get_ready(surroundings)?);
    limits::set(setup);
    let hello = Hello {
        protocol: wire::PROTOCOL,
        python_version: Interpreter::version(),
        warnings,
        confinement: confined.report,
        reads_memory: memory.is_some(),
    };
    let places =
        std::iter::once(folder).chain(confined.own).map(|path| Place { path: path.to_owned(), empty: None });
    Ok((hello, places.collect()))
}

/// Answers requests until the front goes away.
fn serve(
    stream: &UnixStream,
    memory: Option<&View>,
    interpreter: &mut Interpreter,
    mut places: Vec<Place>,
    setup: &Setup,
) -> anyhow::Result<()> {
    let this = rustix::process::getpid();
    let kept_buffer = setup.kept_bytes().max(KEPT_BUFFER);
    let mut buffer = Vec::with_capacity(FIRST_READ);
    // What has come of the next requests, and replies that are to go with those to them.
    let mut ahead = Vec::new();
    let mut held = Vec::new();
    let mut keeps = false;
    let mut eager = Eager::default();
    let mut stay_awake = false;
    loop {
        if ahead.is_empty() {
            if keeps && !is_readable(stream, Some(&IDLE))? {
                buffer = Vec::with_capacity(FIRST_READ);
                interpreter.rest();
            }
            // A reader that blocks would also be woken when the front has read the answer.
            if !(stay_awake && eager.comes_soon(stream)?) {
                is_readable(stream, None)?;
            }
        }
        let Some(request) = read_frame(stream, &mut buffer, &mut ahead)? else { return Ok(()) };
        stay_awake = request.stay_awake;
        let reply = |outcome: Outcome, body: &[u8]| {
            leave_if_not(this);
            write_frame(stream, &mut held, !ahead.is_empty(), request.id, outcome, body)
        };
        let start = wire::HEADER + request.name_length as usize;
        let aftermath = match request.task {
            Task::Evaluate => {
                let Request { generation, only_if_pure, write_beside, .. } = request;
                let length = usize::try_from(request.body_length)?;
                let asked = Asked { generation, only_if_pure, write_beside };
                let mut numbers = Vec::new();
                if request.in_memory {
                    numbers.extend_from_slice(&buffer[wire::HEADER..]);
                    if buffer.capacity() > KEPT_BUFFER {
                        // A body that came over the wire before needed it, and this one lies elsewhere.
                        buffer = Vec::with_capacity(FIRST_READ);
                    }
                }
                let read: &mut Read<'_> = &mut |room| read_more(stream, room);
                let told: &mut Told<'_> = &mut || more_is_there(stream, &mut numbers);
                let source = if request.in_memory {
                    let place = memory.and_then(|memory| memory.place(length)).ok_or(wire::BrokenWire)?;
                    Source::Memory { place, told }
                } else {
                    Source::Buffer { start, length, read }
                };
                let confess = || confess(stream, request.id);
                let part = |body: &[u8]| {
                    leave_if_not(this);
                    write_part(stream, request.id, body).is_ok()
                };
                let (replied, aftermath) =
                    interpreter.evaluate(&mut buffer, source, &asked, confess, part, reply);
                replied?;
                if !numbers.is_empty() {
                    bail!(wire::BrokenWire);
                }
                aftermath
            }
            Task::Query => {
                let name = String::from_utf8_lossy(&buffer[wire::HEADER..start]).into_owned();
                let wanted = Wanted { name: &name, version: request.version, generation: request.generation };
                let (replied, aftermath) = interpreter.query(&wanted, &mut buffer, start, reply);
                replied?;
                aftermath
            }
            // A worker for a trial serves nobody else.
            Task::Load => return interpreter.try_out(&buffer[start..], reply),
            Task::Setup => bail!(wire::BrokenWire),
        };
        let left_right = match aftermath {
            Aftermath::Untouched => true,
            Aftermath::PutRight => tidy(interpreter, &mut places).is_ok(),
            Aftermath::Spoilt => false,
        };
        if !left_right {
            return say_goodbye(stream, request.id);
        }
        if buffer.capacity() > kept_buffer {
            buffer = Vec::with_capacity(FIRST_READ);
        }
        keeps = buffer.capacity() > KEPT_BUFFER || interpreter.keeps_memory();
    }
}

/// Whether something comes, the end included, before the time is over.
fn is_readable(stream: &UnixStream, within: Option<&Timespec>) -> io::Result<bool> {
    loop {
        match poll(&mut [PollFd::new(stream, PollFlags::IN)], within) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// One of the worker's own folders, with how it looks when nothing is in it.
struct Place {
    path: PathBuf,
    empty: Option<Look>,
}

/// Empties the worker's own folders for the next script. What takes too long, or cannot be removed with a script's
/// rights, ends with the worker.
fn tidy(interpreter: &Interpreter, places: &mut [Place]) -> io::Result<()> {
    /// The next request may be waiting already.
    const PATIENCE: Duration = Duration::from_millis(20);
    for place in places {
        // Few scripts write files, and one look is quicker than opening and reading a folder.
        let before = temporary::look(&place.path)?;
        if place.empty == Some(before) {
            continue;
        }
        if temporary::empty(temporary::open(&place.path)?.as_fd(), PATIENCE)? {
            interpreter.forget_folders();
        }
        // Taken before the folder was read, so that whatever came after it shows.
        place.empty = Some(before).filter(Look::is_settled);
    }
    Ok(())
}

/// Runs the fork server until the front goes away.
pub fn run_forker() -> anyhow::Result<()> {
    forker::run()
}

/// The socket arrives as standard input. It moves out of the way, since scripts may read standard
/// input, and their child processes inherit it.
fn take_socket() -> io::Result<OwnedFd> {
    let socket = out_of_the_way(rustix::stdio::stdin())?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing)?;
    Ok(socket)
}

/// The same descriptor under a number that scripts do not come by, closed in their child processes.
fn out_of_the_way(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 64)?)
}

/// Makes a worker a process of its own, that does not outlive who started it.
fn leave_the_server() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // A session of its own: what the terminal sends is for the server, and one kill reaches all.
    rustix::process::setsid()?;
    // What a script detaches stays in the worker's tree, where its memory counts and it is found.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // Where memory runs out, the kernel is to choose what can be replaced in milliseconds. One that
    // does not take this chooses by size, which is mostly the same.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    rustix::thread::set_name(c"tabpy-worker")?;
    Ok(())
}

/// Ends a copy that the script made of its process: it has no business on the wire.
fn leave_if_not(this: Pid) {
    if rustix::process::getpid() != this {
        std::process::exit(0);
    }
}

/// Tells the front that a script which may do anything is about to, and whether it has heard.
fn confess(stream: &UnixStream, id: u64) -> bool {
    let impure = Outcome { declined: true, ..Outcome::of(200) };
    write_alone(stream, id, impure, b"").is_ok()
}

/// Ends a worker that no other script should meet; the front starts another one.
fn say_goodbye(mut stream: &UnixStream, id: u64) -> anyhow::Result<()> {
    stream.write_all(&Reply::goodbye(id).encode())?;
    Ok(())
}

fn greet(stream: &UnixStream, id: u64, hello: &Hello) -> anyhow::Result<()> {
    let body = serde_json::to_vec(hello)?;
    write_alone(stream, id, Outcome::of(200), &body)
}

/// The front logs the reason; on its own, this process could only print it.
fn give_up(stream: &UnixStream, id: u64, error: &anyhow::Error) -> anyhow::Result<()> {
    write_alone(stream, id, Outcome::of(500), format!("{error:#}").as_bytes())
}
