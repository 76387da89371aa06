//! How many rows an answer has for Tableau, which wants one or as many as it sent. It only counts
//! what has a length: an iterator that was written is spent, and counts as one.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyRange, PySet, PyString, PyTuple};

use super::write::Known;

/// How many rows a value has for Tableau: the length of a list, tuple, array or Series, the rows of
/// a DataFrame, the longest column of a dict, 1 for a scalar.
pub fn rows(value: &Bound<'_, PyAny>) -> usize {
    match value.cast::<PyDict>() {
        Ok(columns) => columns.values().iter().map(|column| length(&column)).max().unwrap_or(0),
        Err(_) => length(value),
    }
}

fn length(value: &Bound<'_, PyAny>) -> usize {
    let scalar = value.is_none()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>();
    if scalar {
        return 1;
    }
    let counted = value.is_instance_of::<PyList>()
        || value.is_instance_of::<PyTuple>()
        || value.is_instance_of::<PySet>()
        || value.is_instance_of::<PyFrozenSet>()
        || value.is_instance_of::<PyRange>()
        || Known::load(value.py()).is_column(value);
    // An array without dimensions has no length: it is a scalar.
    if counted { value.len().unwrap_or(1) } else { 1 }
}
