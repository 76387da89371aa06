use pyo3::types::PyAnyMethods as _;

use super::super::rows;
use super::{evaluated, with_python, written, written_within};

#[test]
fn an_answer_over_the_limit_is_not_written() {
    with_python(|py| {
        for source in [
            "'abc'",
            "[1, 2]",
            "{'a': 1.5}",
            "'\\u4e2d\\n'",
            "numpy.arange(9)",
            "pandas.Series(['a', 'b'])",
            "None",
            "b'x'",
        ] {
            let value = evaluated(py, source);
            let whole = written(&value);
            assert_eq!(written_within(&value, whole.len()), whole, "{source}");
            assert_eq!(written_within(&value, whole.len() - 1), "too large", "{source}");
            assert_eq!(written_within(&value, 0), "too large", "{source}");
        }
    });
}

#[test]
fn what_never_ends_stops_at_the_limit() {
    with_python(|py| {
        for source in [
            "itertools.count()",
            "itertools.repeat('')",
            "itertools.cycle([[]])",
            "iter(int, 1)",
            "map(str, itertools.count())",
            "{'a': itertools.repeat({})}",
            "[itertools.repeat(None)]",
            "mutated_list(grow)",
        ] {
            assert_eq!(written_within(&evaluated(py, source), 100_000), "too large", "{source}");
        }
    });
}

#[test]
fn a_long_answer_stops_early() {
    with_python(|py| {
        let value = evaluated(py, "['\\u4e2d' * 50_000_000]");
        let mut out = Vec::new();
        assert!(super::super::write(&value, &mut out, 1000).is_err());
        assert!(out.capacity() < 1_000_000, "{}", out.capacity());
    });
}

#[test]
fn a_raised_recursion_limit_does_not_break_the_stack() {
    // A worker writes on its main thread, whose stack is as large.
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(write_far_too_deep).unwrap().join().unwrap();
}

fn write_far_too_deep() {
    with_python(|py| {
        let sys = py.import("sys").unwrap();
        let limit = sys.call_method0("getrecursionlimit").unwrap();
        sys.call_method1("setrecursionlimit", (1_000_000,)).unwrap();
        for source in [
            "nested(100_000)",
            "nested(100_000, dict)",
            "nested(100_000, tuple)",
            "nested(100_000, List)",
            "nested(100_000, iter)",
            "nested(20_000, collections.deque)",
        ] {
            let text = written(&evaluated(py, source));
            assert!(
                text.starts_with("RecursionError: maximum recursion depth exceeded")
                    || source.contains("List"),
                "{source}: {text}"
            );
        }
        sys.call_method1("setrecursionlimit", (limit,)).unwrap();
    });
}

#[test]
fn rows_are_counted() {
    with_python(|py| {
        for (source, expected) in [
            ("None", 1),
            ("5", 1),
            ("'abc'", 1),
            ("b'abc'", 1),
            ("[]", 0),
            ("[1, 2]", 2),
            ("(1,)", 1),
            ("{1, 2}", 2),
            ("range(4)", 4),
            ("{}", 0),
            ("{'a': [1, 2], 'b': [1, 2, 3], 'c': 5}", 3),
            ("{'a': 1}", 1),
            ("numpy.arange(5)", 5),
            ("numpy.zeros((3, 2))", 3),
            ("numpy.array(1)", 1),
            ("numpy.float64(1)", 1),
            ("pandas.Series([1, 2])", 2),
            ("pandas.DataFrame({'a': [1, 2]})", 2),
            ("pandas.Index([1])", 1),
            ("pandas.Categorical(['a', 'b'])", 2),
            ("iter([1, 2])", 1),
            ("List([1])", 0),
        ] {
            assert_eq!(rows(&evaluated(py, source)), expected, "{source}");
        }
    });
}
