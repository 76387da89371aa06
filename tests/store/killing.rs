//! A server that is killed at any moment of a deployment: afterwards the function is there as a whole, in
//! its old version or in the new one, and what was confirmed is there.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::engine::{Engine, on_both_engines, put, query};
use crate::support::{Request, Server, wait_for};

on_both_engines! {
    a_kill_at_any_moment_leaves_a_whole_version
}

/// How often, for each engine. A soak asks for more.
fn kills() -> u32 {
    std::env::var("SOAK_KILLS").ok().map_or(100, |text| text.parse().unwrap())
}

/// Side by side, as most of the time is waiting; on Postgres all of them share the database.
const SERVERS: u32 = 4;

/// Large enough for writing to take its time.
fn source(version: u64) -> String {
    let padding = format!("# {version}\n").repeat(40_000);
    format!("{padding}def f():\n    return {version}\n")
}

fn a_kill_at_any_moment_leaves_a_whole_version(engine: &mut Engine) {
    let engine = &*engine;
    thread::scope(|scope| {
        for number in 0..SERVERS {
            scope.spawn(move || kill_again_and_again(engine, &format!("f{number}"), kills() / SERVERS));
        }
    });
}

fn kill_again_and_again(engine: &Engine, name: &str, kills: u32) {
    let mut server = engine.builder().env("TABPY_PRELOAD", "none").env("TABPY_WORKERS", 1).start().ready();
    let begun = Instant::now();
    assert_eq!(put(&server, name, &source(1)).status, 201);
    let mut reach = begun.elapsed() * 2;
    let mut confirmed = 1;
    let mut newer = 0;
    for kill in 0..kills {
        // Spread over the whole of a deployment, and beyond its end.
        let after = reach * (kill * 37 % 100) / 100;
        let answered = deploy_until_killed(&server, name, confirmed + 1, after);
        server.wait();
        server = server.start_again().ready();
        let answer = query(&server, name, &json!([]));
        assert_eq!(answer.status, 200, "{} (kill {kill})", answer.text());
        let found = answer.json()["response"].as_u64().unwrap();
        assert_eq!(answer.json()["version"], found, "the version is the one that says so");
        assert_eq!(server.get(&format!("/endpoints/{name}")).json()["version"], found);
        assert!(found >= answered, "{answered} was confirmed, {found} is there (kill {kill})");
        assert!(found <= answered + 1, "{found} was never sent (kill {kill})");
        // How long one takes changes with what else the machine does: about half of them are to get through.
        reach = if found > confirmed { reach * 4 / 5 } else { reach * 5 / 4 };
        newer += u32::from(found > confirmed);
        confirmed = found;
    }
    assert!(newer > kills / 20 && newer < kills, "some deployments got through, some did not: {newer}");
    server.shutdown();
}

/// Deploys one version after the other; gives the last one that was confirmed.
fn deploy_until_killed(server: &Server, name: &str, first: u64, after: Duration) -> u64 {
    let end = Instant::now() + after;
    let mut version = first;
    loop {
        let request = Request::new("PUT", &format!("/functions/{name}")).body(source(version));
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(&request.bytes(&server.host())).unwrap();
        // Until the answer begins to come, or it is time.
        stream.set_nonblocking(true).unwrap();
        let come =
            wait_for(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)), || {
                stream.peek(&mut [0]).is_ok_and(|bytes| bytes > 0).then_some(())
            });
        if come.is_none() {
            server.signal(Signal::KILL);
            return version - 1;
        }
        version += 1;
    }
}
