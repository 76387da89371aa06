//! HAProxy before two servers, as compose.yaml has it: one of them may go at any time, and nobody notices.

use crate::proxy::{Proxy, deployed, program};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Connection, Request, Server, port, wait_for};

#[test]
fn one_of_two_servers_ends_and_no_call_fails() {
    let Some(program) = program("haproxy") else { return };
    let start = || {
        let builder = Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess");
        // So that the log has the balancer's questions.
        builder.env("TABPY_LOG_LEVEL", "debug").start().ready()
    };
    let (mut first, second) = (start(), start());
    let port = port::free();
    let config = deployed(
        "haproxy.cfg",
        &[
            ("bind :9004", &format!("bind 127.0.0.1:{port}")),
            ("tabpy-1:9004", &first.host()),
            ("tabpy-2:9004", &second.host()),
        ],
    );
    let _proxy = Proxy::start(&program, &["-db", "-f", "haproxy.cfg"], &[("haproxy.cfg", &config)], &[port]);
    let evaluate = || {
        let script = "import time\ntime.sleep(0.02)\nreturn 1";
        let request = Request::evaluate(script, &serde_json::json!({})).login("ada", "countess");
        Connection::open(port).send(&request).is(200, "1");
    };
    // At first the proxy takes both for healthy, and so do the calls.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10).for_each(|_| evaluate()));
        }
    });
    for server in [&first, &second] {
        server.wait_for_log("status=200");
    }
    let asked =
        || first.log().lines().filter(|line| line.contains("/readyz") && line.contains("status=200")).count();
    // The bench has asked once, the balancer twice.
    wait_for(Duration::from_secs(15), || (asked() >= 3).then_some(())).expect("the balancer asks nothing");
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !gone.load(Ordering::Relaxed) {
                    evaluate();
                }
                (0..20).for_each(|_| evaluate());
            });
        }
        first.signal(Signal::TERM);
        // It lingers for the balancer's sake.
        let stopped =
            wait_for(Duration::from_secs(15), || first.log().contains("message=stopped").then_some(()));
        gone.store(true, Ordering::Relaxed);
        assert!(stopped.is_some(), "{}", first.log());
    });
    assert_eq!(first.wait(), Some(0));
    // And when it is back, it is used again.
    let again = first.start_again().ready();
    let used = wait_for(Duration::from_secs(15), || {
        evaluate();
        again.log().contains("status=200").then_some(())
    });
    assert!(used.is_some(), "{}", again.log());
}
