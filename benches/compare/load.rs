//! Sends one request over and over on kept-alive connections and times each answer. All
//! connections share one thread: it takes its turns on the same cores as the server, so it reads no
//! more of HTTP than the status and the length, and compares the rest with what must come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::timeout(load.time + PATIENCE, run_all(exchange, load))
            .await
            .context("no answer in time")?
    })
}

/// Sends one request and gives the text of its answer, which is short.
pub(crate) fn ask(address: SocketAddr, request: &[u8]) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address)?;
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

async fn run_all(exchange: &Exchange<'_>, load: &Load) -> Result<Timed> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(exchange.address).await?);
    }
    let started = Instant::now();
    let until = started + load.time;
    let outcomes =
        futures_util::future::try_join_all(connections.into_iter().map(|mut connection| async move {
            let mut latencies = Vec::new();
            while latencies.len() < load.least || Instant::now() < until {
                let sent = Instant::now();
                connection.exchange(exchange).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        }))
        .await?;
    let elapsed = started.elapsed();
    let mut latencies = outcomes.concat();
    latencies.sort_unstable();
    Ok(Timed {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        median: percentile(&latencies, 50),
        percentile_99: percentile(&latencies, 99),
    })
}

/// Nearest rank; of few values the 99th is the largest.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 256 * 1024] })
    }

    async fn exchange(&mut self, exchange: &Exchange<'_>) -> Result<()> {
        self.stream.write_all(exchange.request).await?;
        let mut filled = 0;
        let head = loop {
            filled += self.read(filled).await?;
            if let Some(end) = memchr::memmem::find(&self.buffer[..filled], b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(filled < self.buffer.len(), "the head of the answer does not end");
        };
        let length = check_head(&self.buffer[..filled], head)?;
        ensure!(length == exchange.answer.len(), "{length} bytes came, not {}", exchange.answer.len());
        let mut rest = check_part(exchange.answer.as_bytes(), &self.buffer[head..filled])?;
        while !rest.is_empty() {
            let count = self.read(0).await?;
            rest = check_part(rest, &self.buffer[..count])?;
        }
        Ok(())
    }

    async fn read(&mut self, at: usize) -> Result<usize> {
        let count = self.stream.read(&mut self.buffer[at..]).await?;
        ensure!(count > 0, "the server closed the connection");
        Ok(count)
    }
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
