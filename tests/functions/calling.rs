//! Calling functions, by `/query` and from scripts.

use serde_json::json;

use crate::worker::{Catalogue, Worker};

const ADD: &str =
    "import math\n\ndef add(x, y=1):\n    return x + y\n\ndef fail(text):\n    raise ValueError(text)\n";

#[test]
fn a_source_is_called_by_name_and_by_position() {
    let mut catalogue = Catalogue::new();
    catalogue.source("add", "add", ADD);
    let mut worker = Worker::start(&catalogue);
    let answer = worker.query(1, "add", json!([1, 2]));
    let text = answer.text();
    let (before, uuid) = text.split_once("\"uuid\": \"").unwrap();
    assert_eq!(before, "{\"response\": 3, \"version\": 1, \"model\": \"add\", ");
    assert_eq!(uuid.len(), 38);
    assert_eq!(worker.query(1, "add", json!({"x": 5})).response(), 6);
    assert_eq!(worker.query(1, "add", json!({"y": "b", "x": "a"})).response(), "ab");
    assert_eq!(worker.evaluate(1, "return tabpy.query('add', 2, 3)['response']", json!({})).text(), "5");
    assert_eq!(
        worker.evaluate(1, "return tabpy.query('add', x=2, y=_arg1)['response']", json!({"_arg1": 4})).text(),
        "6"
    );
    assert_eq!(worker.evaluate(1, "return tabpy.query('add', 2, y=5)['response']", json!({})).text(), "7");
}

#[test]
fn archives_of_the_stock_tools_are_called() {
    let mut catalogue = Catalogue::new();
    catalogue.archive("double", "def function(x):\n    'Doubles.'\n    return [2 * one for one in x]");
    catalogue.archive("lambda", "import math\nfunction = lambda x: math.sqrt(x)");
    catalogue.archive(
        "own",
        "from tabpy.tabpy_tools.query_object import QueryObject\nclass Own(QueryObject):\n    def query(self, x): return x\n    \
         def get_docstring(self): return 'own'\n    def get_methods(self): return []\nfunction = Own('mine')",
    );
    catalogue.archive(
        "model",
        "from sklearn.linear_model import LinearRegression\nmodel = LinearRegression().fit([[0], [1], [2]], [1, 3, 5])\n\
         def function(x): return model.predict([[one] for one in x]).tolist()",
    );
    let mut worker = Worker::start(&catalogue);
    assert_eq!(worker.query(4, "double", json!([[1, 2]])).response(), json!([2, 4]));
    assert_eq!(worker.query(4, "lambda", json!([9])).response(), json!(3.0));
    assert_eq!(worker.query(4, "own", json!({"x": null})).response(), json!(null));
    let predicted = worker.query(4, "model", json!([[10]])).response();
    assert!((predicted[0].as_f64().unwrap() - 21.0).abs() < 1e-9);
    assert!(!worker.has_left());
}

