//! What the targets compare with: Python's `json` for what comes in, `simplejson` for what goes out, in an
//! interpreter that has both.

use std::path::Path;
use std::sync::OnceLock;

use pyo3::prelude::*;
use tabpy_rs::python::interpreter;

/// Runs with the interpreter and the module of `reference.py`.
pub fn with_python<T>(run: impl for<'py> FnOnce(&Bound<'py, PyModule>) -> T) -> T {
    static MODULE: OnceLock<Py<PyModule>> = OnceLock::new();
    let module = MODULE.get_or_init(|| {
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
        let executable = environment.to_str().filter(|_| environment.exists());
        interpreter::start(executable.unwrap_or(env!("LINKED_PYTHON"))).unwrap();
        interpreter::keep_memory(16 << 20);
        Python::attach(|py| {
            PyModule::from_code(py, REFERENCE, c"reference.py", c"reference").unwrap().unbind()
        })
    });
    Python::attach(|py| run(module.bind(py)))
}

const REFERENCE: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
    concat!(include_str!("reference.py"), "\0").as_bytes(),
) {
    Ok(source) => source,
    Err(_) => panic!("the source holds a NUL byte"),
};

/// An error as type and text.
pub fn described(error: &PyErr, py: Python<'_>) -> String {
    format!("{}: {}", error.get_type(py).name().unwrap(), error.value(py))
}
