//! Sends the same requests to a real TabPy 2.16.0 and to this server, and compares the answers.
//! The requests are the tables of `cases/`; a case either expects the same answer, or names a row
//! of docs/differences-from-tabpy.md and says what ours is. So a difference nobody wrote down
//! fails, and so does one that is written down and no longer there. `TABPY_PARITY_ONLY=text`
//! runs the cases with that text in their name, `TABPY_PARITY_SHOW=1` prints every answer.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is a test: what it can't read or start fails it, with the reason"
)]

mod case;
mod client;
mod compare;
mod differences;
#[path = "../support/port.rs"]
mod port;
mod servers;

use std::collections::BTreeMap;
use std::thread;

use case::Case;
use servers::{Pair, Setup};

/// Runs one server pair's cases in order, and returns a line or more for each that is wrong.
fn run(setup: Setup, cases: &[&Case], show: bool) -> Vec<String> {
    let pair = match Pair::start(setup) {
        Ok(pair) => pair,
        Err(reason) => return vec![reason],
    };
    let mut wrong = Vec::new();
    for case in cases {
        let (theirs, ours) = pair.answers(case);
        let verdict = compare::verdict(case, &theirs, &ours);
        if show || verdict.is_err() {
            let reason = verdict.as_ref().err().map_or("fine", String::as_str);
            wrong.push(format!("{}\n    {reason}\n    TabPy {theirs}\n    ours  {ours}", case.name));
        }
    }
    wrong
}

#[test]
fn answers_are_those_of_tabpy() {
    if let Err(reason) = servers::tabpy_program() {
        panic!("{reason}");
    }
    let only = std::env::var("TABPY_PARITY_ONLY").unwrap_or_default();
    let show = std::env::var_os("TABPY_PARITY_SHOW").is_some();
    let cases = case::all();
    let mut by_setup: BTreeMap<Setup, Vec<&Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.name.contains(&only)) {
        by_setup.entry(case.server).or_default().push(case);
    }
    let wrong: Vec<String> = thread::scope(|scope| {
        let runs: Vec<_> =
            by_setup.iter().map(|(setup, cases)| scope.spawn(move || run(*setup, cases, show))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), cases.len(), wrong.join("\n\n"));
}

#[test]
fn every_difference_is_written_down() {
    let listed = differences::listed();
    let cases = case::all();
    let used: Vec<&str> = cases.iter().filter_map(|case| case.differs.as_deref()).collect();
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(id) = &case.differs
            && !listed.contains_key(id)
        {
            wrong.push(format!("the case \"{}\" names `{id}`, which no row has", case.name));
        }
    }
    for (id, row) in &listed {
        match (row.seen_in_an_answer, used.contains(&id.as_str())) {
            (true, false) => wrong.push(format!("no case shows `{id}`")),
            (false, true) => wrong.push(format!("`{id}` has a case: it belongs in a table above")),
            _ => {}
        }
        if row.cells.iter().any(String::is_empty) {
            wrong.push(format!("`{id}` leaves a column empty"));
        }
    }
    assert!(wrong.is_empty(), "docs/differences-from-tabpy.md: {}", wrong.join("\n"));
}

#[test]
fn every_case_has_its_own_name() {
    let mut seen = std::collections::HashSet::new();
    for case in case::all() {
        assert!(seen.insert(case.name.clone()), "two cases are called \"{}\"", case.name);
    }
}