#[test]
fn what_goes_wrong_is_told_in_three_texts_that_name_the_function() {
    let mut catalogue = Catalogue::new();
    catalogue.source("add", "add", ADD);
    catalogue.source("fail", "fail", ADD);
    catalogue.archive("archived", "def function(x):\n    return 1 / x");
    let mut worker = Worker::start(&catalogue);
    let missing = worker.query(3, "nope", json!([1]));
    assert_eq!(
        (missing.status, missing.text()),
        (404, r#"{"message": "UnknownURI", "info": "Endpoint 'nope' does not exist"}"#.to_owned())
    );
    let misfit = "TypeError : add() missing 1 required positional argument: 'x' (the arguments do not fit function 'add', \
                  which takes (x, y=1))";
    assert_eq!(worker.query(3, "add", json!([])).failed("add"), misfit);
    let unknown = worker.query(3, "add", json!({"x": 1, "z": 1})).failed("add");
    assert!(
        unknown.starts_with("TypeError : add() got an unexpected keyword argument 'z' (the arg"),
        "{unknown}"
    );
    let raised = "ValueError : no \u{e9} (line 7: raise ValueError(text))";
    assert_eq!(worker.query(3, "fail", json!(["no \u{e9}"])).failed("fail"), raised);
    let inner = worker.query(3, "add", json!([1, "a"])).failed("add");
    assert_eq!(
        inner,
        "TypeError : unsupported operand type(s) for +: 'int' and 'str' (line 4: return x + y)"
    );
    let archived = worker.query(3, "archived", json!([0])).failed("archived");
    // cloudpickle kept the name of the file until 3.1.2.
    let places = ["(line 2 of object3.py)", "(line 2)"]
        .map(|place| format!("ZeroDivisionError : division by zero {place}"));
    assert!(places.iter().any(|place| archived.starts_with(place)), "{archived}");

    let mut script = |script: &str| {
        let answer = worker.evaluate(3, script, json!({}));
        let told = answer.json();
        assert_eq!((answer.status, &told["message"]), (404, &json!("Error processing script")));
        let info = told["info"].as_str().unwrap().to_owned();
        let common = "The endpoint you're trying to query did not respond. Please make sure the endpoint exists and \
                      the correct set of arguments are provided. ";
        info.strip_prefix(common).unwrap_or_else(|| panic!("{info}")).to_owned()
    };
    assert_eq!(script("return tabpy.query('nope')['response']"), "Endpoint 'nope' does not exist.");
    assert_eq!(
        script("return tabpy.query('add')['response']"),
        format!("Error querying function 'add': {misfit}.")
    );
    assert_eq!(
        script("x = tabpy.query('fail', 'no \u{e9}')\nreturn x['response']"),
        format!("Error querying function 'fail': {raised}.")
    );
    let handled = "r = tabpy.query('fail', 'x')\nreturn r['message'] + '|' + r['info']['error'] if 'response' not in r else 0";
    let handled = worker.evaluate(3, handled, json!({})).text();
    assert_eq!(handled, "\"Error querying function 'fail'|ValueError : x (line 7: raise ValueError(text))\"");
}

#[test]
fn what_a_function_takes_is_said_in_its_author_s_words_if_it_can_be() {
    let mut catalogue = Catalogue::new();
    let classes = "class Row: pass\nclass Odd:\n    def __repr__(self): raise KeyError('x')\n";
    catalogue.source("one", "one", &format!("{classes}def one(row: Row) -> Row: return 1\n"));
    catalogue.source("two", "two", &format!("{classes}def two(row, odd=Odd()): return 1\n"));
    let mut worker = Worker::start(&catalogue);
    let missing = |name| {
        format!(
            "TypeError : {name}() missing 1 required positional argument: 'row' (the arguments do not fit function '{name}'"
        )
    };
    let one = worker.query(2, "one", json!([])).failed("one");
    assert_eq!(one, format!("{}, which takes (row: Row) -> Row)", missing("one")));
    assert_eq!(worker.query(2, "two", json!([])).failed("two"), format!("{})", missing("two")));
}

#[test]
fn versions_and_aliases_lead_to_functions() {
    let mut catalogue = Catalogue::new();
    catalogue.source("add", "add", "def add(x, y): return 'old'");
    catalogue.source("add", "add", ADD);
    catalogue.alias("sum", "add");
    catalogue.alias("total", "sum");
    catalogue.alias("circle", "round");
    catalogue.alias("round", "circle");
    catalogue.alias("nowhere", "gone");
    let mut worker = Worker::start(&catalogue);
    let answer = worker.query(7, "total", json!([1, 2])).json();
    assert_eq!(
        (&answer["response"], &answer["version"], &answer["model"]),
        (&json!(3), &json!(2), &json!("add"))
    );
    let old = worker.query_version(7, "add", 1, json!([1, 2])).json();
    assert_eq!((&old["response"], &old["version"]), (&json!("old"), &json!(1)));
    let missing = worker.query_version(7, "add", 9, json!([]));
    assert_eq!(
        (missing.status, &missing.json()["info"]),
        (404, &json!("Endpoint 'add' has no version 9; kept are 1, 2"))
    );
    assert_eq!(worker.query(7, "nowhere", json!([])).json()["info"], "Endpoint 'gone' does not exist");
    let circle = worker.query(7, "circle", json!([])).failed("circle");
    assert_eq!(circle, "'circle' is an alias that leads back to itself, or through more than 50 others");
}

#[test]
fn a_body_that_is_no_call_gets_the_words_of_tabpy() {
    let mut catalogue = Catalogue::new();
    catalogue.source("add", "add", ADD);
    catalogue.source("named", "named", "def named(**all): return all");
    let mut worker = Worker::start(&catalogue);
    let mut ask = |name: &str, body: &str| {
        let request = tabpy_rs::wire::Request {
            generation: 2,
            ..tabpy_rs::wire::Request::plain(tabpy_rs::wire::Task::Query, 0, 0)
        };
        let answer = worker.ask(request, name, body);
        (answer.status, answer.text())
    };
    let refused = |message: &str| (400, format!(r#"{{"message": "{message}", "info": {{}}}}"#));
    assert_eq!(ask("add", ""), refused("Input body cannot be empty"));
    assert_eq!(ask("add", "nope"), refused("JSONDecodeError : Expecting value: line 1 column 1 (char 0)"));
    assert_eq!(ask("gone", "[]"), refused("RuntimeError : Input data must be a dictionary"));
    assert_eq!(
        ask("gone", "{}"),
        refused(r#"RuntimeError : Input data must be a dictionary with a key called \"data\""#)
    );
    for (data, kind) in [("null", "NoneType"), ("5", "int"), ("\"abc\"", "str")] {
        let text = format!(
            "Query parameter needs to be a dictionary or a list. Given value is of type <class '{kind}'>"
        );
        let body = format!(
            r#"{{"message": "Error querying function 'add'", "info": {{"uri": "add", "error": "{text}", "type": "QueryFailed"}}}}"#
        );
        assert_eq!(ask("add", &format!(r#"{{"data": {data}}}"#)), (500, body));
        assert_eq!(ask("gone", &format!(r#"{{"data": {data}}}"#)).0, 404);
    }
    let both = ask("named", r#"{"data": {"a": 1}, "method": "query"}"#).1;
    assert!(
        both.starts_with(
            r#"{"response": {"data": {"a": 1}, "method": "query"}, "version": 1, "model": "named", "#
        ),
        "{both}"
    );
}

#[test]
fn results_are_written_as_answers_are() {
    let cases = [
        ("[float('nan'), 1.0]", "[null, 1.0]"),
        ("numpy.array([1.5, 2])", "[1.5, 2.0]"),
        ("pandas.Series(['a', None])", "[\"a\", null]"),
        ("(1, (2,))", "[1, [2]]"),
        ("datetime.date(2020, 1, 2)", "\"2020-01-02\""),
        ("{1: None}", "{\"1\": null}"),
        ("'</b>\u{e9}'", "\"</b>\\u00e9\""),
    ];
    let mut catalogue = Catalogue::new();
    let values: Vec<&str> = cases.iter().map(|(value, _)| *value).chain(["2j", "'x' * 2000000"]).collect();
    let text = format!(
        "import numpy, pandas, datetime\nVALUES = [{}]\ndef value(n): return VALUES[n]",
        values.join(", ")
    );
    catalogue.source("value", "value", &text);
    let mut worker = Worker::start(&catalogue);
    for (number, (value, written)) in cases.iter().enumerate() {
        let answer = worker.query(1, "value", json!([number])).text();
        assert!(answer.starts_with(&format!("{{\"response\": {written}, \"version\"")), "{value}: {answer}");
    }
    let unwritten = worker.query(1, "value", json!([cases.len()])).text();
    assert_eq!(
        unwritten,
        r#"{"message": "Error processing query", "info": "TypeError : Object of type complex is not JSON serializable (in what function 'value' returned)"}"#
    );
    let large = worker.query(1, "value", json!([cases.len() + 1])).text();
    assert!(large.contains("TABPY_MAX_RESPONSE_SIZE_MB") && large.contains("function"), "{large}");
    let script = "r = tabpy.query('value', _arg1)\nreturn [r['message'], r['info']]";
    let told = worker.evaluate(1, script, json!({"_arg1": cases.len()})).text();
    assert!(told.starts_with("[\"Error processing query\", \"TypeError : Object of"), "{told}");
}

#[test]
fn scripts_and_functions_share_nothing() {
    let mut catalogue = Catalogue::new();
    let text = "kept = []\ndef keep(x, **more):\n    kept.append(x)\n    return [type(x).__name__, kept[0]]\n\
                def last(): return kept\ndef types(x): return [type(v).__name__ for v in x]";
    catalogue.source("keep", "keep", text);
    catalogue.source("types", "types", text);
    let mut worker = Worker::start(&catalogue);
    let script = "a = [1, [2]]\nr = tabpy.query('keep', (a, 'x'))['response']\na[1].append(3)\nr[1][0].append(4)\n\
                  return tabpy.query('keep', 0)['response']";
    assert_eq!(worker.evaluate(2, script, json!({})).text(), r#"["int", [[1, [2]], "x"]]"#);
    let script = "import numpy as np, pandas as pd\nnan = float('nan')\n\
                  return tabpy.query('types', [1, 1.5, None, True, 'a', (1,), {2: 3}, nan, np.float64(2), np.array([1, nan]), \
                  pd.Series([1, 2]), pd.DataFrame({'a': [1]}), {1}, pd.Timestamp('2020-01-01'), np.int64(4)])['response']";
    assert_eq!(
        worker.evaluate(2, script, json!({})).text(),
        r#"["int", "float", "NoneType", "bool", "str", "list", "dict", "float", "float", "list", "list", "dict", "list", "str", "int"]"#
    );
    let nan = "import math, numpy\nx = tabpy.query('keep', 1, a=numpy.array([1]))\nreturn math.isnan(tabpy.query('keep2', [float('nan')])['response'][0])";
    catalogue.source("keep2", "keep2", "def keep2(x): return [x[0] * 2]");
    assert_eq!(worker.evaluate(3, nan, json!({})).text(), "true");
    let circle = "x = []\nx.append(x)\nreturn tabpy.query('types', x)['response']";
    let circle = worker.evaluate(3, circle, json!({})).text();
    assert!(circle.contains("ValueError : Circular reference detected"), "{circle}");
}

/// Made where `tabpy` is a name like any other: in a notebook, or in text that a script of TabPy's ran.
#[test]
fn an_archive_finds_tabpy_by_name() {
    let mut catalogue = Catalogue::new();
    catalogue.source("add", "add", ADD);
    let made = "def function(n): return tabpy.query('add', n)['response']";
    catalogue.archive("notebook", made);
    let module = "tabpy.tabpy_server.handlers.evaluation_plane_handler";
    catalogue.archive("script", &format!("__name__ = '{module}'\n{made}"));
    let mut worker = Worker::start(&catalogue);
    for name in ["notebook", "script"] {
        assert_eq!(worker.query(1, name, json!([1])).response(), 2, "{name}");
    }
}

/// As Python's own `json` carries them, which TabPy uses here: numbers that JSON lacks, keys that are no texts, and
/// all kinds of dicts, lists and tuples.
#[test]
fn what_a_script_passes_to_a_function_comes_as_json_would_carry_it() {
    let mut catalogue = Catalogue::new();
    catalogue.source("told", "told", "def told(x): return repr(x)");
    let mut worker = Worker::start(&catalogue);
    let prepared = "import enum, numpy as np\nfrom collections import Counter, OrderedDict, defaultdict, namedtuple\nnan = float('nan')\n\
                    class F(float): pass\nclass L(list): pass\nclass I(enum.IntEnum): A = 5\n\
                    P = namedtuple('P', 'x y')\nd = defaultdict(list)\nd['a'].append(nan)\n";
    for (value, told) in [
        ("{1: nan, 2: [float('inf')]}", "{'1': nan, '2': [inf]}"),
        ("{True: nan, None: 1, 1.5: 2, I.A: 3}", "{'true': nan, 'null': 1, '1.5': 2, '5': 3}"),
        (
            "{nan: 1, float('inf'): 2, -float('inf'): 3, 10 ** 20: 4}",
            "{'NaN': 1, 'Infinity': 2, '-Infinity': 3, '100000000000000000000': 4}",
        ),
        ("{1: 'a', '1': 'b'}", "{'1': 'b'}"),
        ("d", "{'a': [nan]}"),
        ("OrderedDict(b=nan, a=1)", "{'b': nan, 'a': 1}"),
        ("Counter('aab')", "{'a': 2, 'b': 1}"),
        ("P(1, P(nan, [P(2, 3)]))", "[1, [nan, [[2, 3]]]]"),
        ("L([F('nan'), F(1.5), np.float32('nan'), np.float64('inf'), I.A])", "[nan, 1.5, nan, inf, 5]"),
        ("{np.int64(1): nan, (np.float32(0.5)): 1}", "{'1': nan, '0.5': 1}"),
    ] {
        let script = format!("{prepared}return tabpy.query('told', {value})['response']");
        assert_eq!(worker.evaluate(1, &script, json!({})).json(), told, "{value}");
    }
    let refused = format!("{prepared}return tabpy.query('told', {{(1, 2): nan}})");
    let refused = worker.evaluate(1, &refused, json!({})).text();
    assert!(refused.contains("keys must be str, int, float, bool or None, not tuple"), "{refused}");
}

#[test]
fn functions_query_each_other_and_recursion_is_an_error() {
    let mut catalogue = Catalogue::new();
    catalogue.source(
        "down",
        "down",
        "def down(n): return 0 if n == 0 else 1 + tabpy.query('down', n - 1)['response']",
    );
    catalogue.source("imports", "f", "import tabpy\ndef f(n): return tabpy.query('down', n)['response']");
    catalogue.archive("archived", "def function(n): return tabpy.query('imports', n)['response']");
    catalogue.source("broken", "f", "def f(): return tabpy.query('nope')['response']");
    let mut worker = Worker::start(&catalogue);
    assert_eq!(worker.query(4, "archived", json!([10])).response(), 10);
    let deep = worker.query(4, "down", json!([1000])).failed("down");
    assert!(deep.contains("RecursionError : functions query each other more than 64 levels deep"), "{deep}");
    assert!(deep.len() < 1000, "{deep}");
    assert_eq!(worker.query(4, "down", json!([20])).response(), 20);
    let broken = worker.query(4, "broken", json!([])).failed("broken");
    assert_eq!(
        broken,
        "KeyError : 'response': Endpoint 'nope' does not exist (line 1: def f(): return tabpy.query('nope')['response'])"
    );
    let loops = worker.query(4, "down", json!(["x"])).failed("down");
    assert!(loops.contains("TypeError : unsupported operand"), "{loops}");
}

#[test]
fn threads_of_a_script_may_query() {
    let mut catalogue = Catalogue::new();
    catalogue.source("slow", "slow", "import time\ndef slow(x):\n    time.sleep(0.01)\n    return x");
    let mut worker = Worker::start(&catalogue);
    let script = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as pool:\n    \
                  return list(pool.map(lambda n: tabpy.query('slow', n)['response'], range(40)))";
    assert_eq!(worker.evaluate(1, script, json!({})).json(), json!((0..40).collect::<Vec<_>>()));
}

#[test]
fn the_tabpy_of_scripts_cannot_be_changed() {
    let mut catalogue = Catalogue::new();
    catalogue.source("one", "one", "def one(): return 1");
    for script in ["tabpy.query = None", "type(tabpy).query = None", "tabpy.other = 1", "type(tabpy)()"] {
        // A worker of its own: one that somebody tried that in may have ended.
        let mut worker = Worker::start(&catalogue);
        assert_eq!(worker.evaluate(1, script, json!({})).status, 500, "{script}");
    }
    let mut worker = Worker::start(&catalogue);
    assert_eq!(worker.evaluate(1, "return tabpy.query('one')['response']", json!({})).text(), "1");
    assert_eq!(worker.evaluate(1, "return tabpy.query(name='one')['response']", json!({})).text(), "1");
}
