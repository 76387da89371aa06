//! The body of `/query/{name}` and its answer: TabPy's checks, in its order and its words.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::functions::Called;
use super::script::Risk;
use super::{Aftermath, Interpreter, Outcome, arguments, exception, interpreter, json, uuid};
use crate::catalogue::Trial;
use crate::failure::{Failure, write_json_string};

/// A function by its name, as of a generation; version 0 is the current one.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub version: u32,
    pub generation: u64,
}

impl Interpreter {
    /// Answers the body of a `/query/{name}`; see [`Self::evaluate`] for `buffer`, `start` and `reply`, and for
    /// what comes back.
    pub fn query<R>(
        &mut self,
        wanted: &Wanted<'_>,
        buffer: &mut Vec<u8>,
        start: usize,
        reply: impl FnOnce(Outcome, &[u8]) -> R,
    ) -> (R, Aftermath) {
        self.functions.begin(wanted.generation);
        self.innocent = false;
        Python::attach(|py| {
            let data = self.read(py, &buffer[start..]);
            buffer.clear();
            let answer = buffer;
            let data = match data {
                Ok(data) => data,
                Err(failure) => {
                    return (reply(Outcome::of(failure.status), &failure.body()), Aftermath::Untouched);
                }
            };
            let outcome = match self.answer(py, wanted, &data, answer) {
                Ok(outcome) => outcome,
                Err(error) => {
                    answer.clear();
                    let text = exception::text(self.prelude.bind(py), &error);
                    let failure = Failure::new(500, "Error processing query").info(text);
                    super::replace(answer, &failure.body());
                    Outcome::of(failure.status)
                }
            };
            self.finish(py, outcome, answer, Risk::NONE, reply, || drop(data))
        })
    }

    /// What the function is to be called with.
    fn read<'py>(&self, py: Python<'py>, body: &[u8]) -> Result<Bound<'py, PyAny>, Failure> {
        if body.is_empty() {
            return Err(Failure::new(400, "Input body cannot be empty"));
        }
        let input = interpreter::without_collector(|| json::parse(py, body))
            .map_err(|error| Failure::new(400, exception::text(self.prelude.bind(py), &error)))?;
        let Ok(input) = input.cast_into::<PyDict>() else {
            return Err(Failure::new(400, "RuntimeError : Input data must be a dictionary"));
        };
        let data = arguments::item(&input, "data");
        if let Some(method) = arguments::item(&input, "method") {
            // TabPy hands both on as named arguments.
            let both = PyDict::new(py);
            let set = both.set_item("data", data).and_then(|()| both.set_item("method", method));
            return set.map(|()| both.into_any()).map_err(|error| Failure::new(400, error.to_string()));
        }
        data.ok_or_else(|| {
            Failure::new(400, "RuntimeError : Input data must be a dictionary with a key called \"data\"")
        })
    }

    fn answer(
        &self,
        py: Python<'_>,
        wanted: &Wanted<'_>,
        data: &Bound<'_, PyAny>,
        answer: &mut Vec<u8>,
    ) -> PyResult<Outcome> {
        let limit = self.max_response_bytes;
        let called = if let Ok(named) = data.cast::<PyDict>() {
            self.functions.call(py, wanted.name, wanted.version, &PyTuple::empty(py), Some(named))?
        } else if let Ok(list) = data.cast::<PyList>() {
            self.functions.call(py, wanted.name, wanted.version, &list.to_tuple(), None)?
        } else {
            self.functions.refuse(py, wanted.name, wanted.version, data)?
        };
        let (result, name, version) = match called {
            Called::Returned { result, name, version } => (result, name, version),
            Called::Failed { status, failure } => {
                write(&failure, answer, usize::MAX)?;
                return Ok(Outcome::of(status));
            }
        };
        answer.extend_from_slice(b"{\"response\": ");
        let before = answer.len();
        if let Err(error) = json::write(&result, answer, limit) {
            return match error {
                json::WriteError::Python(error) => {
                    answer.clear();
                    write(&self.functions.unwritten(py, &name, &error)?, answer, usize::MAX)?;
                    Ok(Outcome::of(500))
                }
                json::WriteError::TooLarge => {
                    let failure = super::too_large(limit, "function");
                    super::replace(answer, &failure.body());
                    Ok(Outcome::of(failure.status))
                }
            };
        }
        let columns = answer.get(before) == Some(&b'{');
        answer.extend_from_slice(format!(", \"version\": {version}, \"model\": ").as_bytes());
        write_json_string(&name, answer);
        answer.extend_from_slice(b", \"uuid\": \"");
        answer.extend_from_slice(uuid::random().as_bytes());
        answer.extend_from_slice(b"\"}");
        let mut outcome = Outcome { rows_out: json::rows(&result), ..Outcome::of(200) };
        outcome.fit(rows(data), columns);
        Ok(outcome)
    }

    /// Loads an object that is not in force yet, and says what it publishes, or why it does not load.
    pub fn try_out<R>(&mut self, body: &[u8], reply: impl FnOnce(Outcome, &[u8]) -> R) -> R {
        let trial: Trial = match serde_json::from_slice(body) {
            Ok(trial) => trial,
            Err(error) => return reply(Outcome::of(400), error.to_string().as_bytes()),
        };
        Python::attach(|py| {
            let tried = self.functions.try_out(py, &trial);
            let mut answer = Vec::new();
            let outcome = match tried.and_then(|tried| write(&tried, &mut answer, self.max_response_bytes)) {
                Ok(()) => Outcome::of(200),
                Err(error) => {
                    answer = error.value(py).to_string().into_bytes();
                    Outcome::of(422)
                }
            };
            self.flush(py);
            reply(outcome, &answer)
        })
    }
}

/// Length of the longest argument.
fn rows(data: &Bound<'_, PyAny>) -> usize {
    match data.cast::<PyList>() {
        Ok(list) => list.iter().map(|argument| json::rows(&argument)).max().unwrap_or(0),
        Err(_) => json::rows(data),
    }
}

fn write(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, limit: usize) -> PyResult<()> {
    json::write(value, out, limit).map_err(|error| match error {
        json::WriteError::Python(error) => error,
        json::WriteError::TooLarge => pyo3::exceptions::PyMemoryError::new_err("the text is too long"),
    })
}
