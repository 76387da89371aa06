use proptest::prelude::*;
use pyo3::types::PyAnyMethods as _;

use super::{parsed, parsed_by_python, with_python};

fn compare(input: &[u8]) {
    with_python(|py| {
        assert_eq!(
            parsed(py, input),
            parsed_by_python(py, input),
            "{:?}",
            String::from_utf8_lossy(&input[..input.len().min(200)])
        );
    });
}

/// Scripts compare them by `is`, as in `g is 'F'`.
#[test]
fn a_text_of_one_character_is_pythons_own_object() {
    for text in [r#""F""#, r#""\u0046""#, "\"\u{e9}\"", r#""\u00e9""#, r#""\n""#, r#""\/""#, r#""\u0000""#] {
        with_python(|py| {
            let parsed = crate::python::json::parse(py, text.as_bytes()).unwrap();
            let own = py.import("builtins").unwrap();
            let number = own.call_method1("ord", (&parsed,)).unwrap();
            assert!(parsed.is(own.call_method1("chr", (number,)).unwrap()), "{text}");
        });
    }
    // And in a document that is large enough for texts to be remembered.
    with_python(|py| {
        let text = format!(r#"["{}", {{"F": "F"}}]"#, "x".repeat(70_000));
        let parsed = crate::python::json::parse(py, text.as_bytes()).unwrap();
        let code = c"lambda parsed: [k is chr(70) and v is chr(70) for k, v in parsed[1].items()] == [True]";
        assert!(py.eval(code, None, None).unwrap().call1((parsed,)).unwrap().is_truthy().unwrap());
    });
}

#[test]
fn what_is_special_is_as_python_has_it() {
    let documents: &[&str] = &[
        "",
        " ",
        "\u{feff}1",
        "nul",
        "null",
        "nulls",
        " true ",
        "false",
        "NaN",
        "[NaN, Infinity, -Infinity]",
        "-",
        "-I",
        "+1",
        "-0",
        "-0.0",
        "0",
        "00",
        "01",
        "-01",
        "1.",
        "1.e5",
        ".5",
        "1e",
        "1e+",
        "1E+2",
        "1e-2",
        "1e400",
        "-1e400",
        "1e-400",
        "0e999999999999999999999",
        "1e99999999999999999999",
        "0.1e-99999999999999999999",
        "123456789012345678",
        "-123456789012345678",
        "1234567890123456789",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "0.1",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "2.2250738585072011e-308",
        "4.9e-324",
        "2.47e-324",
        "9007199254740993.0",
        "0.500000000000000166533453693773481063544750213623046875",
        "1_000",
        "0x10",
        "1e5.5",
        "inf",
        "nan",
        "infinity",
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1",
        "[",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "{\"a\" : 1 , \"a\":2}",
        "{\"a\":1}{",
        "[1]]",
        "1 2",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\"",
        "\"a\\/\\b\\f\\n\\r\\t\\\\\\\"z\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\u0041\\u00e9\\u4e2d\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\n\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83d\\ud83d\\ude00\"",
        "\"\\ud83d\\u12\"",
        "\"\\ud83d\\",
        "\"\\ud83d\\u",
        "\"\\uD83D\\uDE00 é\"",
        "\"tab\there\"",
        "\"nul\u{0}\"",
        "\"\u{7f}\u{80}\"",
        "\"é\"",
        "\"中文 é\"",
        "\"😀 a\"",
        "\"Ā\"",
        "\"ÿ\"",
        "\"\u{ffff}\"",
        "\"\u{10ffff}\"",
        "\u{a0}1",
        "\u{c}1",
        "\t\n\r 1\t\n\r ",
        "[\"0123456\", \"01234567\", \"012345678\"]",
        "[tru]",
        "[nul",
        "'a'",
        "{\"k\": {\"k\": {\"k\": [1, {\"k\": null}]}}}",
        "/* */ 1",
        "\"\u{2028}\"",
    ];
    for document in documents {
        compare(document.as_bytes());
    }
    let bytes: &[&[u8]] = &[
        b"\"\xff\"",
        b"\"\xc3\"",
        b"\"\xc3",
        b"\"\xed\xa0\x80\"",
        b"\xff",
        b"[1, \xfe]",
        b"\"\xf0\x9f\x98\"",
        b"\"\xc0\x80\"",
        b"\"\\u0041\xff\"",
        b"\"\xf4\x90\x80\x80\"",
        b"{\"\xe9\": 1}",
        b"\"a\\n\xe2\x82\"",
    ];
    for document in bytes {
        compare(document);
    }
}

#[test]
fn ints_stop_at_pythons_limit_of_digits() {
    for digits in [18, 19, 20, 100, 4300, 4301, 10_000] {
        compare("7".repeat(digits).as_bytes());
        compare(format!("[1, -{}]", "9".repeat(digits)).as_bytes());
    }
}

#[test]
fn numbers_of_all_lengths_are_read_inside_a_long_document() {
    const DIGITS: &str = "9876543210123456789012345";
    let mut numbers = Vec::new();
    for whole in (1..=20).map(|length| &DIGITS[..length]).chain(["0"]) {
        for sign in ["", "-"] {
            numbers.extend(["", "e5", "E-3"].map(|end| format!("{sign}{whole}{end}")));
            for behind in 1..=25 {
                numbers.extend([DIGITS, "0000012345678901234567890", "0000000000000000000000000"].map(
                    |digits| {
                        let digits = &digits[25 - behind..];
                        format!("{sign}{whole}.{digits}")
                    },
                ));
                numbers.push(format!("{sign}{whole}.{}e1", &DIGITS[..behind]));
            }
        }
    }
    let padding = " ".repeat(40);
    compare(format!("[{padding}{}{padding}]", numbers.join(",")).as_bytes());
    // What is no number is refused there, too.
    for wrong in
        ["01", "-01", "00.5", "1.", "-.5", "1.e5", "1.5.5", "1e", "--1", "1-", "0x1", "12345678901234567a"]
    {
        compare(format!("[{padding}{wrong}{padding}]").as_bytes());
    }
}

#[test]
fn texts_with_escapes_of_all_lengths_are_read() {
    for length in [1, 7, 8, 9, 240, 247, 248, 249, 255, 256, 257, 1000] {
        for part in ["\\u4e2d", "\\u00e9", "\\u0041", "\\n", "a\\\"", "ab\\u00ff", "中\\t", "\\ud83d\\ude00"]
        {
            let text = part.repeat(length);
            compare(format!("[\"{text}\", \"{text}z\", 1, 2, 3]").as_bytes());
        }
    }
}

#[test]
fn a_long_list_of_anything_is_the_same() {
    let items = ["1", "2.5", "\"a\"", "\"\\u00e9b\"", "null", "[]", "[1, [2.5]]", "{\"k\": [0]}", "-0.125"];
    for count in [4095, 4096, 4097, 20_000] {
        let mixed = (0..count).map(|index| items[index % items.len()]);
        compare(format!("[{}]", mixed.collect::<Vec<_>>().join(", ")).as_bytes());
        // The first ones promise fewer than there are.
        let uneven = (0..count).map(|index| if index < 4096 { "1234567890.12345" } else { "1" });
        let list = uneven.collect::<Vec<_>>().join(",");
        compare(format!("[[{list}], [{list}]]").as_bytes());
        for wrong in [",", "x", "1e", "\"", ""] {
            compare(format!("[{list}, {wrong}").as_bytes());
        }
    }
}

#[test]
fn every_depth_is_as_python_has_it() {
    for depth in [1, 199, 200, 201, 900] {
        compare(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
        compare(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).as_bytes());
    }
    let deepest = "[".repeat(100_000);
    with_python(|py| assert!(parsed(py, deepest.as_bytes()).starts_with("RecursionError: ")));
}

#[test]
fn a_document_large_enough_for_the_cache_is_the_same() {
    let repeated = |distinct: usize| {
        let rows = (0..6000).map(|row| format!("{{\"name\": \"text {}\", \"é\": {row}}}", row % distinct));
        format!("[{}]", rows.collect::<Vec<_>>().join(", "))
    };
    for distinct in [3, 1000, 6000] {
        compare(repeated(distinct).as_bytes());
    }
    with_python(|py| {
        let rows = crate::python::json::parse(py, repeated(3).as_bytes()).unwrap();
        let name = |row: usize| rows.get_item(row).unwrap().get_item("name").unwrap();
        assert!(name(4000).is(name(4003)), "a repeated text is one object");
    });
}

#[test]
fn nothing_is_leaked_by_broken_documents() {
    with_python(|py| {
        let tracing = py.import("tracemalloc").unwrap();
        let sys = py.import("sys").unwrap();
        let references_to_none =
            || sys.call_method1("getrefcount", (py.None(),)).unwrap().extract::<usize>().unwrap();
        let list = (0..200)
            .map(|number| format!("\"text {number}\", {number}.5, null, [{{\"k\": \"v{number}é\"}}]"));
        let start = format!("{{\"rows\": [{}", list.collect::<Vec<_>>().join(", "));
        let padded = format!("{}{start}", " ".repeat(20_000));
        let long = format!("[{}", "123456.5, ".repeat(5000));
        // The last ones are whole, so that what is parsed is freed too.
        let documents = [
            start.clone(),
            format!("{start}]"),
            format!("{start}], \"x\" 1"),
            padded,
            long.clone(),
            format!("{long}1]"),
            format!("{start}]}}"),
        ];
        let run = || {
            for document in &documents {
                let _ = super::super::parse(py, document.as_bytes());
            }
        };
        run();
        let references = references_to_none();
        tracing.call_method0("start").unwrap();
        run();
        let traced =
            || tracing.call_method0("get_traced_memory").unwrap().extract::<(usize, usize)>().unwrap().0;
        let before = traced();
        for _ in 0..20 {
            run();
        }
        let after = traced();
        tracing.call_method0("stop").unwrap();
        assert!(after < before + 20_000, "{before} bytes became {after}");
        // Each run reads four thousand nulls and more; Python itself takes and drops a few.
        assert!(references_to_none().abs_diff(references) < 1000);
    });
}

fn whitespace() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 3 => Just(" "), 1 => Just("\r\n\t ")]
}

fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        8 => "[ -!#-\\[\\]-~]",
        1 => "[\u{7f}-\u{ff}]",
        1 => "[\u{100}-\u{ffff}]",
        1 => "[\u{10000}-\u{10ffff}]",
        1 => Just("\\\"".to_owned()),
        1 => "\\\\[\\\\/bfnrt]",
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => "\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9a-f]{2}",
        1 => "\\\\u[dD][89a-f][0-9a-f]{2}",
    ];
    prop::collection::vec(character, 0..20).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "NaN|-?Infinity",
        "-?(0|[1-9][0-9]{0,25})",
        "-?(0|[1-9][0-9]{0,20})\\.[0-9]{1,25}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,5})?[eE][+-]?[0-9]{1,3}",
        any::<u64>()
            .prop_map(|bits| format!("{:?}", f64::from_bits(bits)))
            .prop_filter("finite", |text| !text.contains(['N', 'i'])),
        any::<i64>().prop_map(|number| number.to_string()),
        text(),
    ]
}

fn document() -> impl Strategy<Value = String> {
    let leaf = (whitespace(), scalar(), whitespace())
        .prop_map(|(before, value, after)| format!("{before}{value}{after}"));
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = (whitespace(), prop_oneof![text(), "\"[ab]\""], whitespace());
        let pair = (key, inner.clone())
            .prop_map(|((before, key, after), value)| format!("{before}{key}{after}:{value}"));
        prop_oneof![
            (prop::collection::vec(inner, 0..6), whitespace())
                .prop_map(|(items, space)| format!("{space}[{}]", items.join(","))),
            (prop::collection::vec(pair, 0..6), whitespace())
                .prop_map(|(pairs, space)| format!("{{{}}}{space}", pairs.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn documents(document in document()) {
        compare(document.as_bytes());
    }

    #[test]
    fn corrupted_documents(document in document(), place in any::<prop::sample::Index>(), byte in prop_oneof![
        any::<u8>(), prop::sample::select(b"\"\\{}[],:0-.eE \xffuN".to_vec())], change in 0..3) {
        let mut bytes = document.into_bytes();
        let place = place.index(bytes.len());
        match change {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            _ => bytes.truncate(place),
        }
        compare(&bytes);
    }

    #[test]
    fn raw_bytes(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\"[]{}:,\\0123.e-u \xc3\xa9".to_vec())], 0..24)) {
        compare(&bytes);
    }
}
