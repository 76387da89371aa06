//! Any bytes to Python objects: the same objects, or the same error, as Python's own `json`. The first byte
//! says how the rest is presented: as it is, or so long that the cache of texts is on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tabpy_rs::python::json;

/// More than the smallest document that gets a cache.
const LARGE: usize = 17 << 10;

/// More than the smallest one whose floats get memory of their own.
const LARGER: usize = 65 << 10;

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else { return };
    let document = match how % 4 {
        // White space is a part of any document.
        1 => [rest, &b" ".repeat(LARGER)].concat(),
        // The same texts again and again.
        2 => [b"[", rest, &[b",", rest].concat().repeat(LARGE / (rest.len() + 1)), b"]"].concat(),
        _ => rest.to_vec(),
    };
    reference::with_python(|module| {
        let py = module.py();
        let ours: String = match json::parse(py, &document) {
            Ok(value) => module.call_method1("describe", (value,)).unwrap().extract().unwrap(),
            Err(error) => reference::described(&error, py),
        };
        // It may come in pieces, with hardly any margin.
        let in_pieces = in_pieces(module, &document, usize::from(how / 4));
        if !(too_deep(&in_pieces) && too_deep(&ours)) {
            assert_eq!(in_pieces, ours);
        }
        let theirs: String =
            module.call_method1("loads", (PyBytes::new(py, &document),)).unwrap().extract().unwrap();
        // At which call Python's stack ends, and so the words, depends on who called.
        if !(too_deep(&ours) && too_deep(&theirs)) {
            assert_eq!(ours, theirs);
        }
    });
});

fn in_pieces(module: &Bound<'_, PyModule>, document: &[u8], size: usize) -> String {
    let py = module.py();
    let mut pieces = document.chunks(size + 1);
    let mut buffer = pieces.next().unwrap_or_default().to_vec();
    let read: &mut json::Read<'_> = &mut |room| {
        let piece = pieces.next()?;
        Some(room[..piece.len()].write_copy_of_slice(piece))
    };
    let mut coming = json::Coming::new(&mut buffer, 0, document.len(), read);
    coming.margin = size % 8;
    match json::parse_coming(py, &mut coming) {
        Ok(value) => module.call_method1("describe", (value,)).unwrap().extract().unwrap(),
        Err(error) => reference::described(&error, py),
    }
}

fn too_deep(outcome: &str) -> bool {
    outcome.starts_with("RecursionError: ")
}
