//! The end of a server: what is under way finishes, what is left behind is nothing.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Connection, PATIENCE, Request, Server, processes, server::assert_gone, wait_for};

/// A call that runs for a while; returns when it surely has begun.
fn call_in_flight(server: &Server, seconds: u32) -> Connection {
    let marker = format!("{seconds}.0{}", server.port());
    let script = format!("import subprocess\nsubprocess.run(['sleep', '{marker}'])\nreturn 'finished'");
    let mut connection = server.connect();
    connection.write(&Request::evaluate(&script, &json!({})).bytes(connection.host())).unwrap();
    let began = wait_for(PATIENCE, || (!processes::with_argument(&marker).is_empty()).then_some(()));
    assert!(began.is_some(), "the call never began");
    connection
}

fn refuses(server: &Server) -> bool {
    wait_for(PATIENCE, || TcpStream::connect(("127.0.0.1", server.port())).is_err().then_some(())).is_some()
}

#[test]
fn a_call_in_flight_finishes() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start().ready();
        let family = server.processes();
        let mut connection = call_in_flight(&server, 2);
        server.signal(signal);
        assert!(refuses(&server), "the listener stays open");
        connection.read().unwrap().is(200, "\"finished\"");
        assert_eq!(server.wait(), Some(0));
        assert_gone(&family);
    }
}

#[test]
fn a_second_signal_does_no_harm() {
    let mut server = Server::start().ready();
    let mut connection = call_in_flight(&server, 2);
    for _ in 0..3 {
        server.signal(Signal::TERM);
        sleep(Duration::from_millis(100));
    }
    connection.read().unwrap().is(200, "\"finished\"");
    assert_eq!(server.wait(), Some(0));
}

/// A platform sends SIGTERM to every process, a terminal SIGINT to the whole foreground group.
#[track_caller]
fn finishes_though_all_are_told(signal: Signal) {
    let mut server = Server::start().ready();
    let family = server.processes();
    let mut connection = call_in_flight(&server, 2);
    for process in &family {
        processes::signal(process.pid, signal);
    }
    server.signal(signal);
    connection.read().unwrap().is(200, "\"finished\"");
    assert_eq!(server.wait(), Some(0));
    assert_gone(&family);
}

#[test]
fn a_platforms_signal_to_every_process_lets_the_call_finish() {
    finishes_though_all_are_told(Signal::TERM);
}

#[test]
fn a_terminals_interrupt_of_every_process_lets_the_call_finish() {
    finishes_though_all_are_told(Signal::INT);
}

#[test]
fn an_endless_call_is_ended_at_the_shutdown_timeout() {
    let mut server = Server::builder().env("TABPY_SHUTDOWN_TIMEOUT", "1").start().ready();
    let family = server.processes();
    let _connection = call_in_flight(&server, 3600);
    server.signal(Signal::TERM);
    assert!(server.wait().is_some(), "it ended by a signal");
    assert_gone(&family);
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    let mut server = Server::start().ready();
    let mut idle: Vec<Connection> = (0..10).map(|_| server.connect()).collect();
    for connection in &mut idle[..5] {
        assert_eq!(connection.send(&Request::get("/info")).status, 200);
    }
    let half = Request::evaluate("return 1", &json!({})).bytes(idle[0].host());
    idle[9].write(&half[..20]).unwrap();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_signal_during_the_start_ends_it() {
    let mut server = Server::start();
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn workers_do_not_outlive_a_server_killed_during_calls() {
    let mut server = Server::start().ready();
    let mut sleeping = server.connect();
    let sleep_long = Request::evaluate("import time\ntime.sleep(3600)", &json!({}));
    sleeping.write(&sleep_long.bytes(sleeping.host())).unwrap();
    let mut looping = server.connect();
    looping.write(&Request::evaluate("while True: pass", &json!({})).bytes(looping.host())).unwrap();
    sleep(Duration::from_millis(300));
    let family = server.processes();
    server.signal(Signal::KILL);
    assert_eq!(server.wait(), None);
    assert_gone(&family);
}

#[test]
fn temporary_files_are_gone_with_the_server() {
    let builder = Server::builder();
    let temporary = builder.folder().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let server =
        builder.clone().env("TMPDIR", temporary.display()).env("TABPY_EVALUATE_TIMEOUT", "1").start().ready();
    let script = "import tempfile\nf = tempfile.NamedTemporaryFile(delete=False)\nf.write(b'x' * 1000)\nf.flush()\nreturn 1";
    server.evaluate(script, json!({})).is(200, "1");
    server.evaluate(&script.replace("return 1", "while True: pass"), json!({})).error(408);
    server.still_works();
    server.shutdown();
    let left: Vec<_> =
        std::fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
