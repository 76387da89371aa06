//! Starts the one interpreter of a process, in the environment whose packages scripts see. It is
//! isolated from nothing but signals: a script may import whatever that environment holds.
#![expect(unsafe_code, reason = "PyConfig, the collector's switch and sys have no safe interface in pyo3")]

use std::ffi::{CStr, CString};

use anyhow::{Context as _, bail};
use pyo3::ffi;
use pyo3::prelude::*;

/// Starts Python and lets go of the GIL; `Python::attach` works afterwards. Only the first call
/// in a process may be made.
pub fn start(executable: &str) -> anyhow::Result<()> {
    let executable = CString::new(executable).context("the path of Python holds a NUL byte")?;
    // SAFETY: the calls follow the order that CPython's documentation of PyConfig demands, each
    // structure is initialised by CPython before it is read, and no interpreter exists before. Giving
    // up the signal stack is allowed at any time but on that stack.
    unsafe {
        if ffi::Py_IsInitialized() != 0 {
            bail!("Python was started twice in one process");
        }
        // Rust gave this thread a small stack for signal handlers, and Python's handlers run on such
        // a stack where there is one. Two signals at once overflow it: seen as a segmentation fault.
        let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
        libc::sigaltstack(&none, std::ptr::null_mut());
        // Rust's handlers for stack overflows let the first of these signals pass.
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            libc::signal(signal, libc::SIG_DFL);
        }
        super::arena::install();
        let mut preconfig: ffi::PyPreConfig = std::mem::zeroed();
        ffi::PyPreConfig_InitPythonConfig(&mut preconfig);
        // Scripts are UTF-8 whatever the platform's locale says.
        preconfig.utf8_mode = 1;
        check(ffi::Py_PreInitialize(&preconfig))?;
        super::floats::prepare();

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

/// From now on keeps at most so many bytes of empty memory for the next large request.
pub fn keep_memory(bytes: usize) {
    // Floats are not in the arenas, and one does not know before what a request will bring.
    super::arena::keep(bytes / 2);
    super::floats::keep(bytes / 2);
}

/// Runs `work` with the cyclic collector off: building a million objects would set it off again and
/// again, and none of them can be garbage yet. The GIL must be held, as it is wherever Python runs.
pub(super) fn without_collector<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: both calls only flip a switch of the interpreter that this thread is attached to.
    unsafe { ffi::PyGC_Disable() };
    let made = work();
    // SAFETY: as above.
    unsafe { ffi::PyGC_Enable() };
    made
}

/// Turns the collector on again after a script that may have turned it off.
pub(super) fn restore_collector() {
    // SAFETY: it only flips a switch of the interpreter that this thread is attached to.
    unsafe { ffi::PyGC_Enable() };
}

/// Sets `sys.<name>`, if it is not that object already.
pub(super) fn set_system_object(_py: Python<'_>, name: &CStr, object: &Bound<'_, PyAny>) {
    // SAFETY: the GIL is held; `PySys_GetObject` returns a borrowed pointer that is only compared,
    // and `PySys_SetObject` takes a reference of its own.
    unsafe {
        if ffi::PySys_GetObject(name.as_ptr()) != object.as_ptr()
            && ffi::PySys_SetObject(name.as_ptr(), object.as_ptr()) != 0
        {
            ffi::PyErr_Clear();
        }
    }
}
