//! What a server does with the descriptors that the system lets it have.

use std::collections::BTreeSet;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::support::{Connection, Request, Server};

#[test]
fn more_connections_than_the_usual_limit_leaves_room_for() {
    let server = Server::builder().under(&["prlimit", "--nofile=128:4096"]).start().ready();
    let mut connections: Vec<Connection> = (0..300).map(|_| server.connect()).collect();
    for connection in &mut connections {
        assert_eq!(connection.send(&Request::get("/info")).status, 200);
    }
    let limits = server.value("import resource\nreturn list(resource.getrlimit(resource.RLIMIT_NOFILE))");
    assert_eq!(limits, "[1024, 1024]");
}

#[test]
fn a_shortage_of_descriptors_costs_no_worker() {
    let server = Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1).start().ready();
    let worker = server.value("import os\nreturn os.getpid()");
    let mut connection = server.connect();
    let small = Request::evaluate("return _arg1", &json!({"_arg1": [1]}));
    connection.send(&small).is(200, "[1]");
    // Longer than what the kernel takes at once, so that the rest has to wait for room.
    let long = Request::evaluate("return len(_arg1)", &json!({"_arg1": vec!["seven"; 100_000]}));
    connection.send(&long).is(200, "100000");

    let number = i32::try_from(server.pid()).ok().and_then(Pid::from_raw);
    let most = first_free(server.pid());
    // The hard limit is this process's own, too.
    let before =
        prlimit(number, Resource::Nofile, Rlimit { current: Some(most), ..getrlimit(Resource::Nofile) })
            .unwrap();
    connection.send(&long).is(200, "100000");
    connection.send(&small).is(200, "[1]");
    prlimit(number, Resource::Nofile, before).unwrap();
    assert_eq!(server.value("import os\nreturn os.getpid()"), worker);
}

/// The number that the next descriptor of a process would have.
fn first_free(process: u32) -> u64 {
    let names = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let taken: BTreeSet<u64> =
        names.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    (0..).find(|number| !taken.contains(number)).unwrap()
}
