//! JSON to Python objects and back, in one pass each way, on the path of every request. What comes
//! in becomes what `json.loads` makes of it; what goes out is what TabPy would have written, plus
//! the conversions that TabPy lacks. Anything unusual on the way in is handed to Python's own
//! `json`, so that its errors need no imitation. Nothing here knows of requests.

mod coming;
mod copy;
mod parse;
mod rows;
mod short;
mod write;

#[cfg(test)]
mod tests;

use pyo3::exceptions::PyBrokenPipeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pub use coming::{Coming, Read, Told};
pub use copy::copy;
pub use rows::rows;
pub use write::Parts;

/// Why an answer was not written.
#[derive(Debug)]
pub enum WriteError {
    /// It takes more bytes than the limit allows.
    TooLarge,
    /// Python's own error: the value is no JSON, is circular, or its code raised.
    Python(PyErr),
}

impl From<PyErr> for WriteError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

/// As `json.loads(input.decode("utf-8"))` of CPython: same objects, same exceptions.
pub fn parse<'py>(py: Python<'py>, input: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    parse::document(py, input).or_else(|parse::Unfit| parse_by_python(py, input))
}

/// The same of a body whose rest is still coming.
pub fn parse_coming<'py>(py: Python<'py>, coming: &mut Coming<'_>) -> PyResult<Bound<'py, PyAny>> {
    if coming.is_whole() {
        return parse(py, coming.bytes());
    }
    if let Ok(value) = parse::coming_document(py, coming) {
        return Ok(value);
    }
    if !coming.wait_for(coming.length()) {
        return Err(PyBrokenPipeError::new_err("the request is not whole"));
    }
    // Perhaps it was only unfit to be read so.
    parse(py, coming.bytes())
}

fn parse_by_python<'py>(py: Python<'py>, input: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let text = PyBytes::new(py, input).call_method1("decode", ("utf-8",))?;
    py.import("json")?.call_method1("loads", (text,))
}

/// Appends the answer as TabPy writes it. `limit` is the most bytes that `out` may hold. On an
/// error `out` is as it was.
pub fn write(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, limit: usize) -> Result<(), WriteError> {
    let before = out.len();
    let outcome = write::document(value, out, None, limit);
    if outcome.is_err() {
        out.truncate(before);
    }
    outcome
}

/// The same for a long answer, which goes out in parts as it is written; the last one stays in `out`, which was
/// empty. What has gone before an error is worth nothing.
pub fn write_in_parts<'a>(
    value: &Bound<'_, PyAny>,
    out: &'a mut Vec<u8>,
    parts: Parts<'a>,
    limit: usize,
) -> Result<(), WriteError> {
    write::document(value, out, Some(parts), limit)
}
