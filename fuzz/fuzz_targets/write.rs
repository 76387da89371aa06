//! Any value to JSON: byte for byte what simplejson writes, and never more than is allowed. The bytes are
//! turned into a value twice: as JSON, and as the numbers, texts, arrays and containers that they spell.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tabpy_rs::python::json::{self, WriteError};

fuzz_target!(|data: &[u8]| {
    let Some((limit, rest)) = data.split_first() else { return };
    reference::with_python(|module| {
        let py = module.py();
        let made = module.call_method1("make", (PyBytes::new(py, rest),)).unwrap();
        compare(module, &made, usize::from(*limit));
        if let Ok(parsed) = json::parse(py, rest) {
            compare(module, &parsed, usize::from(*limit));
        }
    });
});

fn compare(module: &Bound<'_, PyModule>, value: &Bound<'_, PyAny>, limit: usize) {
    let plain = module.call_method1("plain", (value,)).unwrap();
    let theirs: String = module.call_method1("dumps", (plain,)).unwrap().extract().unwrap();
    let mut out = Vec::new();
    let ours = match json::write(value, &mut out, usize::MAX) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(WriteError::TooLarge) => "too large".to_owned(),
        Err(WriteError::Python(error)) => reference::described(&error, module.py()),
    };
    assert_eq!(ours, theirs);
    // The same in parts, which may end anywhere.
    let (mut parts, mut last) = (Vec::new(), Vec::new());
    let mut take = |part: &[u8]| {
        parts.extend_from_slice(part);
        true
    };
    let in_parts = json::Parts { first: limit / 2, length: limit, beside: true, take: &mut take };
    match json::write_in_parts(value, &mut last, in_parts, usize::MAX) {
        Ok(()) => assert_eq!([parts, last].concat(), theirs.as_bytes()),
        Err(WriteError::TooLarge) => panic!("there is no limit"),
        Err(WriteError::Python(error)) => assert_eq!(reference::described(&error, module.py()), theirs),
    }
    // The same, with hardly any room.
    let mut out = b"before".to_vec();
    match json::write(value, &mut out, limit) {
        Ok(()) => assert!(out.len() <= limit && out[6..] == *theirs.as_bytes()),
        Err(_) => assert_eq!(out, b"before"),
    }
}
