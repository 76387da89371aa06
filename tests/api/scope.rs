//! What a script finds around itself: names without an import, its arguments, and nothing that an
//! earlier script left. Prep's and Table Extensions' calls are here too.

use serde_json::json;

use crate::support::{Request, Server};

#[test]
fn the_usual_names_need_no_import() {
    let server = Server::start().ready();
    let rows = [
        ("return pandas.Series([1, 2]).sum() + 0", "3"),
        ("return pd.DataFrame({'a': [1]}).shape[0]", "1"),
        ("return json.loads('[1]')", "[1]"),
        ("return json.dumps({'a': 1})", r#""{\"a\": 1}""#),
        ("return simplejson.dumps([1])", "\"[1]\""),
        ("return requests.codes.ok", "200"),
        ("return logging.getLevelName(30)", "\"WARNING\""),
        ("return str(uuid.UUID(int=5))", "\"00000000-0000-0000-0000-000000000005\""),
        ("return timedelta(days=2).total_seconds()", "172800.0"),
        ("def f():\n    return pd.Series([4]).iloc[0]\nreturn int(f())", "4"),
        ("return [json.loads(x) for x in ['1', '2']]", "[1, 2]"),
        ("return (lambda: uuid.UUID(int=1).int)()", "1"),
        // The script's own names win over them.
        ("json = 5\nreturn json", "5"),
        ("import datetime as uuid\nreturn uuid.date(2024, 1, 1).year", "2024"),
    ];
    for (script, answer) in rows {
        let response = server.evaluate(script, json!({}));
        assert_eq!((response.status, response.text().as_str()), (200, answer), "{script:?}");
    }
}

/// In TabPy scripts are a part of one of its modules.
#[test]
fn a_script_is_no_main_program() {
    let server = Server::start().ready();
    let rows = [
        ("x = 1\nif __name__ == '__main__':\n    x = 2\nreturn x", "1"),
        ("return __name__", "\"tabpy.tabpy_server.handlers.evaluation_plane_handler\""),
        ("class A: pass\nreturn A.__module__ == __name__", "true"),
        // A class's module is looked up by its name.
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: 'int'\n    y: 'ClassVar[int]' = 2\nreturn A(1).y",
            "2",
        ),
        ("import typing\nclass A:\n    x: 'int'\nreturn typing.get_type_hints(A)['x'].__name__", "\"int\""),
        ("import inspect\nclass A: pass\nreturn inspect.getmodule(A).__name__ == __name__", "true"),
        ("import sys\nreturn hasattr(sys.modules[__name__], '__file__')", "false"),
        // Archives hold what a script defines, not where to find it.
        (
            "import cloudpickle\nclass A:\n    def f(self): return 5\n\
             kept = cloudpickle.dumps(A())\nreturn cloudpickle.loads(kept).f()",
            "5",
        ),
        (
            "import cloudpickle\nglobal A, f\nclass A: x = 6\ndef f(): return A.x\n\
             kept = cloudpickle.dumps(f)\ndel A, f\nreturn cloudpickle.loads(kept)()",
            "6",
        ),
        (
            "from joblib import Parallel, delayed\ndef f(x): return x * 2\n\
             return Parallel(n_jobs=1)(delayed(f)(x) for x in [1, 2])",
            "[2, 4]",
        ),
    ];
    for (script, answer) in rows {
        assert_eq!(server.value(script), answer, "{script:?}");
    }
}

#[test]
fn an_unknown_name_stays_a_plain_error() {
    let server = Server::start().ready();
    let info = server.evaluate("return numpyy", json!({})).info(500, "Error processing script");
    assert!(info.starts_with("NameError : name 'numpyy' is not defined"), "{info}");
    let info = server.evaluate("return _arg1", json!({})).info(500, "Error processing script");
    assert!(info.starts_with("NameError : name '_arg1' is not defined"), "{info}");
}

#[test]
fn globals_of_one_script_are_not_seen_by_the_next() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    assert_eq!(server.value("global counter\ncounter = 1\nreturn counter"), "1");
    assert_eq!(server.value("return 'counter' in globals()"), "false");
    let same = "global counter\ntry:\n    counter += 1\nexcept NameError:\n    counter = 1\nreturn counter";
    for _ in 0..5 {
        assert_eq!(server.value(same), "1");
    }
    assert_eq!(server.value("global pd, json\npd = 1\njson = 2\nreturn pd"), "1");
    assert_eq!(server.value("return [pd.__name__, json.__name__]"), r#"["pandas", "json"]"#);
    // Arguments that a script changes are its own.
    for _ in 0..2 {
        server.evaluate("_arg1.append(9)\nreturn _arg1", json!({"_arg1": [1]})).is(200, "[1, 9]");
    }
    assert_eq!(server.value("def f(x=[]):\n    x.append(1)\n    return x\nreturn f()"), "[1]");
    assert_eq!(server.value("def f(x=[]):\n    x.append(1)\n    return x\nreturn f()"), "[1]");
}

