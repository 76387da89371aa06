//! A client that sends the bytes it is given and reads what comes back, for requests that no
//! well-bred client would send. It refuses nothing and repeats nothing; a server that hangs up
//! early is an error here, so a lost answer can't look like a right one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use base64::Engine;
use serde_json::Value;

/// Ends a test whose answer never comes; far above what any answer takes.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// The value of an `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: None }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    pub fn evaluate(script: &str, data: &Value) -> Self {
        Self::post("/evaluate", serde_json::json!({"script": script, "data": data}).to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn login(self, user: &str, password: &str) -> Self {
        self.header("Authorization", basic(user, password))
    }

    /// Head and body with a Content-Length. A header given by the test stands in place of ours.
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = self.head(host);
        let length = self.body.as_ref().map(Vec::len);
        if let Some(length) = length.filter(|_| !self.has("Content-Length")) {
            bytes.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// The same with the body in chunks of `size` bytes.
    pub fn chunked(&self, host: &str, size: usize) -> Vec<u8> {
        let mut bytes = self.head(host);
        bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in self.body.as_deref().unwrap_or_default().chunks(size) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }

    fn head(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("Host") {
            head += &format!("Host: {host}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head.into_bytes()
    }

    fn has(&self, wanted: &str) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    }

    pub fn method(&self) -> &str {
        &self.method
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in the answer {} {:?}", self.status, self.text()))
    }

    /// The `info` of an error whose status and message are as told. Fails on any other shape.
    #[track_caller]
    pub fn info(&self, status: u16, message: &str) -> String {
        let (found, info) = self.error(status);
        assert_eq!(found, message, "info: {info}");
        info.as_str().unwrap_or_else(|| panic!("info is no text: {info}")).to_owned()
    }

    /// An error without an `info`.
    #[track_caller]
    pub fn info_is_empty(&self, status: u16, message: &str) {
        assert_eq!(self.error(status), (message.to_owned(), serde_json::json!({})));
    }

    /// Message and info of an error in the one shape: exactly these two members, as JSON.
    #[track_caller]
    pub fn error(&self, status: u16) -> (String, Value) {
        assert_eq!(self.status, status, "{}", self.text());
        let kind = self.header("Content-Type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "Content-Type is {kind:?}");
        let Value::Object(mut members) = self.json() else { panic!("no object: {}", self.text()) };
        let message = members.remove("message").unwrap_or_else(|| panic!("no message: {}", self.text()));
        let info = members.remove("info").unwrap_or_else(|| panic!("no info: {}", self.text()));
        assert!(members.is_empty(), "more than message and info: {}", self.text());
        assert!(info.is_string() || info.is_object(), "info is {info}");
        (message.as_str().expect("message is no text").to_owned(), info)
    }

    /// Status and whole body at once.
    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.text().as_str()), (status, body));
    }
}

/// One TCP connection. What was read beyond an answer is kept for the next.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    host: String,
}

impl Connection {
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server does not listen");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ANSWER_PATIENCE)).unwrap();
        stream.set_write_timeout(Some(ANSWER_PATIENCE)).unwrap();
        Self { stream, unread: Vec::new(), host: format!("127.0.0.1:{port}") }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends in pieces with a pause after each.
    pub fn write_slowly(&mut self, bytes: &[u8], piece: usize, pause: Duration) -> io::Result<()> {
        for part in bytes.chunks(piece) {
            self.stream.write_all(part)?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    pub fn send(&mut self, request: &Request) -> Response {
        self.write(&request.bytes(&self.host.clone())).expect("sending failed");
        if request.method() == "HEAD" { self.read_head() } else { self.read() }
            .unwrap_or_else(|error| panic!("no answer to {request:?}: {error}"))
    }

    pub fn send_chunked(&mut self, request: &Request, size: usize) -> Response {
        self.write(&request.chunked(&self.host.clone(), size)).expect("sending failed");
        self.read().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Says that nothing more will be sent, and goes on listening. The server may have hung up.
    pub fn finish_sending(&self) {
        let _gone = self.stream.shutdown(Shutdown::Write);
    }

    pub fn set_patience(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
    }

    /// The next answer, with its body.
    pub fn read(&mut self) -> io::Result<Response> {
        let head = self.read_head()?;
        self.read_rest(head)
    }

    /// The body behind a head that was read alone.
    pub fn read_rest(&mut self, mut response: Response) -> io::Result<Response> {
        if response.status < 200 || response.status == 204 || response.status == 304 {
            return Ok(response);
        }
        if response.header("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            response.body = self.read_chunks()?;
        } else if let Some(length) = response.header("Content-Length") {
            let length = length.parse().expect("Content-Length is no number");
            response.body = self.take(length)?;
        } else {
            while self.fill()? > 0 {}
            response.body = std::mem::take(&mut self.unread);
        }
        Ok(response)
    }

    /// The next answer's head alone.
    pub fn read_head(&mut self) -> io::Result<Response> {
        let first = self.line()?;
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        assert!(version.starts_with("HTTP/1."), "no status line: {first:?}");
        let status = words.next().and_then(|word| word.parse().ok()).expect("no status");
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Response { version, status, headers, body: Vec::new() });
            }
            let (name, value) = line.split_once(':').expect("a header without a colon");
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Whether the server closes the connection (in order or by a reset) before the time is over.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.set_patience(limit);
        let closed = loop {
            match self.fill() {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => {
                    break !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                }
            }
        };
        self.set_patience(ANSWER_PATIENCE);
        closed
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).expect("a bad chunk size");
            let chunk = self.take(size)?;
            assert!(self.line()?.is_empty(), "a chunk without its end");
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let rest = self.unread.split_off(end + 2);
                let line = std::mem::replace(&mut self.unread, rest);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.more()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.more()?;
        }
        let rest = self.unread.split_off(length);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    fn more(&mut self) -> io::Result<()> {
        if self.fill()? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("closed after {:?}", String::from_utf8_lossy(&self.unread)),
            ));
        }
        Ok(())
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 65536];
        let count = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}
