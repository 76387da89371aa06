//! A function from a code object and its globals: one call of CPython's API, far quicker than the
//! `types.FunctionType` that does the same from Python.
#![expect(unsafe_code, reason = "PyFunction_New has no safe wrapper in pyo3")]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(super) fn new<'py>(
    code: &Bound<'py, PyAny>,
    globals: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: both are live objects of the kinds that the call demands (`code` comes from
    // `compile_script`, which returns a code object without free variables), the GIL is held,
    // and the call returns a new reference or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(code.py(), ffi::PyFunction_New(code.as_ptr(), globals.as_ptr())) }
}
