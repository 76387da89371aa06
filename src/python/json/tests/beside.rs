//! Columns that are so long that two threads write them, against the same in pieces that one writes.

use pyo3::prelude::*;

use super::super::{Parts, WriteError, write_in_parts};
use super::{described, evaluated, with_python, written, written_by_simplejson, written_within};

/// Long columns as expressions of `n`, with or without elements that only one of the threads can write.
const COLUMNS: &[&str] = &[
    "[i / 7 for i in range(n)]",
    "[float('nan') if i % 3 == 0 else -i * 1e300 * (i % 2) for i in range(n)]",
    "[f'label {i} of many' for i in range(n)]",
    "[f'\"caf\u{e9}\" \u{4e2d}\u{6587} \u{1f600} {i}\\n' for i in range(n)]",
    "[i * 123_456_789 - 5 for i in range(n)]",
    "[2**62 + i if i < n // 2 else 2**63 + i for i in range(n)]",
    "[[i / 3, None, True, False, 'text', -i][i % 6] for i in range(2 * n)]",
    "[i / 7 for i in range(n - 1)] + [[7]]",
    "[i / 7 if i % 80_000 != 79_999 else {} for i in range(n)]",
    "[f'some text {i}' if i != n // 2 else 'x' * 100_000 for i in range(n)]",
    "['%d %d' % (i, i) if i < n // 2 else 'y' * 600 for i in range(n // 2 + 40_000)]",
    "[[i / 7 for i in range(n)], 'between', [str(i) * 3 for i in range(n)]]",
    "{'a': [i / 3 for i in range(n)], 'b': [True, None, 1]}",
];

const ARRAYS: &[&str] = &[
    "numpy.arange(n) / 7",
    "numpy.arange(n, dtype='int64')[::-1] * 10**9",
    "(numpy.arange(n) / 3).astype('float32')",
    "numpy.arange(n, dtype='uint16')",
    "numpy.arange(3 * n)[::3]",
    "numpy.arange(n).astype('datetime64[s]')",
    "numpy.concatenate([numpy.arange(n), [2**62]]).astype('datetime64[D]')",
    "pandas.array([i if i % 5 else None for i in range(n)], dtype='Float64') * 1.7",
    "pandas.Series(numpy.arange(n) * 0.1)",
];

fn of_length(py: Python<'_>, column: &str, n: usize) -> Py<PyAny> {
    evaluated(py, &format!("(lambda n: {column})({n})")).unbind()
}

/// What is written in parts, and how many of them were longer than what one thread makes of short elements.
fn in_parts(value: &Bound<'_, PyAny>, beside: bool, limit: usize) -> (String, usize) {
    let (mut whole, mut last, mut long) = (Vec::new(), Vec::new(), 0);
    let mut take = |part: &[u8]| {
        assert!(part.len() < 1 << 20);
        long += usize::from((100 << 10..200 << 10).contains(&part.len()));
        whole.extend_from_slice(part);
        true
    };
    let parts = Parts { first: 256 << 10, length: 95 << 10, beside, take: &mut take };
    let text = match write_in_parts(value, &mut last, parts, limit) {
        Ok(()) => String::from_utf8([whole, last].concat()).unwrap(),
        Err(WriteError::TooLarge) => "too large".to_owned(),
        Err(WriteError::Python(error)) => described(&error, value.py()),
    };
    (text, long)
}

#[test]
fn two_threads_write_what_one_does() {
    with_python(|py| {
        for column in COLUMNS {
            let value = of_length(py, column, 120_000);
            let value = value.bind(py);
            let theirs = written_by_simplejson(value);
            assert!(theirs.len() > 1 << 20, "{column}");
            let (by_two, long) = in_parts(value, true, usize::MAX);
            let (by_one, none) = in_parts(value, false, usize::MAX);
            assert!(written(value) == theirs && by_one == theirs && by_two == theirs, "{column}");
            assert!(long > 1 && none < 2, "{column}: {long} {none}");
        }
    });
}

/// An array as one thread writes it: too little at a time for two.
fn slice_by_slice(py: Python<'_>, column: &str, n: usize) -> String {
    let slices = "[values[start:start + 1000] for start in range(0, len(values), 1000)]";
    let slices = evaluated(py, &format!("(lambda n: (lambda values: {slices})({column}))({n})"));
    let slices: Vec<Bound<'_, PyAny>> = slices.extract().unwrap();
    let texts: Vec<String> = slices.iter().map(written).collect();
    match texts.iter().find(|text| !text.starts_with('[')) {
        Some(error) => error.clone(),
        None => {
            format!("[{}]", texts.iter().map(|text| &text[1..text.len() - 1]).collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn two_threads_write_arrays_as_one_does() {
    with_python(|py| {
        for column in ARRAYS {
            let expected = slice_by_slice(py, column, 300_000);
            let value = of_length(py, column, 300_000);
            let value = value.bind(py);
            assert!(
                written(value) == expected && in_parts(value, true, usize::MAX).0 == expected,
                "{column}"
            );
        }
    });
}

#[test]
fn the_limit_holds_for_both_together() {
    with_python(|py| {
        for column in COLUMNS {
            let value = of_length(py, column, 120_000);
            let value = value.bind(py);
            let length = written(value).len();
            for (limit, fits) in [(length, true), (length - 1, false), (length / 2, false)] {
                assert_eq!(written_within(value, limit) != "too large", fits, "{column}");
                assert_eq!(in_parts(value, true, limit).0 != "too large", fits, "{column}");
            }
        }
    });
}
