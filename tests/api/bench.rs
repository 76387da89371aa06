//! The bench itself: what every other test builds upon.

use crate::support::{PATIENCE, Request, Server, server::assert_gone, wait_for};

#[test]
fn a_server_starts_answers_and_leaves_nothing_behind() {
    let server = Server::start().ready();
    server.still_works();
    assert!(!server.processes().is_empty(), "scripts run in processes of their own");
    server.shutdown();
}

#[test]
fn workers_do_not_outlive_a_killed_server() {
    let mut server = Server::start().ready();
    server.still_works();
    let family = server.processes();
    assert!(!family.is_empty());
    server.signal(rustix::process::Signal::KILL);
    assert_eq!(server.wait(), None);
    assert_gone(&family);
}

#[test]
fn one_connection_carries_many_requests() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    for round in 0..300 {
        let answer = connection
            .send(&Request::evaluate("return _arg1[0] + 1", &serde_json::json!({"_arg1": [round]})));
        answer.is(200, &(round + 1).to_string());
    }
    assert!(wait_for(PATIENCE, || (!server.processes().is_empty()).then_some(())).is_some());
}
