//! How values travel: JSON into Python objects and back, byte for byte as TabPy writes it, and the
//! conversions that TabPy lacks.

use serde_json::json;

use crate::support::{Request, Server};

/// Sends `{"script": ..., "data": {"_arg1": <text>}}` with the text as it stands.
fn echo(server: &Server, script: &str, argument: &str) -> (u16, String) {
    let body = format!("{{\"script\": {}, \"data\": {{\"_arg1\": {argument}}}}}", json!(script));
    let response = server.post("/evaluate", body);
    (response.status, response.text())
}

#[test]
fn input_takes_what_pythons_json_takes() {
    let server = Server::start().ready();
    let rows = [
        ("return _arg1", "[1,2 ,\t3\r\n]", "[1, 2, 3]"),
        (
            "return _arg1",
            "[-0, -0.0, 1E5, 1e-7, 1e16, 123456789012345678, 0.1]",
            "[0, -0.0, 100000.0, 1e-07, 1e+16, 123456789012345678, 0.1]",
        ),
        ("return _arg1", "[NaN, Infinity, -Infinity, 1e400, -1e400]", "[null, null, null, null, null]"),
        (
            "return [x != x for x in _arg1[:1]] + [_arg1[1] > 1e308, _arg1[2] < -1e308, _arg1[3] > 1e308]",
            "[NaN, Infinity, -Infinity, 1e400]",
            "[true, true, true, true]",
        ),
        ("return _arg1", r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"a": 3, "b": 2}"#),
        ("return [_arg1, len(_arg1)]", r#""\ud800""#, r#"["\ud800", 1]"#),
        ("return [_arg1, len(_arg1)]", r#""\ud83d\ude00""#, r#"["\ud83d\ude00", 1]"#),
        ("return [_arg1, len(_arg1)]", "\"😀é\u{7f}\"", r#"["\ud83d\ude00\u00e9\u007f", 3]"#),
        ("return _arg1", r#""\"\\\/\b\f\n\r\t\u0000\u001f""#, r#""\"\\/\b\f\n\r\t\u0000\u001f""#),
        ("return _arg1", r#"["\u2028", "</script>", "é"]"#, r#"["\u2028", "</script>", "\u00e9"]"#),
        ("return type(_arg1[0]).__name__ + type(_arg1[1]).__name__", "[1, 1.0]", "\"intfloat\""),
        ("return _arg1 + 1", "123456789012345678901234567890", "123456789012345678901234567891"),
        ("return _arg1", "-9223372036854775809", "-9223372036854775809"),
        ("return [_arg1 is None]", "null", "[true]"),
        ("return _arg1", r#""\u00e9\u4e2d""#, r#""\u00e9\u4e2d""#),
        ("return sorted(_arg1)", r#"{"": 1, "ключ": 2}"#, r#"["", "\u043a\u043b\u044e\u0447"]"#),
    ];
    for (script, argument, answer) in rows {
        assert_eq!(echo(&server, script, argument), (200, answer.to_owned()), "{script} {argument}");
    }
}

#[test]
fn integers_of_any_size_up_to_pythons_limit() {
    let server = Server::start().ready();
    let long = "7".repeat(4300);
    assert_eq!(echo(&server, "return _arg1", &long), (200, long));
    let response = server.post(
        "/evaluate",
        format!("{{\"script\": \"return 1\", \"data\": {{\"_arg1\": {}}}}}", "7".repeat(4301)),
    );
    let info = response.info(500, "Error processing script");
    assert!(info.starts_with("ValueError : Exceeds the limit (4300"), "{info}");
    let info = server.evaluate("return 10 ** 5000", json!({})).info(500, "Error processing script");
    assert!(info.starts_with("ValueError : Exceeds the limit (4300"), "{info}");
    server.still_works();
}

#[test]
fn results_are_written_as_tabpy_writes_them() {
    let server = Server::start().ready();
    let rows = [
        ("return [float('nan'), float('inf'), -float('inf')]", "[null, null, null]"),
        (
            "return [1.0, 0.1, 1e16, 1e22, 1.5e-7, 5e-324, 1.7976931348623157e308, 123456789.123]",
            "[1.0, 0.1, 1e+16, 1e+22, 1.5e-07, 5e-324, 1.7976931348623157e+308, 123456789.123]",
        ),
        ("return 10 ** 30", "1000000000000000000000000000000"),
        ("return (1, (2, 3), [])", "[1, [2, 3], []]"),
        (
            "from collections import namedtuple\nreturn namedtuple('P', 'x y')(1, 'b')",
            r#"{"x": 1, "y": "b"}"#,
        ),
        ("from decimal import Decimal\nreturn [Decimal('1.10'), Decimal('1E+3')]", "[1.10, 1E+3]"),
        (
            "from decimal import Decimal\nclass D(Decimal):\n    def __str__(self): return '1, \"x\": ['\nreturn [D('1.10'), {D('2'): 1}]",
            "[1.10, {\"2\": 1}]",
        ),
        ("import enum\nclass E(enum.IntEnum):\n    A = 3\nreturn [E.A, {E.A: 1}]", "[3, {\"3\": 1}]"),
        ("return b'caf\\xc3\\xa9'", r#""caf\u00e9""#),
        ("return {1: 1, 1.5: 2, None: 4}", r#"{"1": 1, "1.5": 2, "null": 4}"#),
        ("return {True: 1, False: 2}", r#"{"true": 1, "false": 2}"#),
        ("return '\\x7f\\x00\\x1f\\u2028/<>&\\'\"\\\\'", r#""\u007f\u0000\u001f\u2028/<>&'\"\\""#),
        ("return ['\\ud800', '\\U0001F600', 'é']", r#"["\ud800", "\ud83d\ude00", "\u00e9"]"#),
        ("return [True, False, None, '', 0, -0.0]", r#"[true, false, null, "", 0, -0.0]"#),
        ("class F(float):\n    def __repr__(self): return 'broken'\nreturn F(2.5)", "2.5"),
        ("class I(int):\n    def __str__(self): return 'broken'\nreturn I(2)", "2"),
        ("class S(str): pass\nreturn {S('a'): S('b')}", r#"{"a": "b"}"#),
        (
            "from collections import OrderedDict, defaultdict\nd = defaultdict(list)\nd['k'].append(1)\nreturn [OrderedDict(b=1, a=2), d]",
            r#"[{"b": 1, "a": 2}, {"k": [1]}]"#,
        ),
    ];
    for (script, answer) in rows {
        assert_eq!(server.value(script), answer, "{script}");
    }
}

#[test]
fn what_tabpy_cannot_write_is_converted() {
    let server = Server::start().ready();
    let rows = [
        ("import numpy as np\nreturn np.array([[1, 2], [3, 4]])", "[[1, 2], [3, 4]]"),
        ("import numpy as np\nreturn np.array([1.5, np.nan, np.inf])", "[1.5, null, null]"),
        (
            "import numpy as np\nreturn [np.float64(0.1), np.int64(7), np.bool_(True), np.str_('s'), np.uint8(255)]",
            r#"[0.1, 7, true, "s", 255]"#,
        ),
        ("import numpy as np\nreturn np.array(['a', None, 1.0], dtype=object)", r#"["a", null, 1.0]"#),
        ("import numpy as np\nreturn np.array([True, False])", "[true, false]"),
        ("import numpy as np\nreturn np.array(5)", "5"),
        ("import numpy as np\nreturn {'a': np.arange(3)}", r#"{"a": [0, 1, 2]}"#),
        ("import pandas as pd\nreturn pd.Series([1, 2, 3]) * 2", "[2, 4, 6]"),
        ("import pandas as pd\nreturn pd.Series(['x', None])", r#"["x", null]"#),
        ("import pandas as pd\nreturn pd.Series([1, None], dtype='Int64')", "[1, null]"),
        (
            "import pandas as pd\nreturn pd.DataFrame({'a': [1, 2], 'b': ['x', None]})",
            r#"{"a": [1, 2], "b": ["x", null]}"#,
        ),
        ("import pandas as pd\nreturn pd.Index(['p', 'q'])", r#"["p", "q"]"#),
        ("import pandas as pd\nreturn pd.Categorical(['u', 'v', 'u'])", r#"["u", "v", "u"]"#),
        ("import pandas as pd\nreturn [pd.NaT, pd.NA]", "[null, null]"),
        (
            "import pandas as pd\nreturn pd.to_datetime(pd.Series(['2024-02-29', None]))",
            r#"["2024-02-29T00:00:00", null]"#,
        ),
        (
            "import pandas as pd\nreturn pd.Timestamp('2024-02-29 12:30:01.5')",
            r#""2024-02-29T12:30:01.500000""#,
        ),
        (
            "import datetime as d\nreturn [d.date(2024, 2, 29), d.datetime(2024, 2, 29, 1, 2, 3), d.time(1, 2, 3)]",
            r#"["2024-02-29", "2024-02-29T01:02:03", "01:02:03"]"#,
        ),
        (
            "import datetime as d\nreturn d.datetime(2024, 1, 1, tzinfo=d.timezone.utc)",
            r#""2024-01-01T00:00:00+00:00""#,
        ),
        ("return range(3)", "[0, 1, 2]"),
        ("return (x * x for x in range(4))", "[0, 1, 4, 9]"),
        ("return map(str, [1, 2])", r#"["1", "2"]"#),
        ("return filter(None, [0, 1])", "[1]"),
        ("return zip([1], [2])", "[[1, 2]]"),
        ("return sorted({3, 1, 2})", "[1, 2, 3]"),
        ("return {7}", "[7]"),
        ("return frozenset([7])", "[7]"),
        ("return {'a': 1}.keys()", r#"["a"]"#),
        ("return {'a': 1}.values()", "[1]"),
    ];
    for (script, answer) in rows {
        let response = server.evaluate(script, json!({}));
        assert_eq!((response.status, response.text().as_str()), (200, answer), "{script}");
    }
}

#[test]
fn what_cannot_be_written_is_named() {
    let server = Server::start().ready();
    let rows = [
        ("return complex(1)", "TypeError : Object of type complex is not JSON serializable"),
        ("return [1, object()]", "TypeError : Object of type object is not JSON serializable"),
        ("return {'a': lambda: 1}", "TypeError : Object of type function is not JSON serializable"),
        ("import os\nreturn os", "TypeError : Object of type module is not JSON serializable"),
        ("class Thing: pass\nreturn Thing()", "TypeError : Object of type Thing is not JSON serializable"),
        (
            "class Thing:\n    def to_dict(self): return {}\nreturn Thing()",
            "TypeError : Object of type Thing is not JSON serializable",
        ),
        ("return {(1, 2): 3}", "TypeError : keys must be str, int, float, bool or None, not tuple"),
        ("a = []\na.append(a)\nreturn a", "ValueError : Circular reference detected"),
        ("a = {}\na['a'] = [a]\nreturn a", "ValueError : Circular reference detected"),
        (
            "return b'\\xff'",
            "UnicodeDecodeError : 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
    ];
    for (script, wanted) in rows {
        let info = server.evaluate(script, json!({})).info(500, "Error processing script");
        assert!(info.starts_with(wanted), "{script}: {info}");
    }
    // The same list twice is no circle.
    assert_eq!(server.value("a = [1]\nreturn [a, a, {'x': a}]"), r#"[[1], [1], {"x": [1]}]"#);
    server.still_works();
}

#[test]
fn a_generator_that_fails_or_never_ends_is_an_error() {
    let server = Server::builder().env("TABPY_EVALUATE_TIMEOUT", "3").start().ready();
    let script = "def rows():\n    yield 1\n    raise ValueError('in the middle')\nreturn rows()";
    let info = server.evaluate(script, json!({})).info(500, "Error processing script");
    assert!(info.starts_with("ValueError : in the middle"), "{info}");
    let script = "import itertools\nreturn (x for x in itertools.repeat(None) if x)";
    server.evaluate(script, json!({})).error(408);
    server.still_works();
}

#[test]
fn a_large_table_comes_back_whole() {
    let server = Server::start().ready();
    let column: Vec<f64> = (0..200_000).map(|row| f64::from(row) * 0.5 + 0.25).collect();
    let request = Request::evaluate("return [x + 1 for x in _arg1]", &json!({"_arg1": column}));
    let answer: Vec<f64> = serde_json::from_slice(&server.send(&request).body).unwrap();
    let wanted: Vec<f64> = column.iter().map(|value| value + 1.0).collect();
    assert_eq!(answer, wanted);
}
