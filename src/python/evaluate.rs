//! The body of `POST /evaluate` and its answer, from the parser to the writer, with the script between
//! them; and whether that script may run in this process. What it has left behind is `aftermath`'s.

use pyo3::prelude::*;

use super::arguments::Call;
use super::exception::{self, Stage};
use super::script::Risk;
use super::{Aftermath, Interpreter, Outcome, interpreter, json, replace, too_large};
use crate::mapping;
use crate::wire::{LONG, PART};

/// How a body is to be evaluated.
pub struct Asked {
    /// The newest generation of deployed functions.
    pub generation: u64,
    pub only_if_pure: bool,
    /// Whether a long answer may be written by two threads.
    pub write_beside: bool,
}

/// Where a body is.
pub enum Source<'a> {
    /// The buffer holds it from `start` on, or the beginning of it, and `read` gives the rest.
    Buffer { start: usize, length: usize, read: &'a mut json::Read<'a> },
    /// Another process puts it in its place, and `told` says how much of it is there.
    Memory { place: mapping::Place<'a>, told: &'a mut json::Told<'a> },
}

impl Interpreter {
    /// Evaluates the body of a `POST /evaluate`, writes the answer to `buffer`, where the body may have been, and hands
    /// that to `reply` before the arguments are freed and the process is put right, which takes its time. Says, too,
    /// what that has come to. With `only_if_pure`, a script that is not is declined; else the first such script of
    /// the process is `confessed` before it can do anything, and not run if nobody hears, and a long answer goes to
    /// `part` as it is written, up to its last part.
    pub fn evaluate<R>(
        &mut self,
        buffer: &mut Vec<u8>,
        source: Source<'_>,
        asked: &Asked,
        confess: impl FnOnce() -> bool,
        mut part: impl FnMut(&[u8]) -> bool,
        reply: impl FnOnce(Outcome, &[u8]) -> R,
    ) -> (R, Aftermath) {
        self.functions.begin(asked.generation);
        Python::attach(|py| {
            let prelude = self.prelude.clone_ref(py);
            let prelude = prelude.bind(py);
            let parsed = interpreter::without_collector(|| {
                let mut coming = match source {
                    Source::Buffer { start, length, read } => json::Coming::new(buffer, start, length, read),
                    Source::Memory { place, told } => json::Coming::in_memory(place, told),
                };
                json::parse_coming(py, &mut coming)
            });
            buffer.clear();
            let answer = buffer;
            let input = match parsed {
                Ok(input) => input,
                Err(error) => {
                    let described = exception::describe(prelude, &error, None, Stage::Running);
                    let outcome = Outcome { pure: true, ..Outcome::of(described.status) };
                    return (reply(outcome, &described.body), Aftermath::Untouched);
                }
            };
            let call = match Call::read(&input) {
                Ok(call) => call,
                Err(failure) => {
                    let outcome = Outcome { pure: true, ..Outcome::of(failure.status) };
                    return (reply(outcome, &failure.body()), Aftermath::Untouched);
                }
            };
            let rows_in = call.rows();
            let mut first = None;
            let mut part = |bytes: &[u8]| {
                first = first.or(bytes.first().copied());
                part(bytes)
            };
            let (mut outcome, risk) = self.run(prelude, &call, asked, confess, &mut part, answer);
            if outcome.status != 200 {
                first = None;
            }
            // Columns are for table extensions, which take any number of rows.
            outcome.fit(rows_in, first.or(answer.first().copied()) == Some(b'{'));
            let let_go = || {
                drop(input);
                call.let_go();
            };
            self.finish(py, outcome, answer, risk, reply, let_go)
        })
    }

    fn run(
        &mut self,
        prelude: &Bound<'_, PyModule>,
        call: &Call<'_>,
        asked: &Asked,
        confess: impl FnOnce() -> bool,
        part: &mut dyn FnMut(&[u8]) -> bool,
        answer: &mut Vec<u8>,
    ) -> (Outcome, Risk) {
        let Asked { only_if_pure, write_beside, .. } = *asked;
        let running = |error| Trouble::Raised(error, Stage::Running);
        let script = self
            .scripts
            .get(prelude, &call.script, call.arguments.len())
            .map_err(|error| Trouble::Raised(error, Stage::Compiling));
        // A script that does not compile does nothing.
        let (risk, pure) = script.as_ref().map_or((Risk::NONE, true), |script| (script.risk, script.pure));
        let first = self.innocent && !pure;
        let may_run = if only_if_pure { self.innocent && pure } else { !first || confess() };
        if !may_run {
            return (Outcome { declined: true, ..Outcome::of(500) }, risk);
        }
        self.innocent &= pure;
        let base_globals = self.base_globals.bind(prelude.py());
        let limit = self.max_response_bytes;
        let written = script.and_then(|script| {
            let globals = base_globals.copy().map_err(running)?;
            let function = script.function(prelude, &globals).map_err(running)?;
            let result = call.invoke(&function, &self.tabpy).map_err(running)?;
            let rows = json::rows(&result);
            let written = if only_if_pure {
                json::write(&result, answer, limit)
            } else {
                json::write_in_parts(
                    &result,
                    answer,
                    json::Parts { first: LONG, length: PART, beside: write_beside, take: part },
                    limit,
                )
            };
            written.map_err(|error| match error {
                json::WriteError::Python(error) => running(error),
                json::WriteError::TooLarge => Trouble::TooLarge,
            })?;
            // A function that a script made global holds its globals, and they it.
            if globals.len() > base_globals.len() {
                globals.clear();
            }
            Ok(rows)
        });
        let outcome = match written {
            Ok(rows_out) => Outcome { rows_out, ..Outcome::of(200) },
            Err(Trouble::Raised(error, stage)) => {
                let described = exception::describe(prelude, &error, Some(&call.script), stage);
                replace(answer, &described.body);
                Outcome::of(described.status)
            }
            Err(Trouble::TooLarge) => {
                let failure = too_large(limit, "script");
                replace(answer, &failure.body());
                Outcome::of(failure.status)
            }
        };
        (Outcome { pure, ..outcome }, risk)
    }
}

/// What keeps a script from an answer.
enum Trouble {
    Raised(PyErr, Stage),
    TooLarge,
}
