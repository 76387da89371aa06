//! Copies of a running interpreter: a fork with the ceremonies that CPython demands around it.
#![expect(unsafe_code, reason = "fork and CPython's hooks around it have no safe interface")]

use std::io;

use pyo3::ffi;
use pyo3::prelude::*;

/// On which side of the fork one is.
pub enum Side {
    Child,
    /// The child's process id.
    Parent(i32),
}

/// Whether the process has a single thread.
pub fn is_alone() -> io::Result<bool> {
    Ok(std::fs::read_dir("/proc/self/task")?.count() == 1)
}

/// Forks a process that has a single thread; that thread must be the one that started Python.
pub fn fork() -> io::Result<Side> {
    if !is_alone()? {
        return Err(io::Error::other("a process with several threads cannot be copied safely"));
    }
    Python::attach(|_| {
        // SAFETY: the GIL is held, and the three hooks are called around the fork as CPython's own
        // os.fork() calls them. There is one thread, checked above, so no lock can be held by a
        // thread that the child lacks; allocation and all else is allowed in the child.
        unsafe {
            ffi::PyOS_BeforeFork();
            match libc::fork() {
                0 => {
                    ffi::PyOS_AfterFork_Child();
                    Ok(Side::Child)
                }
                child => {
                    let error = io::Error::last_os_error();
                    ffi::PyOS_AfterFork_Parent();
                    if child < 0 { Err(error) } else { Ok(Side::Parent(child)) }
                }
            }
        }
    })
}
