//! A value as it would come out of JSON, made without the detour where that is the same: what cannot be
//! changed is shared, lists and dicts are new. Unlike in an answer, NaN stays NaN and a namedtuple is a list, as
//! Python's own `json` has it: the one who gets it is a Python function.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};

use super::write::Known;
use super::{WriteError, parse, write};

/// Deeper values are left to the writer, which finds circles too.
const MAX_DEPTH: usize = 200;

/// The copy. `limit` is the most bytes that a value may take which has to be written.
pub fn copy<'py>(value: &Bound<'py, PyAny>, limit: usize) -> Result<Bound<'py, PyAny>, WriteError> {
    copy_at(value, limit, 0)
}

fn copy_at<'py>(
    value: &Bound<'py, PyAny>,
    limit: usize,
    depth: usize,
) -> Result<Bound<'py, PyAny>, WriteError> {
    let py = value.py();
    let unchangeable = value.is_exact_instance_of::<PyFloat>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyString>()
        || value.is_none()
        || value.is_exact_instance_of::<PyBool>();
    if unchangeable {
        return Ok(value.clone());
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        return Ok(PyFloat::new(py, float.value()).into_any());
    }
    if depth == MAX_DEPTH {
        return detour(value, limit);
    }
    let item = |item: &Bound<'py, PyAny>| copy_at(item, limit, depth + 1);
    if let Ok(list) = value.cast::<PyList>() {
        let copies = list.iter().map(|one| item(&one)).collect::<Result<Vec<_>, _>>()?;
        return Ok(PyList::new(py, copies)?.into_any());
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        let copies = tuple.iter().map(|one| item(&one)).collect::<Result<Vec<_>, _>>()?;
        return Ok(PyList::new(py, copies)?.into_any());
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let copied = PyDict::new(py);
        // Copying may run a value's own code, which may change the dict: not while it is walked.
        for pair in dict.as_any().cast::<PyMapping>().map_err(PyErr::from)?.items()? {
            let (key, one) = pair.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>()?;
            copied.set_item(text_of_key(&key, limit)?, item(&one)?)?;
        }
        return Ok(copied.into_any());
    }
    match Known::load(py).plain_list(value)? {
        // Lists of lists, or of what a column of objects holds.
        Some(list) => item(&list),
        None => detour(value, limit),
    }
}

/// A key as JSON has it.
fn text_of_key<'py>(key: &Bound<'py, PyAny>, limit: usize) -> Result<Bound<'py, PyAny>, WriteError> {
    let py = key.py();
    if key.is_exact_instance_of::<PyString>() {
        return Ok(key.clone());
    }
    if key.is_exact_instance_of::<PyInt>() {
        return Ok(key.str()?.into_any());
    }
    if let Ok(float) = key.cast::<PyFloat>() {
        let word = match float.value() {
            f64::INFINITY => Some("Infinity"),
            f64::NEG_INFINITY => Some("-Infinity"),
            value => value.is_nan().then_some("NaN"),
        };
        if let Some(word) = word {
            return Ok(PyString::new(py, word).into_any());
        }
    }
    // The writer knows the others.
    let alone = PyDict::new(py);
    alone.set_item(key, py.None())?;
    let written = detour(&alone, limit)?;
    Ok(written.cast::<PyDict>().map_err(PyErr::from)?.keys().get_item(0)?)
}

fn detour<'py>(value: &Bound<'py, PyAny>, limit: usize) -> Result<Bound<'py, PyAny>, WriteError> {
    let mut bytes = Vec::new();
    write(value, &mut bytes, limit)?;
    Ok(parse(value.py(), &bytes)?)
}

impl Known<'_> {
    /// What an array, a column or a table holds, as Python's own lists and numbers.
    fn plain_list<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = value.py();
        if self.is_frame(value) {
            return Ok(Some(value.call_method1(intern!(py, "to_dict"), ("list",))?));
        }
        if self.is_column(value) || self.is_float(value) {
            return Ok(Some(value.call_method0(intern!(py, "tolist"))?));
        }
        Ok(None)
    }
}
