//! What holds on this kernel, as the server's log tells it, and what its processes are.

use serde_json::json;

use crate::support::processes::{Process, descendants};
use crate::support::{Builder, Server};

pub(crate) struct Held {
    pub(crate) landlock: u32,
    pub(crate) seccomp: bool,
}

/// Starts, and waits until the log tells what holds.
#[track_caller]
pub(crate) fn start(builder: Builder) -> (Server, Held) {
    let server = builder.start().ready();
    let line = server.wait_for_log("confined");
    let landlock = line.split_once("\"landlock ").or(line.split_once("=landlock "));
    let landlock = landlock.and_then(|(_, rest)| rest.split(',').next()?.trim().parse().ok());
    let held = Held { landlock: landlock.unwrap_or(0), seccomp: line.contains(" seccomp,") };
    (server, held)
}

/// The process that forks workers.
#[track_caller]
pub(crate) fn fork_server(server: &Server) -> Process {
    let family = server.processes();
    let found = family.into_iter().find(|process| process.command_line().contains("worker --fork"));
    let found = found.expect("there is no fork server");
    // Workers carry the same command line, and are its children.
    assert!(!descendants(found.pid).is_empty());
    found
}

/// The error that the script ends with.
#[track_caller]
pub(crate) fn denied(server: &Server, script: &str) -> String {
    let answer = server.evaluate(script, json!({}));
    answer.info(500, "Error processing script")
}

/// The script has to be refused by the kernel.
#[track_caller]
pub(crate) fn is_refused(server: &Server, script: &str) -> String {
    let info = denied(server, script);
    assert!(info.starts_with("PermissionError : "), "{script:?} gave {info}");
    info
}
