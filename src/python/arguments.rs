//! The body of `POST /evaluate`, once it is Python objects: which script with which arguments. Refuses
//! what TabPy refuses, in the same order and in the same words.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::{floats, json};
use crate::failure::Failure;

/// A script and its arguments, `_arg1` first.
pub(super) struct Call<'py> {
    pub(super) script: Bound<'py, PyString>,
    pub(super) arguments: Vec<Bound<'py, PyAny>>,
}

impl<'py> Call<'py> {
    pub(super) fn read(input: &Bound<'py, PyAny>) -> Result<Self, Failure> {
        let Ok(body) = input.cast::<PyDict>() else {
            return Err(Failure::new(400, "Script is empty."));
        };
        let Some(script) = item(body, "script") else {
            return Err(Failure::new(400, "Script is empty."));
        };
        let arguments = match item(body, "data") {
            None => Vec::new(),
            Some(data) if data.is_none() => Vec::new(),
            Some(data) => match data.cast::<PyDict>() {
                Ok(data) => in_order(data)?,
                Err(_) => {
                    return Err(Failure::new(400, "Script parameters need to be provided as a dictionary."));
                }
            },
        };
        let script = script.cast_into::<PyString>().map_err(|_| {
            Failure::new(400, "Script is not a text.").info("The value of \"script\" must be a JSON string.")
        })?;
        Ok(Self { script, arguments })
    }

    /// Length of the longest argument, which is the size of Tableau's partition.
    pub(super) fn rows(&self) -> usize {
        self.arguments.iter().map(json::rows).max().unwrap_or(0)
    }

    /// Drops the arguments, which are the request's own by now unless the script has kept them.
    pub(super) fn let_go(self) {
        for argument in self.arguments {
            if let Ok(list) = argument.cast_into_exact::<PyList>() {
                floats::empty(&list);
            }
        }
    }

    pub(super) fn invoke(
        &self,
        function: &Bound<'py, PyAny>,
        tabpy: &Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        let tabpy = tabpy.bind(py);
        let arguments = PyTuple::new(py, std::iter::once(tabpy).chain(&self.arguments).collect::<Vec<_>>())?;
        function.call1(arguments)
    }
}

/// The arguments by their number; every number from 1 on, and nothing else.
fn in_order<'py>(data: &Bound<'py, PyDict>) -> Result<Vec<Bound<'py, PyAny>>, Failure> {
    (1..=data.len())
        .map(|number| item(data, &format!("_arg{number}")))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Failure::new(400, "Variables names should follow the format _arg1, _arg2, _argN"))
}

pub(super) fn item<'py>(dictionary: &Bound<'py, PyDict>, key: &str) -> Option<Bound<'py, PyAny>> {
    // Looking a string up among strings runs no code that could fail.
    dictionary.get_item(key).ok().flatten()
}
