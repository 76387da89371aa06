//! A request's bytes out, an answer's bytes in, over a connection of its own. No HTTP library, so
//! that a case may be malformed and an answer is seen as it was sent.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use flate2::read::GzDecoder;

/// Longer than any timeout that a case runs into.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Full(Response),
    /// The connection was closed without an answer, or nothing came.
    Nothing,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// Inflated.
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Answer {
    #[cfg(test)]
    pub(crate) fn parsed(mut bytes: &[u8]) -> Self {
        read(&mut bytes, false).map_or(Self::Nothing, Self::Full)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Full(response) = self else { return out.write_str("(no answer)") };
        let body: String = response.text().chars().take(600).collect();
        let kind = response.header("Content-Type").unwrap_or("-");
        write!(out, "{} {kind} {}", response.status, body.escape_debug().to_string().replace("\\\"", "\""))
    }
}

pub(crate) fn ask(port: u16, request: &[u8]) -> Answer {
    let head_only = request.starts_with(b"HEAD ");
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Answer::Nothing };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        // A server may answer, and close, before it has read a body that it refuses.
        let writer = scope.spawn(move || {
            let _ = stream.write_all(request);
            stream
        });
        let answer = read(&mut BufReader::new(reader), head_only).map_or(Answer::Nothing, Answer::Full);
        if let Ok(stream) = writer.join() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        answer
    })
}

fn read(stream: &mut impl BufRead, head_only: bool) -> Option<Response> {
    let (status, headers) = loop {
        let (status, headers) = read_head(stream)?;
        if status >= 200 {
            break (status, headers);
        }
    };
    let mut response = Response { status, headers, body: Vec::new() };
    if head_only || status == 204 || status == 304 {
        return Some(response);
    }
    if response.header("Transfer-Encoding").is_some() {
        loop {
            let line = read_line(stream)?;
            let length = u64::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
            stream.take(length).read_to_end(&mut response.body).ok()?;
            read_line(stream)?;
            if length == 0 {
                break;
            }
        }
    } else if let Some(length) = response.header("Content-Length") {
        let length: usize = length.parse().ok()?;
        stream.take(length as u64).read_to_end(&mut response.body).ok()?;
        if response.body.len() < length {
            return None;
        }
    } else {
        stream.read_to_end(&mut response.body).ok()?;
    }
    if response.header("Content-Encoding") == Some("gzip") {
        let mut inflated = Vec::new();
        GzDecoder::new(response.body.as_slice()).read_to_end(&mut inflated).ok()?;
        response.body = inflated;
    }
    Some(response)
}

fn read_head(stream: &mut impl BufRead) -> Option<(u16, Vec<(String, String)>)> {
    let status = read_line(stream)?.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            return Some((status, headers));
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}
