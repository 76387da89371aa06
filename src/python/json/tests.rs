//! The parser against Python's `json`, the writer against `simplejson`, on generated input and on
//! tables of what is special. Every comparison is of whole values, or of an error's type and text.

mod beside;
mod conversions;
mod limits;
mod parsing;
mod pieces;
mod writing;

use std::ffi::CString;
use std::path::Path;
use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyModule};

use super::WriteError;

/// Runs with an interpreter that has simplejson, numpy and pandas.
fn with_python<T>(run: impl FnOnce(Python<'_>) -> T) -> T {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let executable = environment.to_str().filter(|_| environment.exists());
        crate::python::interpreter::start(executable.unwrap_or(env!("TABPY_LINKED_PYTHON"))).unwrap();
    });
    Python::attach(run)
}

/// What the tests compare with.
fn reference(py: Python<'_>) -> Bound<'_, PyModule> {
    static MODULE: OnceLock<Py<PyModule>> = OnceLock::new();
    module(py, &MODULE, include_str!("tests/reference.py"))
}

/// The value of a Python expression, in the namespace of `values.py`.
fn evaluated<'py>(py: Python<'py>, source: &str) -> Bound<'py, PyAny> {
    static MODULE: OnceLock<Py<PyModule>> = OnceLock::new();
    let names = module(py, &MODULE, include_str!("tests/values.py")).dict();
    py.eval(&CString::new(source).unwrap(), Some(&names), None).unwrap()
}

fn module<'py>(py: Python<'py>, made: &OnceLock<Py<PyModule>>, source: &str) -> Bound<'py, PyModule> {
    if let Some(module) = made.get() {
        return module.bind(py).clone();
    }
    let source = CString::new(source).unwrap();
    let module = PyModule::from_code(py, &source, c"tests.py", c"tests").unwrap();
    let _ = made.set(module.clone().unbind());
    module
}

/// An error as `(type, text)`, which is what a client gets to see of it.
fn described(error: &PyErr, py: Python<'_>) -> String {
    format!("{}: {}", error.get_type(py).name().unwrap(), error.value(py).str().unwrap())
}

/// What our parser makes of a document, with every type and every bit told.
fn parsed(py: Python<'_>, input: &[u8]) -> String {
    match super::parse(py, input) {
        Ok(value) => reference(py).call_method1("describe", (value,)).unwrap().extract().unwrap(),
        Err(error) => described(&error, py),
    }
}

fn parsed_by_python(py: Python<'_>, input: &[u8]) -> String {
    let input = PyBytes::new(py, input);
    reference(py).call_method1("loads", (input,)).unwrap().extract().unwrap()
}

fn written_within(value: &Bound<'_, PyAny>, limit: usize) -> String {
    let mut out = b"kept ".to_vec();
    match super::write(value, &mut out, limit.saturating_add(5)) {
        Ok(()) => String::from_utf8(out).unwrap().split_off(5),
        Err(error) => {
            assert_eq!(out, b"kept ", "a failed answer must leave nothing behind");
            match error {
                WriteError::TooLarge => "too large".to_owned(),
                WriteError::Python(error) => described(&error, value.py()),
            }
        }
    }
}

fn written(value: &Bound<'_, PyAny>) -> String {
    written_within(value, usize::MAX)
}

fn written_by_simplejson(value: &Bound<'_, PyAny>) -> String {
    reference(value.py()).call_method1("dumps", (value,)).unwrap().extract().unwrap()
}
