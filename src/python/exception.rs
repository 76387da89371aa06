//! What a client is told when a script fails: the one place that reads a `PyErr`. The text starts as
//! TabPy's (`ValueError : text`) and goes on with the user's own line, because that is what he can change.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::json;
use crate::failure::Failure;

/// The stage at which a script failed: a syntax error that a running script meets is not its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Compiling,
    Running,
}

/// An error as status and body.
pub(super) struct Described {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

const MESSAGE: &str = "Error processing script";

pub(super) fn describe(
    prelude: &Bound<'_, PyModule>,
    error: &PyErr,
    source: Option<&Bound<'_, PyString>>,
    stage: Stage,
) -> Described {
    match try_describe(prelude, error, source, stage) {
        Ok(described) => described,
        // Describing runs Python, and Python may be out of memory or of stack.
        Err(second) => {
            let py = prelude.py();
            let name = error.get_type(py).name().map_or_else(|_| "Exception".to_owned(), |n| n.to_string());
            let second =
                second.get_type(py).name().map_or_else(|_| "Exception".to_owned(), |n| n.to_string());
            let info = format!("{name} : (its text could not be made: {second})");
            Described { status: 500, body: Failure::new(500, MESSAGE).info(info).body() }
        }
    }
}

fn try_describe(
    prelude: &Bound<'_, PyModule>,
    error: &PyErr,
    source: Option<&Bound<'_, PyString>>,
    stage: Stage,
) -> PyResult<Described> {
    let py = prelude.py();
    let value = error.value(py);
    if stage == Stage::Compiling && value.is_instance(&prelude.getattr("EmptyScript")?)? {
        return Ok(empty_script());
    }
    let reason = prelude.getattr("missing_response")?.call1((value,))?;
    if !reason.is_none() {
        return written(404, &reason);
    }
    let source = source.cloned().unwrap_or_else(|| PyString::new(py, ""));
    let info = prelude.getattr("describe")?.call1((
        value,
        error.traceback(py),
        source,
        stage == Stage::Compiling,
    ))?;
    written(500, &info)
}

/// An error that no script caused, as TabPy words it.
pub(super) fn text(prelude: &Bound<'_, PyModule>, error: &PyErr) -> String {
    let py = prelude.py();
    let described = prelude
        .getattr("describe")
        .and_then(|describe| describe.call1((error.value(py), py.None(), "", false)))
        .map(|text| text.to_string());
    described.unwrap_or_else(|_| "RuntimeError : the body could not be read".to_owned())
}

fn empty_script() -> Described {
    let info = "IndentationError : expected an indented block: the script holds no statement. It needs at least \
                one line that is not a comment, such as: return _arg1";
    Described { status: 500, body: Failure::new(500, MESSAGE).info(info).body() }
}

/// The text may hold what no Rust string can (a lone surrogate), so the writer for answers writes it.
fn written(status: u16, info: &Bound<'_, PyAny>) -> PyResult<Described> {
    let mut body = format!("{{\"message\": \"{MESSAGE}\", \"info\": ").into_bytes();
    json::write(info, &mut body, usize::MAX).map_err(|error| match error {
        json::WriteError::Python(error) => error,
        json::WriteError::TooLarge => pyo3::exceptions::PyMemoryError::new_err("the text is too long"),
    })?;
    body.push(b'}');
    Ok(Described { status, body })
}
