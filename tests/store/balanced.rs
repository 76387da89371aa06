//! Two instances behind a load balancer, one of them killed under load.

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::json;

use crate::engine::{DEPLOY_PATIENCE, Engine, eventually, put, query};
use crate::support::balancer::Balancer;
use crate::support::{Connection, PATIENCE, Postgres, Request};

/// Writes down that it began.
const SOURCE: &str = "import os\ndef f(number, folder):\n    open(os.path.join(folder, str(number)), 'w').close()\n    return number\n";

#[test]
fn an_instance_that_is_killed_takes_no_call_with_it_that_it_had_not_begun() {
    let engine = Engine::Postgres(Postgres::start());
    let begun = tempfile::tempdir().unwrap();
    let folder = begun.path().display().to_string();
    let builder = || engine.builder().env("TABPY_SCRIPT_WRITE", &folder);
    let (mut one, other) = (builder().start().ready(), builder().start().ready());
    assert_eq!(put(&one, "f", SOURCE).status, 201);
    eventually("both have it", PATIENCE, || query(&other, "f", &json!([0, folder])).status == 200);
    let balancer = Balancer::start(&[one.port(), other.port()]);

    let (number, stopping) = (AtomicU32::new(1), AtomicBool::new(false));
    let lost: Vec<u32> = thread::scope(|scope| {
        let load = || {
            let mut lost = Vec::new();
            while !stopping.load(Ordering::Relaxed) {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let body = json!({"data": [number, folder]}).to_string();
                let mut connection = Connection::open(balancer.port());
                connection.set_patience(DEPLOY_PATIENCE);
                let request = Request::post("/query/f", body).header("Connection", "close");
                connection.write(&request.bytes("localhost")).unwrap();
                match connection.read() {
                    Ok(answer) if answer.status == 200 => assert_eq!(answer.json()["response"], number),
                    _ => lost.push(number),
                }
            }
            lost
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(load)).collect();
        let calls = |count: u32| {
            eventually("calls go on", DEPLOY_PATIENCE, || number.load(Ordering::Relaxed) > count);
        };
        calls(200);
        one.signal(Signal::KILL);
        one.wait();
        calls(number.load(Ordering::Relaxed) + 200);
        stopping.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let begun: HashSet<String> = fs::read_dir(begun.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let not_begun: Vec<&u32> = lost.iter().filter(|number| !begun.contains(&number.to_string())).collect();
    assert!(not_begun.is_empty(), "lost without being begun: {not_begun:?} of {lost:?}");
    assert!(lost.len() <= 12, "no more than were under way: {lost:?}");
}
