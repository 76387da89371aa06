//! Clients that wait for a worker at the same time, and what makes certain that they do.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Builder, Connection, PATIENCE, Request, Response, Server, wait_for};

/// Light, whatever it is given.
pub const ADD: &str = "return [x + 1 for x in _arg1]";

/// Light for small numbers, long for large ones, and endless for `ENDLESS`.
pub const COUNT: &str = "n = 0\nwhile n < _arg1[0]: n += 1\nreturn n";
pub const ENDLESS: f64 = 1e300;

/// Takes a few hundredths of a second.
const TRIAL: f64 = 300_000.0;

/// A server of so many workers that says in JSON what it did.
pub fn workers(count: u32) -> Builder {
    Server::builder()
        .env("TABPY_WORKERS", count)
        .env("TABPY_MAX_WORKERS", count)
        .env("TABPY_LOG_FORMAT", "json")
}

pub fn asks(script: &str, value: impl Into<Value>) -> Request {
    Request::evaluate(script, &json!({"_arg1": [value.into()]}))
}

/// Has a script run until it was quick, which the server remembers. On a machine that is too slow for that
/// the requests that follow go one by one, and the tests find the same answers.
pub fn teach(server: &Server, request: &Request) {
    let mut connection = server.connect();
    let request = request.clone().header("TabPy-Details", "true");
    let mut quick = 0;
    for _ in 0..100 {
        let answer = connection.send(&request);
        assert!(answer.status < 500, "{}", answer.text());
        quick = if milliseconds(&answer) < 0.8 { quick + 1 } else { 0 };
        if quick == 2 {
            return;
        }
    }
    eprintln!("figures: {request:?} was never quick");
}

/// A server that knows both scripts above.
pub fn taught(builder: Builder) -> Server {
    let server = builder.start().ready();
    for script in [ADD, COUNT] {
        teach(&server, &asks(script, 1));
    }
    server
}

/// Addresses differ from one process to the next, and from one run of a script to the next.
pub fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let start = parts.next().unwrap_or_default().to_owned();
    parts.fold(start, |shown, part| shown + "0x…" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
}

/// How long Python took.
fn milliseconds(answer: &Response) -> f64 {
    let timing = answer.header("Server-Timing").unwrap_or_else(|| panic!("{answer:?}"));
    timing.rsplit_once('=').and_then(|(_, time)| time.parse().ok()).unwrap_or_else(|| panic!("{timing}"))
}

/// A worker that is busy for a while, as those who come now will wait for it.
pub fn busy(server: &Server) -> Connection {
    busy_for(server, 0.3)
}

/// Only who has run nothing but pure scripts is sent several at once, so it counts rather than looks at a clock.
pub fn busy_for(server: &Server, seconds: f64) -> Connection {
    let counting = "n = 0\nwhile n < _arg1[0]: n += 1\nreturn 'slept'";
    // The quickest counts: the others shared the processor.
    let trials = [(); 3].map(|()| {
        let asked = Instant::now();
        server.send(&asks(counting, TRIAL)).is(200, "\"slept\"");
        asked.elapsed().as_secs_f64()
    });
    let steps = TRIAL * seconds / trials.into_iter().fold(f64::INFINITY, f64::min);
    let sleeper = sent(server, &asks(counting, steps));
    thread::sleep(Duration::from_millis(80));
    sleeper
}

/// Ends the only worker, so that the next one has run nothing yet.
#[track_caller]
pub fn renew(server: &Server) {
    let old = worker(server);
    old.kill();
    assert!(wait_for(PATIENCE, || (!old.runs()).then_some(())).is_some(), "it does not end");
    let new = wait_for(PATIENCE, || Some(worker(server).pid).filter(|pid| *pid != old.pid));
    assert!(new.is_some(), "no other worker");
    // It has said hello.
    server.evaluate("return 1", json!({})).is(200, "1");
}

/// A request on its way.
pub fn sent(server: &Server, request: &Request) -> Connection {
    let mut connection = server.connect();
    let bytes = request.bytes(connection.host());
    connection.write(&bytes).unwrap();
    connection
}

/// Sends all while the workers are busy, in order.
pub fn waiting(server: &Server, requests: &[Request]) -> Vec<Connection> {
    let mut connections = Vec::new();
    for request in requests {
        connections.push(sent(server, request));
        // So that they stand in the line in this order.
        thread::sleep(Duration::from_millis(1));
    }
    connections
}

/// All answers, in the order of the requests; read side by side, so that nobody's answer waits for another's.
#[track_caller]
pub fn read(connections: &mut [Connection]) -> Vec<Response> {
    thread::scope(|scope| {
        let readers: Vec<_> = connections
            .iter_mut()
            .map(|connection| scope.spawn(move || connection.read().expect("no answer")))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    })
}

/// The answers of requests that waited together for the one worker.
#[track_caller]
pub fn together(server: &Server, requests: &[Request]) -> Vec<Response> {
    renew(server);
    let mut sleeper = busy(server);
    let answers = read(&mut waiting(server, requests));
    sleeper.read().unwrap().is(200, "\"slept\"");
    answers
}

/// The process that runs scripts; the only one, or any.
#[track_caller]
pub fn worker(server: &Server) -> crate::support::processes::Process {
    let found = wait_for(PATIENCE, || {
        server.processes().into_iter().find(|process| process.name() == "tabpy-worker")
    });
    found.expect("no worker")
}

/// A figure of `/metrics`.
#[track_caller]
pub fn figure(server: &Server, name: &str) -> f64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|line| line.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{text}"))
}