#[test]
fn a_script_cannot_spoil_builtins_for_the_next() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    for script in [
        "global len\nlen = None\nreturn 1",
        "globals().clear()\nreturn 1",
        "globals()['__builtins__'] = {}\nreturn 1",
    ] {
        assert_eq!(server.value(script), "1", "{script}");
        assert_eq!(server.value("return len([1, 2])"), "2");
        server.still_works();
    }
    // What it does to the interpreter itself may cost its own answer, never the server.
    for script in [
        "import builtins\nbuiltins.len = None\nreturn 1",
        "import builtins\nbuiltins.__import__ = None\nreturn 1",
        "import sys\nsys.modules.clear()\nreturn 1",
        "import gc, sys\nsys.settrace(lambda *a: 1 / 0)\nreturn 1",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\nreturn 1",
        "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.1)\nreturn 1",
        "import os\nos.chdir('/')\nreturn 1",
    ] {
        server.evaluate(script, json!({}));
        assert_eq!(server.get("/info").status, 200);
    }
}

#[test]
fn what_runs_as_the_arguments_go_is_put_right_too() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    let folder = server.value("import os\nreturn os.getcwd()");
    let late = "import os\ndef late():\n    try: yield\n    finally: os.chdir('/')\n\
                _arg1.append(late())\nnext(_arg1[-1])\nreturn os.getpid()";
    let worker = server.evaluate(late, json!({"_arg1": [1]})).text();
    let next = server.evaluate("import os\nreturn [os.getcwd(), str(os.getpid())]", json!({})).text();
    assert_eq!(next, format!("[{folder}, \"{worker}\"]"));
}

#[test]
fn a_prep_script_gets_and_gives_columns() {
    let server = Server::start().ready();
    // A user's file as Prep sends it, with Prep's own two lines at the end.
    let script = "import pandas as pd\n\ndef get_output_schema():\n    return pd.DataFrame({'Region': prep_string()})\n\n\
        def add_total(df):\n    df['Total'] = df['Price'] * df['Quantity']\n    return df[df['Total'] > 10]\n\n\
        execution_result = add_total(pd.DataFrame(_arg1))\n\
        return execution_result.to_dict(orient='list') if isinstance(execution_result, pd.DataFrame) else execution_result\n";
    // Written by hand, since a JSON library may put the columns into an order of its own.
    let data = r#"{"_arg1": {"Region": ["N", "S", "E"], "Price": [2.5, 4.0, 10.0], "Quantity": [4, 3, 2]}}"#;
    let answer = r#"{"Region": ["S", "E"], "Price": [4.0, 10.0], "Quantity": [3, 2], "Total": [12.0, 20.0]}"#;
    for script in [script, &script.replace("import pandas as pd\n", "")] {
        server
            .post("/evaluate", format!("{{\"script\": {}, \"data\": {data}}}", json!(script)))
            .is(200, answer);
    }
    let warned = server.log().lines().any(|line| line.to_lowercase().contains("warn"));
    assert!(!warned, "a table may have any length:\n{}", server.log());
}

#[test]
fn a_table_extension_needs_no_input() {
    let server = Server::start().ready();
    let script = "return {'Name': ['a', 'b'], 'Score': [1, 2]}";
    let answer = r#"{"Name": ["a", "b"], "Score": [1, 2]}"#;
    server.post("/evaluate", json!({"script": script}).to_string()).is(200, answer);
    server.evaluate(script, json!({})).is(200, answer);
    server.evaluate(script, json!({"_arg1": {}})).is(200, answer);
    server.evaluate("return pd.DataFrame(_arg1)", json!({"_arg1": {}})).is(200, "{}");
    server.evaluate("return _arg1", json!({"_arg1": {}})).is(200, "{}");
    let names = json!({"_arg1": {"Name": ["é", null], "Score": [1.5, null]}});
    server
        .evaluate("return pd.DataFrame(_arg1)", names)
        .is(200, r#"{"Name": ["\u00e9", null], "Score": [1.5, null]}"#);
}

#[test]
fn tableaus_probe_gets_its_one() {
    let server =
        Server::builder().env("TABPY_USERNAME", "ada").env("TABPY_PASSWORD", "countess").start().ready();
    let probe = Request::post("/evaluate", r#"{"script": "return int(1)", "data": {"_arg1": [4]}}"#)
        .login("ada", "countess");
    server.send(&probe).is(200, "1");
}

#[test]
fn a_script_and_what_it_starts_interrupt_nobody() {
    let server = Server::start().ready();
    let script = "import os, subprocess, sys\n\
                  ask = 'import os; print(os.sched_getscheduler(0) == os.SCHED_BATCH)'\n\
                  child = subprocess.run([sys.executable, '-c', ask], capture_output=True, text=True)\n\
                  return [os.sched_getscheduler(0) == os.SCHED_BATCH, child.stdout.strip()]";
    server.evaluate(script, json!({})).is(200, "[true, \"True\"]");
}
