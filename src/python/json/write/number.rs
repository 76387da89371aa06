//! Numbers as Python's `repr` writes them. NaN and the infinities, which JSON lacks, are null.
#![expect(unsafe_code, reason = "ints are read through CPython's C API")]

use pyo3::ffi;
use pyo3::prelude::*;

use super::{Outcome, Writer, digits};

/// Python writes these with an exponent of two digits, zmij with one or none; elsewhere the two
/// agree to the byte.
const DIFFERENT: std::ops::Range<f64> = 1e-9..1e-4;

#[inline]
pub(super) fn float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
    } else if DIFFERENT.contains(&value.abs()) {
        small_float(out, value);
    } else {
        other_float(out, value);
    }
}

/// Formats a float where its text belongs.
#[inline]
fn other_float(out: &mut Vec<u8>, value: f64) {
    const { assert!(align_of::<zmij::Buffer>() == 1, "it may lie anywhere") };
    out.reserve(size_of::<zmij::Buffer>());
    let end = out.len();
    // SAFETY: the buffer is made behind the end, where there is room for it and nothing else lies. Only
    // where its text is found to start right there, and so was written there, does that become a part of `out`.
    unsafe {
        let place = out.as_mut_ptr().add(end).cast::<zmij::Buffer>();
        place.write(zmij::Buffer::new());
        let text = (*place).format_finite(value);
        let length = text.len();
        if std::ptr::eq(text.as_ptr(), place.cast()) {
            out.set_len(end + length);
            return;
        }
    }
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
}

/// `0.000012` as `1.2e-05`, `1e-7` as `1e-07`.
fn small_float(out: &mut Vec<u8>, value: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value.abs());
    if value < 0.0 {
        out.push(b'-');
    }
    if let Some((digits, exponent)) = text.split_once("e-") {
        out.extend_from_slice(digits.as_bytes());
        out.extend_from_slice(b"e-0");
        out.extend_from_slice(exponent.as_bytes());
        return;
    }
    let (first, rest) = text.trim_start_matches(['0', '.']).split_at(1);
    out.extend_from_slice(first.as_bytes());
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest.as_bytes());
    }
    out.extend_from_slice(b"e-05");
}

/// An int's value, unless it has more than 64 bits.
///
/// # Safety
/// `value` must be alive and of exactly Python's type: then the call reads its digits and nothing else, and neither needs
/// the GIL nor leaves an exception.
#[inline]
pub(super) unsafe fn small_int(value: *mut ffi::PyObject) -> Option<i64> {
    let mut overflow = 0;
    // SAFETY: as the caller promises.
    let small = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &mut overflow) };
    (overflow == 0).then_some(small)
}

impl Writer<'_, '_> {
    /// An int of exactly Python's type.
    #[inline]
    pub(super) fn int(&mut self, value: *mut ffi::PyObject) -> Outcome {
        // SAFETY: `value` is an exact int that the caller holds.
        if let Some(small) = unsafe { small_int(value) } {
            digits::signed(self.out, small);
            return Ok(());
        }
        // SAFETY: as above; the result is a new reference or null with an exception set (the int
        // has more digits than Python converts). A huge int is converted by Python code, during
        // which somebody else may let go of it: a reference keeps it.
        let digits = unsafe {
            let value = Bound::from_borrowed_ptr(self.py, value);
            Bound::from_owned_ptr_or_err(self.py, ffi::PyObject_Str(value.as_ptr()))?
        };
        self.out.extend_from_slice(digits.extract::<std::borrow::Cow<'_, str>>()?.as_bytes());
        Ok(())
    }
}
