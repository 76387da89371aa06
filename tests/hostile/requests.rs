//! Requests that mean harm: bombs, half a body, a head that never ends, passwords by the thousand.
//! They hold neither a worker nor the server.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::arena::{Arena, ONE, PASSWORD, USER, USUAL};
use crate::support::{Connection, Request};

fn gzip(pieces: usize, piece: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..pieces {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn gzip_bombs() {
    let arena = Arena::start(USUAL, |builder| builder.env("TABPY_MAX_REQUEST_SIZE_MB", "10"));
    let bomb = gzip(200, &vec![b' '; 1024 * 1024]);
    assert!(bomb.len() < 10 * 1024 * 1024);
    let request =
        Request::post("/evaluate", bomb.clone()).header("Content-Encoding", "gzip").login(USER, PASSWORD);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (message, info) = arena.server().send(&request).error(413);
                assert!(format!("{message} {info}").contains("TABPY_MAX_REQUEST_SIZE_MB"));
            });
        }
    });
    arena.holds("4 bombs of 200 MB", &arena.marker());
    // Without credentials nothing is inflated.
    let answer = arena.server().send(&Request::post("/evaluate", bomb).header("Content-Encoding", "gzip"));
    answer.error(answer.status);
    assert!([401, 413].contains(&answer.status));
    arena.holds("a bomb of a stranger", &arena.marker());
}

#[test]
fn heads_that_never_end() {
    let arena = Arena::start(USUAL, |builder| builder);
    let mut slow: Vec<Connection> = (0..300).map(|_| arena.connect()).collect();
    for round in 0..10 {
        for connection in &mut slow {
            let part =
                if round == 0 { "POST /evaluate HTTP/1.1\r\n".into() } else { format!("X-{round}: a\r\n") };
            // A server that hangs up is right, too.
            let _closed = connection.write(part.as_bytes());
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert!(arena.good_calls().failures.is_empty());
    drop(slow);
    arena.holds("300 slow heads", &arena.marker());
    let mut connection = arena.connect();
    let _refused =
        connection.write(format!("GET /info HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(8_000_000)).as_bytes());
    drop(connection);
    arena.holds("a head of 8 MB", &arena.marker());
}

#[test]
fn bodies_that_never_end() {
    let arena = Arena::start(ONE, |builder| builder);
    let bytes = arena.request("return _arg1", json!({"_arg1": [1]})).bytes("127.0.0.1");
    let mut halves: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = arena.connect();
            connection.write(&bytes[..bytes.len() - 5]).unwrap();
            connection
        })
        .collect();
    thread::sleep(Duration::from_secs(1));
    let calls = arena.good_calls();
    assert!(calls.failures.is_empty() && calls.turned_away.is_empty(), "{calls:?}");
    for connection in &mut halves[..50] {
        // What is complete is answered, however long it took.
        connection.write(&bytes[bytes.len() - 5..]).unwrap();
        connection.read().unwrap().is(200, "[1]");
    }
    drop(halves);
    let announced = "POST /evaluate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000000\r\n";
    let head = format!("{announced}Authorization: {}\r\n\r\n", crate::support::basic(USER, PASSWORD));
    let mut waiting: Vec<Connection> = (0..50).map(|_| arena.connect()).collect();
    for connection in &mut waiting {
        connection.write(head.as_bytes()).unwrap();
    }
    thread::sleep(Duration::from_millis(500));
    let grown = arena.now().front_memory.saturating_sub(arena.before().front_memory);
    assert!(grown < 100 * 1024, "50 announcements of 90 MB took {grown} kB");
    drop(waiting);
    arena.holds("100 half bodies, 50 announced ones", &arena.marker());
}

#[test]
fn answers_that_nobody_reads() {
    let arena = Arena::start(USUAL, |builder| builder);
    let mut deaf: Vec<Connection> = (0..8).map(|_| arena.begin("return ['x' * 1000] * 20000")).collect();
    thread::sleep(Duration::from_secs(2));
    let calls = arena.good_calls();
    assert!(calls.failures.is_empty() && calls.turned_away.is_empty(), "{calls:?}");
    for connection in &mut deaf[..2] {
        assert_eq!(arena.read(connection).unwrap().status, 200);
    }
    drop(deaf);
    arena.holds("8 answers of 20 MB that nobody reads", &arena.marker());
}

#[test]
fn connections_by_the_hundred() {
    let arena = Arena::start(USUAL, |builder| builder);
    for _ in 0..3 {
        let crowd: Vec<Connection> = (0..500).map(|_| arena.connect()).collect();
        assert_eq!(arena.get("/info").status, 200);
        drop(crowd);
    }
    let mut pipelined = arena.connect();
    let bytes = Request::get("/info").login(USER, PASSWORD).bytes("127.0.0.1").repeat(2000);
    let _full = pipelined.write(&bytes);
    pipelined.read().unwrap();
    drop(pipelined);
    arena.holds("1,500 connections", &arena.marker());
}

/// The number: 10,000 wrong passwords a minute.
#[test]
fn guessing_passwords_slows_nobody_who_has_one() {
    let arena = Arena::start(USUAL, |builder| builder);
    thread::sleep(Duration::from_secs(2));
    let before = arena.good_calls();
    let (guesses, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let started = Instant::now();
    let during = thread::scope(|scope| {
        for guesser in 0..4 {
            let (guesses, over, arena) = (&guesses, &over, &arena);
            scope.spawn(move || {
                let mut connection = arena.connect();
                while !over.load(Ordering::Relaxed) {
                    let number = guesses.fetch_add(1, Ordering::Relaxed);
                    let user = if number % 2 == 0 { USER.to_owned() } else { format!("user{number}") };
                    let request =
                        Request::evaluate("return 1", &json!({})).login(&user, &format!("wrong{number}"));
                    connection.send(&request).error(401);
                    // 42 a second each, if the server keeps up.
                    let due = Duration::from_millis(24) * u32::try_from(number / 4).unwrap();
                    thread::sleep(due.saturating_sub(started.elapsed()) + Duration::from_millis(guesser));
                }
            });
        }
        thread::sleep(Duration::from_secs(6));
        over.store(true, Ordering::Relaxed);
        arena.good_calls()
    });
    let rate = guesses.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64() * 60.0;
    eprintln!(
        "figures: guessing passwords: {rate:.0} a minute, median {:?} before, {:?} during, slowest {:?}",
        before.median(),
        during.median(),
        during.slowest()
    );
    assert!(during.failures.is_empty() && during.turned_away.is_empty(), "{during:?}");
    assert!(during.median() < before.median() * 10 + Duration::from_millis(100));
    arena.holds("guessing passwords", &arena.marker());
}
