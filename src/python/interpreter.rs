//! Starts the one interpreter of a process, in the environment whose packages scripts see. It is
//! isolated from nothing but signals: a script may import whatever that environment holds.
#![expect(unsafe_code, reason = "PyConfig has no safe interface: `executable` can be set in no other way")]

use std::ffi::{CStr, CString};

use anyhow::{Context as _, bail};
use pyo3::ffi;

/// Starts Python and lets go of the GIL; `Python::attach` works afterwards. Only the first call
/// in a process may be made.
pub fn start(executable: &str) -> anyhow::Result<()> {
    let executable = CString::new(executable).context("the path of Python holds a NUL byte")?;
    // SAFETY: the calls follow the order that CPython's documentation of PyConfig demands, each
    // structure is initialised by CPython before it is read, and no interpreter exists before.
    unsafe {
        if ffi::Py_IsInitialized() != 0 {
            bail!("Python was started twice in one process");
        }
        let mut preconfig: ffi::PyPreConfig = std::mem::zeroed();
        ffi::PyPreConfig_InitPythonConfig(&mut preconfig);
        // Scripts are UTF-8 whatever the platform's locale says.
        preconfig.utf8_mode = 1;
        check(ffi::Py_PreInitialize(&preconfig))?;

        let mut config: ffi::PyConfig = std::mem::zeroed();
        ffi::PyConfig_InitPythonConfig(&mut config);
        let outcome = initialize(&mut config, &executable);
        ffi::PyConfig_Clear(&mut config);
        outcome?;
        ffi::PyEval_SaveThread();
    }
    Ok(())
}

/// # Safety
/// `config` must have been initialised by CPython, and no interpreter may exist.
unsafe fn initialize(config: &mut ffi::PyConfig, executable: &CStr) -> anyhow::Result<()> {
    config.parse_argv = 0;
    config.install_signal_handlers = 0;
    // SAFETY: `config` is initialised, and `executable` ends with a NUL byte.
    unsafe {
        let field = &raw mut config.executable;
        check(ffi::PyConfig_SetBytesString(config, field, executable.as_ptr()))?;
        check(ffi::Py_InitializeFromConfig(config))
    }
}

fn check(status: ffi::PyStatus) -> anyhow::Result<()> {
    // SAFETY: a PyStatus is a plain value; its texts are static strings of CPython or null.
    unsafe {
        if ffi::PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        if status.err_msg.is_null() {
            bail!("Python did not start");
        }
        bail!("Python did not start: {}", CStr::from_ptr(status.err_msg).to_string_lossy())
    }
}
