//! A server that is killed at any moment of a deployment: afterwards the function is there as a whole, in
//! its old version or in the new one, and what was confirmed is there.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::engine::{Engine, on_both_engines, query};
use crate::support::{Request, Server, wait_for};

on_both_engines! {
    a_kill_at_any_moment_leaves_a_whole_version
}

/// How often, for each engine. A soak asks for more.
fn kills() -> u32 {
    std::env::var("SOAK_KILLS").ok().map_or(100, |text| text.parse().unwrap())
}

/// Large enough for writing to take its time.
fn source(version: u64) -> String {
    let padding = format!("# {version}\n").repeat(40_000);
    format!("{padding}def f():\n    return {version}\n")
}

fn a_kill_at_any_moment_leaves_a_whole_version(engine: &mut Engine) {
    let mut server = engine.builder().env("TABPY_PRELOAD", "none").env("TABPY_WORKERS", 1).start().ready();
    let mut confirmed = 0;
    let mut newer = 0;
    for kill in 0..kills() {
        // Spread over the whole of a deployment, and beyond its end.
        let after = Duration::from_millis(u64::from(kill * 37 % 240));
        let answered = deploy_until_killed(&server, confirmed + 1, after);
        server.wait();
        server = server.start_again().ready();
        let answer = query(&server, "f", &json!([]));
        let found = if answer.status == 404 { 0 } else { answer.json()["response"].as_u64().unwrap() };
        if found > 0 {
            assert_eq!(answer.json()["version"], found, "the version is the one that says so");
            assert_eq!(server.get("/endpoints/f").json()["version"], found);
        }
        assert!(found >= answered, "{answered} was confirmed, {found} is there (kill {kill})");
        assert!(found <= answered + 1, "{found} was never sent (kill {kill})");
        newer += u32::from(found > confirmed);
        confirmed = found;
    }
    assert!(newer > kills() / 10 && confirmed > 0, "deployments got through now and then: {newer}");
    server.shutdown();
}

/// Deploys one version after the other; gives the last one that was confirmed.
fn deploy_until_killed(server: &Server, first: u64, after: Duration) -> u64 {
    let end = Instant::now() + after;
    let mut version = first;
    loop {
        let request = Request::new("PUT", "/functions/f").body(source(version));
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
