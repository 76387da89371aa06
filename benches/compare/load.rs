//! Sends one request over and over on kept-alive connections and times each answer. All
//! connections share one thread: it takes its turns on the same cores as the server, so it asks the
//! kernel itself which of them can be read, reads no more of HTTP than the status and the length, and
//! compares the rest with what must come.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

pub(crate) struct Exchange<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) request: &'a [u8],
    pub(crate) answer: &'a str,
}

pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    /// Requests that each connection sends at least, also when the time is over.
    pub(crate) least: usize,
}

pub(crate) struct Timed {
    pub(crate) per_second: f64,
    pub(crate) median: Duration,
    pub(crate) percentile_99: Duration,
}

pub(crate) struct Measured {
    pub(crate) timed: Timed,
    pub(crate) peak_memory: u64,
}

/// A server that hangs must not hang the bench.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn run(exchange: &Exchange<'_>, load: &Load) -> Result<Timed> {
    let events = epoll::create(CreateFlags::CLOEXEC)?;
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(exchange.address)?);
    }
    let started = Instant::now();
    let until = started + load.time;
    for (number, connection) in connections.iter_mut().enumerate() {
        epoll::add(&events, &connection.stream, EventData::new_u64(number as u64), EventFlags::IN)?;
        connection.begin(exchange, started);
        connection.send(&events, number)?;
    }

    let mut buffer = vec![0; 256 * 1024];
    let mut ready = Vec::with_capacity(load.connections);
    let mut busy = load.connections;
    while busy > 0 {
        ensure!(until.elapsed() < PATIENCE, "no answer in time");
        let pause = Timespec { tv_sec: 1, tv_nsec: 0 };
        match epoll::wait(&events, spare_capacity(&mut ready), Some(&pause)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in ready.drain(..) {
            let number = event.data.u64() as usize;
            let connection = &mut connections[number];
            connection.send(&events, number)?;
            if !connection.receive(exchange, &mut buffer)? {
                continue;
            }
            let now = Instant::now();
            connection.latencies.push(now - connection.sent_at);
            if connection.latencies.len() < load.least || now < until {
                connection.begin(exchange, now);
                connection.send(&events, number)?;
            } else {
                epoll::delete(&events, &connection.stream)?;
                busy -= 1;
            }
        }
    }
    let elapsed = started.elapsed();
    let mut latencies: Vec<Duration> =
        connections.into_iter().flat_map(|connection| connection.latencies).collect();
    latencies.sort_unstable();
    Ok(Timed {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        median: percentile(&latencies, 50),
        percentile_99: percentile(&latencies, 99),
    })
}

/// Sends one request and gives the text of its answer, which is short.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut received = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part)?;
        ensure!(count > 0, "the server closed the connection");
        received.extend_from_slice(&part[..count]);
        if let Some(end) = memchr::memmem::find(&received, b"\r\n\r\n") {
            let body = &received[end + 4..];
            if body.len() >= check_head(&received, end)? {
                return Ok(String::from_utf8(body.to_vec())?);
            }
        }
    }
}

/// Nearest rank; of few values the 99th is the largest.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

struct Connection<'a> {
    stream: TcpStream,
    /// What the socket has not taken yet.
    unsent: &'a [u8],
    /// Whether the socket is to say when it takes more.
    waits_to_send: bool,
    /// What came of a head that is not whole.
    head: Vec<u8>,
    /// What is to come of the body, once the head was there.
    rest: Option<&'a [u8]>,
    sent_at: Instant,
    latencies: Vec<Duration>,
}

impl<'a> Connection<'a> {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            unsent: &[],
            waits_to_send: false,
            head: Vec::new(),
            rest: None,
            sent_at: Instant::now(),
            latencies: Vec::new(),
        })
    }

    fn begin(&mut self, exchange: &Exchange<'a>, now: Instant) {
        self.unsent = exchange.request;
        self.sent_at = now;
    }

    /// As much as the socket takes.
    fn send(&mut self, events: &OwnedFd, number: usize) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(self.unsent) {
                Ok(count) => self.unsent = &self.unsent[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("while sending"),
            }
        }
        let waits = !self.unsent.is_empty();
        if waits != self.waits_to_send {
            let wanted = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(events, &self.stream, EventData::new_u64(number as u64), wanted)?;
            self.waits_to_send = waits;
        }
        Ok(())
    }

    /// One read; whether the answer is there.
    fn receive(&mut self, exchange: &Exchange<'a>, buffer: &mut [u8]) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("while receiving"),
        };
        let rest = match self.rest {
            Some(rest) => check_part(rest, &buffer[..count])?,
            None if self.head.is_empty() => match first_part(exchange.answer, &buffer[..count])? {
                Some(rest) => rest,
                None => {
                    self.head.extend_from_slice(&buffer[..count]);
                    return Ok(false);
                }
            },
            None => {
                self.head.extend_from_slice(&buffer[..count]);
                match first_part(exchange.answer, &self.head)? {
                    Some(rest) => rest,
                    None => return Ok(false),
                }
            }
        };
        self.head.clear();
        self.rest = (!rest.is_empty()).then_some(rest);
        Ok(rest.is_empty())
    }
}

/// What of the body is still to come after these bytes, if the head is among them.
fn first_part<'a>(answer: &'a str, received: &[u8]) -> Result<Option<&'a [u8]>> {
    let Some(end) = memchr::memmem::find(received, b"\r\n\r\n") else {
        ensure!(received.len() < 64 * 1024, "the head of the answer does not end");
        return Ok(None);
    };
    let length = check_head(received, end + 4)?;
    ensure!(length == answer.len(), "{length} bytes came, not {}", answer.len());
    check_part(answer.as_bytes(), &received[end + 4..]).map(Some)
}

/// The body's length, if the status is 200.
fn check_head(received: &[u8], head: usize) -> Result<usize> {
    if !received.starts_with(b"HTTP/1.1 200 ") {
        bail!("not a 200: {}", String::from_utf8_lossy(&received[..received.len().min(600)]));
    }
    let text = std::str::from_utf8(&received[..head])?;
    let length = text.split("\r\n").filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    length.with_context(|| format!("an answer without a length: {text}"))
}

/// What is still to come after `part`.
fn check_part<'a>(expected: &'a [u8], part: &[u8]) -> Result<&'a [u8]> {
    if let Some((begin, rest)) = expected.split_at_checked(part.len())
        && begin.contains(&0)
        && begin.iter().zip(part).all(|(expected, came)| *expected == 0 || expected == came)
    {
        return Ok(rest);
    }
    expected.strip_prefix(part).with_context(|| {
        let [expected, part] =
            [expected, part].map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
        format!("another answer came: {part:?} instead of {expected:?}")
    })
}
