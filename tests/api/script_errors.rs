//! An analyst reads `info` in Tableau's dialog: it begins as TabPy's does, then names the line that
//! the analyst wrote, with the number that the line has in the calculation window.

use serde_json::json;

use crate::support::Server;

/// Runs a script that fails and checks the text, the number of the line and its source.
#[track_caller]
fn fails_at(server: &Server, script: &str, text: &str, number: usize) -> String {
    let info = server.evaluate(script, json!({"_arg1": [1, 2, 3]})).info(500, "Error processing script");
    assert!(info.starts_with(text), "{script:?} should start with {text:?}: {info}");
    let source = script.split(['\n', '\r']).filter(|line| !line.is_empty()).nth(number - 1);
    let source = source.unwrap_or_else(|| panic!("no line {number} in {script:?}")).trim();
    assert!(names_line(&info, number), "{script:?} should name line {number}: {info}");
    assert!(info.contains(source), "{script:?} should show {source:?}: {info}");
    info
}

fn names_line(info: &str, number: usize) -> bool {
    let wanted = format!("line {number}");
    info.match_indices(&wanted)
        .any(|(at, _)| !info[at + wanted.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

#[test]
fn a_raised_error_names_the_users_line() {
    let server = Server::start().ready();
    let rows = [
        ("raise ValueError('text')", "ValueError : text", 1),
        ("x = 1\ny = x / 0\nreturn y", "ZeroDivisionError : division by zero", 2),
        ("# a comment\nx = 1\nreturn _arg1[10]", "IndexError : list index out of range", 3),
        ("return undefined_thing", "NameError : name 'undefined_thing' is not defined", 1),
        ("x = {}\nreturn x['k']", "KeyError : 'k'", 2),
        ("assert False", "AssertionError : ", 1),
        ("raise Exception()", "Exception : ", 1),
        ("import no_such_module_here", "ModuleNotFoundError : No module named 'no_such_module_here'", 1),
        (
            "def outer():\n    def inner():\n        return 1 + 'a'\n    return inner()\nreturn outer()",
            "TypeError : unsupported operand",
            3,
        ),
        (
            "f = lambda x: x.missing\nreturn f(1)",
            "AttributeError : 'int' object has no attribute 'missing'",
            1,
        ),
        (
            "return [int(x) for x in ['1', 'two']]",
            "ValueError : invalid literal for int() with base 10: 'two'",
            1,
        ),
        (
            "class A:\n    def go(self):\n        raise RuntimeError('deep')\nreturn A().go()",
            "RuntimeError : deep",
            3,
        ),
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('second')",
            "ValueError : second",
            4,
        ),
        (
            "def f(n):\n    return f(n + 1)\nreturn f(0)",
            "RecursionError : maximum recursion depth exceeded",
            2,
        ),
        ("x = 'é😀'\nraise ValueError('ключ ' + x)", "ValueError : ключ é😀", 2),
    ];
    for (script, text, number) in rows {
        fails_at(&server, script, text, number);
    }
    server.still_works();
}

#[test]
fn an_error_in_a_library_names_the_line_that_called_it() {
    let server = Server::start().ready();
    let rows = [
        ("import json\ntext = '{'\nreturn json.loads(text)", "JSONDecodeError : Expecting property name", 3),
        (
            "import pandas as pd\nd = pd.DataFrame({'a': [1]})\nx = 1\nreturn d['missing column']",
            "KeyError : 'missing column'",
            4,
        ),
        (
            "import numpy as np\nreturn np.zeros(2) + np.zeros(3)",
            "ValueError : operands could not be broadcast",
            2,
        ),
        (
            "import statistics\n# mean of nothing\nreturn statistics.mean([])",
            "StatisticsError : mean requires at least one data point",
            3,
        ),
        (
            "from sklearn.cluster import KMeans\nmodel = KMeans(n_clusters=5)\nmodel.fit([[1.0]])",
            "ValueError : n_samples=1 should be >= n_clusters=5",
            3,
        ),
    ];
    for (script, text, number) in rows {
        let info = fails_at(&server, script, text, number);
        assert!(
            !info.contains("site-packages") && !info.contains("/lib/python"),
            "a server's path leaks: {info}"
        );
    }
}

#[test]
fn indented_scripts_and_other_line_ends_keep_their_numbers() {
    let server = Server::start().ready();
    for script in [
        "    x = 1\n    y = 2\n    raise ValueError('here')",
        "\tx = 1\n\ty = 2\n\traise ValueError('here')",
        "x = 1\r\ny = 2\r\nraise ValueError('here')\r\n",
        "  x = 1\r\n  y = 2\r\n  raise ValueError('here')",
        "x = 1\ry = 2\rraise ValueError('here')",
    ] {
        fails_at(&server, script, "ValueError : here", 3);
    }
    // Empty lines count too, before the code and between.
    let info =
        server.evaluate("\n\n\nraise ValueError('fourth')", json!({})).info(500, "Error processing script");
    assert!(info.starts_with("ValueError : fourth") && names_line(&info, 4), "{info}");
    let info = server
        .evaluate("x = 1\r\n\r\nraise ValueError('third')", json!({}))
        .info(500, "Error processing script");
    assert!(names_line(&info, 3), "{info}");
}

#[test]
fn a_syntax_errors_line_is_the_users() {
    let server = Server::start().ready();
    let rows = [
        ("return 1 +", "SyntaxError : invalid syntax", 1),
        ("x = 1\nif x\n    return 2", "SyntaxError : expected ':'", 2),
        ("x = 1\ny = 'open\nreturn y", "SyntaxError : unterminated string literal", 2),
        ("x = (1,\nreturn x", "SyntaxError : ", 1),
        ("x = 1\n  y = 2\nreturn x", "IndentationError : unexpected indent", 2),
        ("if True:\nreturn 1", "IndentationError : expected an indented block", 2),
        (
            "    if True:\n        x = 1\n      y = 2\n    return x",
            "IndentationError : unindent does not match",
            3,
        ),
        ("x = 1\r\nreturn )\r\n", "SyntaxError : unmatched ')'", 2),
        ("for x in _arg1:\n    pass\nbreak", "SyntaxError : 'break' outside loop", 3),
        ("x = 1\nfrom os import *", "SyntaxError : import * only allowed at module level", 2),
    ];
    for (script, text, number) in rows {
        let info = fails_at(&server, script, text, number);
        let invented = format!("line {}", number + 1);
        assert!(!names_line(&info, number + 1), "{script:?} should not name {invented}: {info}");
    }
    server.still_works();
}

#[test]
fn text_inside_triple_quotes_is_not_changed() {
    let server = Server::start().ready();
    let rows = [
        ("x = '''a\nb\n  c'''\nreturn x", r#""a\nb\n  c""#),
        ("    x = '''a\nb\n      c\n    '''\n    return x", r#""a\nb\n      c\n    ""#),
        ("    x = \"\"\"a\n    b\"\"\"\n    return x", r#""a\n    b""#),
        ("return 'a\\\nb'", r#""ab""#),
        ("x = f'''\n{1 + 1}\n'''\nreturn x", r#""\n2\n""#),
        ("return '\\u2028 \\x0c \\x1c'", r#""\u2028 \f \u001c""#),
        ("return 'a\u{2028}b\u{85}c\u{b}d\u{c}e\u{1c}f'", r#""a\u2028b\u0085c\u000bd\fe\u001cf""#),
    ];
    for (script, answer) in rows {
        let response = server.evaluate(script, json!({}));
        assert_eq!((response.status, response.text().as_str()), (200, answer), "{script:?}");
    }
}

#[test]
fn scripts_cannot_break_out_of_their_function() {
    let server = Server::start().ready();
    assert_eq!(server.value("def _user_script():\n    return 'mine'\nreturn _user_script()"), "\"mine\"");
    // A closing bracket or a dedent does not reach the code around the script.
    for script in ["return 1\n)\nx = (", "    return 1\nreturn 2\n"] {
        let response = server.evaluate(script, json!({}));
        assert_eq!(response.status, 500, "{}", response.text());
    }
    server.evaluate("return \"a\0b\"", json!({})).info(500, "Error processing script");
    server.still_works();
}

#[test]
fn a_very_long_message_is_bounded_and_a_bad_one_survived() {
    let server = Server::start().ready();
    let response = server.evaluate("raise ValueError('x' * 50_000_000)", json!({}));
    let info = response.info(500, "Error processing script");
    assert!(info.starts_with("ValueError : xxxx"), "{}", &info[..40]);
    let script =
        "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError('no text')\nraise Odd()";
    let info = server.evaluate(script, json!({})).info(500, "Error processing script");
    assert!(info.starts_with("Odd : "), "{info}");
    let response = server.evaluate("raise ValueError('\\ud800')", json!({}));
    // A lone surrogate is beyond this test's JSON reader.
    assert_eq!(response.status, 500);
    assert!(
        response.text().starts_with(r#"{"message": "Error processing script", "info": "ValueError : "#),
        "{}",
        response.text()
    );
    server.still_works();
}

/// Generated calculations are long: as long as TabPy takes them, and an error where they are longer.
#[test]
fn long_chains_are_compiled() {
    let server = Server::start().ready();
    let sum = |terms: usize| format!("return 0{}", " + 1".repeat(terms));
    let choice = |branches: usize| {
        let branches: String = (0..branches).map(|n| format!("elif _arg1 == {n}: return {n}\n")).collect();
        format!("if _arg1 is None: return None\n{branches}")
    };
    let replaced = |times: usize| format!("return _arg1{}", ".replace('a', 'b')".repeat(times));
    assert_eq!(server.value(&sum(2900)), "2900");
    server.evaluate(&choice(1000), json!({"_arg1": 999})).is(200, "999");
    server.evaluate(&replaced(1400), json!({"_arg1": "a"})).is(200, "\"b\"");
    let limit = "import sys\nreturn sys.getrecursionlimit()";
    assert_eq!(server.value(limit), "1000");
    for script in
        [sum(100_000), choice(50_000), replaced(100_000), format!("return {}1", "-".repeat(100_000))]
    {
        server.evaluate(&script, json!({"_arg1": 1})).info(500, "Error processing script");
        assert_eq!(server.value(limit), "1000");
    }
}
