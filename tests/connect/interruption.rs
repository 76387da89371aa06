//! Who presses Ctrl-C leaves no session behind.

use std::time::Duration;

use rustix::process::Signal;

use crate::command::{Run, finish};
use crate::support::{PATIENCE, processes, wait_for};
use crate::tableau::{Behaviour, Tableau};

#[track_caller]
fn interrupted(slow_path: &'static str, signal: Signal) {
    let slow = Duration::from_secs(3);
    let tableau = Tableau::that(Behaviour { slow, slow_path, ..Behaviour::default() });
    let arguments =
        ["connect", "--tableau", &tableau.url(), "--list", "--site", "sales", "--site", "marketing"];
    let mut run = Run::new(&arguments).token();
    let child = run.start();
    let under_way =
        wait_for(PATIENCE, || tableau.calls().iter().any(|call| call.contains(slow_path)).then_some(()));
    assert!(under_way.is_some());
    processes::signal(child.id(), signal);
    let exit = finish(child);
    assert_eq!(exit.code, Some(130), "{}{}", exit.stdout, exit.stderr);
    assert!(exit.stderr.ends_with("tabpy-rs connect: interrupted\n"), "{}", exit.stderr);
    assert!(exit.stdout.contains("the session is ended"), "{}", exit.stdout);
    let calls = tableau.calls();
    assert!(calls.iter().any(|call| call.ends_with("/auth/signout")), "{calls:?}");
    assert_eq!((tableau.sign_ins(), tableau.open_sessions()), (1, 0));
}

#[test]
fn in_the_middle_of_the_work() {
    interrupted("/connections", Signal::INT);
}

#[test]
fn by_a_platform_that_stops_the_process() {
    interrupted("/connections", Signal::TERM);
}

#[test]
fn while_signing_in() {
    interrupted("/auth/signin", Signal::INT);
}

#[test]
fn on_the_way_to_another_site() {
    interrupted("/auth/switchSite", Signal::INT);
}
