//! A client that does nothing wrong: it calls in a loop on a kept-alive connection, each time with
//! another value, and writes down what it got. It judges nothing; the arena does.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Connection, PATIENCE, Request, basic};

#[derive(Clone, Debug, Default)]
pub struct Calls {
    pub times: Vec<Duration>,
    /// Answers 503 with `Retry-After`: allowed only where all workers are taken.
    pub turned_away: Vec<String>,
    pub failures: Vec<String>,
}

impl Calls {
    pub fn slowest(&self) -> Duration {
        self.times.iter().max().copied().unwrap_or_default()
    }

    pub fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

pub struct GoodClient {
    calls: Arc<Mutex<Calls>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl GoodClient {
    pub fn start(port: u16, user: &'static str, password: &str) -> Self {
        let calls = Arc::new(Mutex::new(Calls::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let authorization = basic(user, password);
        let thread = std::thread::spawn({
            let (calls, stop) = (Arc::clone(&calls), Arc::clone(&stop));
            move || run(port, &authorization, &calls, &stop)
        });
        Self { calls, stop, thread: Some(thread) }
    }

    /// The calls since the last look.
    pub fn take(&self) -> Calls {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    pub fn has_called(&self) -> bool {
        let calls = self.calls.lock().unwrap();
        !(calls.times.is_empty() && calls.turned_away.is_empty() && calls.failures.is_empty())
    }
}

impl Drop for GoodClient {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn run(port: u16, authorization: &str, calls: &Mutex<Calls>, stop: &AtomicBool) {
    let mut number = 0_u64;
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let started = Instant::now();
        let outcome = call(port, &mut kept, authorization, number);
        let took = started.elapsed();
        let mut calls = calls.lock().unwrap();
        match outcome {
            Ok(Answer::Right) => calls.times.push(took),
            Ok(Answer::TurnedAway(text)) => calls.turned_away.push(format!("{text} after {took:?}")),
            Err(text) => {
                calls.failures.push(format!("{text} after {took:?}"));
                kept = None;
            }
        }
        drop(calls);
        // A person looks at a view in between; the machine has other things to do.
        std::thread::sleep(Duration::from_millis(4));
    }
}

enum Answer {
    Right,
    TurnedAway(String),
}

fn call(
    port: u16,
    kept: &mut Option<Connection>,
    authorization: &str,
    number: u64,
) -> Result<Answer, String> {
    if kept.is_none() {
        drop(TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("no connection: {error}"))?);
        let connection = Connection::open(port);
        connection.set_patience(PATIENCE);
        *kept = Some(connection);
    }
    let connection = kept.as_mut().unwrap();
    let request = Request::evaluate("return [x * 2 for x in _arg1]", &json!({"_arg1": [number]}))
        .header("Authorization", authorization);
    let bytes = request.bytes(connection.host());
    connection.write(&bytes).map_err(|error| format!("cannot send: {error}"))?;
    let answer = connection.read().map_err(|error| format!("no answer: {error}"))?;
    match answer.status {
        200 if answer.text() == format!("[{}]", number * 2) => Ok(Answer::Right),
        503 if answer.header("Retry-After").is_some() => Ok(Answer::TurnedAway(answer.text())),
        status => Err(format!("{status} {:.300} to {number}", answer.text())),
    }
}
