//! The keys of an object: texts, or what is written as one. What simplejson takes is written as it
//! writes it, NaN as `null` included; dates, numpy scalars and the like are their plain values.
#![expect(unsafe_code, reason = "the kind of a key is asked of its type")]

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::{Outcome, Writer};

impl<'py> Writer<'_, 'py> {
    #[inline]
    pub(super) fn key(&mut self, key: &Bound<'py, PyAny>) -> Outcome {
        // SAFETY: the key is alive.
        if unsafe { ffi::PyUnicode_Check(key.as_ptr()) } != 0 {
            return self.text(key.as_ptr());
        }
        if self.plain_key(key)? {
            return Ok(());
        }
        match self.scalar(key)? {
            // SAFETY: the plain value is alive.
            Some(plain) if unsafe { ffi::PyUnicode_Check(plain.as_ptr()) } != 0 => self.text(plain.as_ptr()),
            Some(plain) if self.plain_key(&plain)? => Ok(()),
            _ => {
                let kind = key.getattr("__class__")?.getattr("__name__")?;
                let message = format!("keys must be str, int, float, bool or None, not {kind}");
                Err(PyTypeError::new_err(message).into())
            }
        }
    }

    /// Writes bytes as text, and between quotes what JSON has a word or digits for. False, if the
    /// key is nothing of that.
    fn plain_key(&mut self, key: &Bound<'py, PyAny>) -> Result<bool, super::WriteError> {
        let pointer = key.as_ptr();
        // SAFETY: the key is alive.
        let (bytes, word) = unsafe {
            let word = key.is_none()
                || ffi::PyBool_Check(pointer) != 0
                || ffi::PyLong_Check(pointer) != 0
                || ffi::PyFloat_Check(pointer) != 0;
            (ffi::PyBytes_Check(pointer) != 0, word)
        };
        if bytes {
            self.bytes(key)?;
        } else if word || self.known().decimal.has(key) {
            self.out.push(b'"');
            self.item(pointer)?;
            self.out.push(b'"');
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}
