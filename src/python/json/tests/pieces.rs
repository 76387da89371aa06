//! Documents that are parsed while they come, and answers that go out while they are written: neither makes a
//! difference.

use pyo3::prelude::*;

use super::super::{Coming, Parts, Read, WriteError, parse_coming, write_in_parts};
use super::{described, evaluated, parsed, reference, with_python, written};

/// What our parser makes of a document of which `beginning` bytes are there and the rest comes in pieces.
fn parsed_in_pieces(
    py: Python<'_>,
    document: &[u8],
    beginning: usize,
    piece: usize,
    margin: usize,
) -> String {
    let (first, rest) = document.split_at(beginning.min(document.len()));
    let mut pieces = rest.chunks(piece);
    let read: &mut Read<'_> = &mut |room| {
        let piece = pieces.next()?;
        Some(room[..piece.len()].write_copy_of_slice(piece))
    };
    let mut buffer = [b"header", first].concat();
    let mut coming = Coming::new(&mut buffer, 6, document.len(), read);
    coming.margin = margin;
    match parse_coming(py, &mut coming) {
        Ok(value) => reference(py).call_method1("describe", (value,)).unwrap().extract().unwrap(),
        Err(error) => described(&error, py),
    }
}

/// Every kind of element, in lists that are short, long, nested and empty; and what is no JSON.
fn documents() -> Vec<String> {
    let numbers: Vec<String> = (0..5000).map(|row| format!("{}", f64::from(row) / 7.0)).collect();
    let texts: Vec<String> =
        (0..5000).map(|row| format!(r#""Ren\u00e9 {} {row}""#, "é".repeat(row % 5))).collect();
    let rows: Vec<String> = (0..500).map(|row| format!(r#"{{"a": [{row}, null], "b": true}}"#)).collect();
    let (numbers, texts, rows) = (numbers.join(", "), texts.join(","), rows.join(" , "));
    let long = "x".repeat(3000);
    let table =
        format!(r#" {{"data": {{"_arg1": [{numbers}], "_arg2": [{texts}]}}, "script": "return _arg1"}} "#);
    let mut documents = vec![
        format!("[{rows}]"),
        format!(r#"["{long}", [[], {{}}, [{numbers}]], "{long}"]"#),
        format!("[{numbers}"),
        format!("[{numbers},]"),
        format!("[{texts}] x"),
        format!("[{texts}, \"\u{1}\"]"),
        format!(r#"[{numbers}, "\ud800", 1{}, -Infinity, NaN]"#, "0".repeat(5000)),
        format!("{}{}", "[".repeat(1500), "]".repeat(1500)),
        String::new(),
        "12".to_owned(),
    ];
    documents.extend([table.replace("return", &long), table.replace("2.0", "2.O"), table]);
    documents
}

#[test]
fn a_document_that_comes_in_pieces_is_the_same() {
    with_python(|py| {
        for document in documents() {
            let whole = parsed(py, document.as_bytes());
            for (beginning, piece, margin) in [
                (0, 100, 30),
                (1, 4096, 64),
                (50, 7, 8),
                (3000, 33, 0),
                (500, 100_000, 1000),
                (9, 1000, 100_000),
            ] {
                let found = parsed_in_pieces(py, document.as_bytes(), beginning, piece, margin);
                assert!(
                    found == whole,
                    "{beginning} {piece} {margin}: {document:.80}: {found:.200} {whole:.200}"
                );
            }
        }
    });
}

#[test]
fn a_document_that_never_comes_whole_is_an_error() {
    with_python(|py| {
        let mut buffer = b"[1, 2, ".to_vec();
        let read: &mut Read<'_> = &mut |_| None;
        let error = parse_coming(py, &mut Coming::new(&mut buffer, 0, 100, read)).unwrap_err();
        assert_eq!(described(&error, py), "BrokenPipeError: the request is not whole");
    });
}

/// What is written in parts of at least so many bytes, and how many there were.
fn written_in_parts(value: &Bound<'_, PyAny>, length: usize, limit: usize) -> (String, usize) {
    let mut whole = Vec::new();
    let mut count = 0;
    let mut last = Vec::new();
    let mut take = |part: &[u8]| {
        assert!(part.len() > length, "{} of {length}", part.len());
        whole.extend_from_slice(part);
        count += 1;
        true
    };
    let outcome = write_in_parts(
        value,
        &mut last,
        Parts { first: length, length, beside: true, take: &mut take },
        limit,
    );
    let text = match outcome {
        Ok(()) => String::from_utf8([whole, last].concat()).unwrap(),
        Err(WriteError::TooLarge) => "too large".to_owned(),
        Err(WriteError::Python(error)) => described(&error, value.py()),
    };
    (text, count)
}

const VALUES: &[&str] = &[
    "[i / 7 for i in range(2000)]",
    "[i - 500 for i in range(1000)]",
    "[f'a\"b\u{4e2d} {i}' for i in range(500)]",
    "{'a': [{'b': i, 'c': [[], {}, ()]} for i in range(200)], 'd': tuple(range(300))}",
    "'\\n' * 5000",
    "['x' * 5000, 'y']",
    "numpy.arange(2000) / 7",
    "numpy.arange(60).reshape(3, 4, 5)",
    "numpy.arange(500).astype('datetime64[h]')",
    "list(numpy.arange(50).astype('datetime64[D]'))",
    "pandas.Series([f'category {i % 9}' for i in range(500)]).astype('category')",
    "pandas.DataFrame({'a': range(300), 'b': pandas.date_range('2020', periods=300)})",
    "pandas.Series([1, None, 3] * 100, dtype='Int64')",
    "(i for i in range(1000))",
    "[1] * 500 + [object()]",
    "numpy.arange(1000).tolist() + [{1: {(): 2}}]",
    "7",
    "''",
];

#[test]
fn an_answer_in_parts_is_the_same() {
    with_python(|py| {
        for source in VALUES {
            let whole = written(&evaluated(py, source));
            for length in [0, 1, 10, 1000, 100_000] {
                let (found, parts) = written_in_parts(&evaluated(py, source), length, usize::MAX);
                assert!(found == whole, "{source} in {length}: {found:.200} {whole:.200}");
                assert!(length > 10 || parts > 0 || whole.len() <= 10, "{source} in {length}");
            }
        }
    });
}

#[test]
fn the_limit_holds_for_all_parts_together() {
    with_python(|py| {
        for source in VALUES.iter().filter(|source| !source.contains("object()") && !source.contains("{():"))
        {
            let whole = written(&evaluated(py, source));
            for length in [0, 100, 1_000_000] {
                let within = |limit| written_in_parts(&evaluated(py, source), length, limit).0;
                assert!(within(whole.len()) == whole, "{source} in {length}");
                assert_eq!(within(whole.len() - 1), "too large", "{source} in {length}");
            }
        }
    });
}

#[test]
fn a_part_that_nobody_takes_is_an_error() {
    with_python(|py| {
        let value = evaluated(py, "list(range(100))");
        let (mut last, mut asked) = (Vec::new(), 0);
        let mut take = |_: &[u8]| {
            asked += 1;
            false
        };
        let outcome = write_in_parts(
            &value,
            &mut last,
            Parts { first: 9, length: 9, beside: true, take: &mut take },
            usize::MAX,
        );
        let Err(WriteError::Python(error)) = outcome else { panic!("it was written") };
        assert_eq!(described(&error, py), "BrokenPipeError: nobody takes the answer");
        assert_eq!(asked, 1);
    });
}
