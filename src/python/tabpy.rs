//! What scripts and functions know as `tabpy`: calling other functions, with copies of what goes in and comes
//! out, as if a request lay between them. Which function a name means is `functions`'s.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::functions::{Called, Functions};
use super::{json, uuid};

/// The `tabpy` of scripts. It has no attributes that a script could set.
#[pyclass(frozen, immutable_type, module = "tabpy", name = "TabPy")]
pub(super) struct TabPy {
    functions: Arc<Functions>,
    max_response_bytes: usize,
}

impl TabPy {
    pub(super) fn new(functions: Arc<Functions>, max_response_bytes: usize) -> Self {
        Self { functions, max_response_bytes }
    }
}

#[pymethods]
impl TabPy {
    /// Calls a deployed function: `tabpy.query("name", argument, ...)["response"]`.
    #[pyo3(signature = (name, *args, **kwargs))]
    fn query<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let limit = self.max_response_bytes;
        let copy =
            |value: &Bound<'py, PyAny>| json::copy(value, limit).map_err(|error| too_large(error, limit));
        // Both kinds count. TabPy sends only one of them, and drops the named ones where there are others.
        let arguments = args.iter().map(|one| copy(&one)).collect::<PyResult<Vec<_>>>()?;
        let named = match kwargs {
            Some(kwargs) => {
                let copied = PyDict::new(py);
                for (key, value) in kwargs.iter() {
                    copied.set_item(key, copy(&value)?)?;
                }
                Some(copied)
            }
            None => None,
        };
        let arguments = PyTuple::new(py, arguments)?;
        match self.functions.call(py, name, 0, &arguments, named.as_ref())? {
            Called::Returned { result, name, version } => {
                let response = match copy(&result) {
                    Ok(response) => response,
                    Err(error) => return self.functions.unwritten(py, &name, &error),
                };
                let answer = PyDict::new(py);
                answer.set_item(intern!(py, "response"), response)?;
                answer.set_item(intern!(py, "version"), version)?;
                answer.set_item(intern!(py, "model"), name)?;
                answer.set_item(intern!(py, "uuid"), uuid::random())?;
                Ok(answer.into_any())
            }
            Called::Failed { failure, .. } => Ok(failure),
        }
    }

    /// Functions that were made in a script may hold it: in an archive it is a name.
    fn __reduce__(&self) -> &'static str {
        "current"
    }
}

fn too_large(error: json::WriteError, limit: usize) -> PyErr {
    match error {
        json::WriteError::Python(error) => error,
        json::WriteError::TooLarge => pyo3::exceptions::PyValueError::new_err(format!(
            "a value for or from a function is larger than {} MB, the limit of TABPY_MAX_RESPONSE_SIZE_MB",
            limit >> 20
        )),
    }
}
