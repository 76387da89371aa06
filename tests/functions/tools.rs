//! `tabpy.tabpy_tools` within workers, beside the stock one.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::worker::{Catalogue, Worker};

/// Prints what a script's `answer` is where the stock tools are installed.
fn stock(script: &str) -> Value {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    let script = format!("{script}\nimport json\nprint(json.dumps(answer))");
    let output = Command::new(python).args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn schemas_are_those_of_the_stock_tools() {
    let script = r#"
from tabpy.tabpy_tools.schema import generate_schema
examples = [1, 1.5, "a", True, None, [], {}, [1, 2], [1, 2.5], [1, "a"], [None, "a", 1, 2.5], [[1], ["a"]], [[], [1]],
    {"x": 3, "y": 2}, {"x": [1], "y": {"z": None}}, [{"a": 1}, {"a": 2.5, "b": "x"}], [{"a": 1}, {"b": 1}], [{"a": 1}, 5], [[1], 5, "x"],
    {"x": [{"y": [1, None]}]}, [True, 1], [{}, {"a": 1}], ["b", "a"]]
answer = []
for example in examples:
    answer.append(generate_schema(example, [example]))
for arguments in [
    dict(input=5, output=25, input_description="input value", output_description="squared"),
    dict(input={"x": 3, "y": 2}, output=6, input_description={"x": "of x", "y": "of y"}, output_description="x times y"),
    dict(input={"x": 1}, output=1, input_description="no dict"),
    dict(input={"x": 1}, output=1, input_description={"x": "a", "z": "b"}),
    dict(input=1, output=1, input_description={"x": "a"}),
    dict(input=[1], output={"a": 1}, output_description={"a": "b"}),
]:
    try:
        answer.append(generate_schema(**arguments))
    except Exception as error:
        answer.append(str(error))
"#;
    let catalogue = Catalogue::new();
    let mut worker = Worker::start(&catalogue);
    let ours = worker.evaluate(0, &format!("{script}\nreturn answer"), json!({})).json();
    let theirs = stock(script);
    for (ours, theirs) in
        ours.as_array().unwrap_or_else(|| panic!("{ours}")).iter().zip(theirs.as_array().unwrap())
    {
        assert_eq!(sorted(ours), sorted(theirs));
    }
    assert_eq!(ours.as_array().map(Vec::len), theirs.as_array().map(Vec::len));
}

/// The order of alternatives means nothing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| {
                let mut value = sorted(value);
                if let (true, Value::Array(list)) = (key == "anyOf" || key == "type", &mut value) {
                    list.sort_by_key(Value::to_string);
                }
                (key.clone(), value)
            })
            .collect(),
        Value::Array(list) => list.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Archives are made in scripts, too, and TabPy reads them.
#[test]
fn archives_that_are_made_here_are_read_by_the_stock_tools() {
    let catalogue = Catalogue::new();
    let mut worker = Worker::start(&catalogue);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made").display().to_string();
    let script = "from tabpy.tabpy_tools.custom_query_object import CustomQueryObject\nimport math\nk = 3\n\
                  def f(x):\n    'Doc.'\n    return k * math.floor(x)\nmade = CustomQueryObject(f, 'described')\nmade.save(_arg1)\n\
                  return [CustomQueryObject.load(_arg1).query(2.5), made.get_docstring(), made.get_methods(), made.get_dependencies(), made.description]";
    let ours = worker.evaluate(0, script, json!({"_arg1": path})).json();
    let theirs = stock(&format!(
        "from tabpy.tabpy_tools.query_object import QueryObject\no = QueryObject.load({path:?})\n\
         answer = [o.query(2.5), o.get_docstring(), o.get_methods(), o.get_dependencies(), o.description]"
    ));
    assert_eq!(ours, theirs);
    assert_eq!(ours[0], 6);
}

#[test]
fn the_tools_are_there_without_an_installation_and_leave_the_rest_alone() {
    let mut catalogue = Catalogue::new();
    catalogue.source("one", "one", "def one(): return 1");
    let mut worker = Worker::start(&catalogue);
    for (script, value) in [
        ("import tabpy\nreturn [tabpy.query('one')['response'], tabpy.__version__]", "[1, \"2.16.0\"]"),
        ("import tabpy.tabpy_tools.client\nreturn tabpy.query('one')['response']", "1"),
        (
            "from tabpy.tabpy_tools.client import Client\nc = Client('http://localhost:9004/')\nc.set_credentials('u', 'secret')\nreturn 'secret' in repr(c)",
            "false",
        ),
        ("from tabpy_rs import publish\nreturn publish(lambda: 1)()", "1"),
        (
            "import cloudpickle\nf = lambda: tabpy.query('one')['response']\nreturn cloudpickle.loads(cloudpickle.dumps(f))()",
            "1",
        ),
        ("import sys\nreturn [n for n in sys.modules if n == 'urllib.request']", "[]"),
    ] {
        let mut fresh = Worker::start(&catalogue);
        assert_eq!(fresh.evaluate(1, script, json!({})).text(), value, "{script}");
    }
    for script in
        ["import tabpy.tabpy_server", "from tabpy.tabpy_tools import rest_client", "import tabpy.models"]
    {
        assert!(
            worker.evaluate(1, script, json!({})).text().contains("ModuleNotFoundError")
                || script.contains("import rest"),
            "{script}"
        );
    }
}

/// The stock client sends scripts that sign in.
#[test]
fn errors_do_not_show_passwords() {
    let catalogue = Catalogue::new();
    let mut worker = Worker::start(&catalogue);
    let begin = "from tabpy.tabpy_tools.client import Client\nclient = Client('http://127.0.0.1:1/')\n";
    for script in [
        "client.set_credentials('user', 'p'ss')",
        "client.set_credentials('user', 'pass') + 1",
        "client.set_credentials('user', 'pass', 1)",
        "client.set_credentials ( 'user', 'pass', 1)",
        "client.set_credentials('user', 'pass')\nclient.get_status()",
        "client.set_credentials('user', 'pass')\nclient.deploy('x', len)",
        "client.set_credentials('user', 'pass')\nreturn client",
        "client.set_credentials('user', 'pass')\nraise ValueError(client)",
    ] {
        let answer = worker.evaluate(0, &format!("{begin}{script}"), json!({}));
        assert_eq!(answer.status, 500, "{script}");
        assert!(!answer.text().contains("pass") && !answer.text().contains("p'ss"), "{}", answer.text());
    }
}

#[test]
fn a_missing_cloudpickle_is_named() {
    let mut catalogue = Catalogue::new();
    catalogue.archive("archived", "def function(x): return x");
    let mut worker = Worker::start(&catalogue);
    let script = "import sys\nsys.modules['cloudpickle'] = sys.modules['cloudpickle.cloudpickle'] = None\n\
                  from tabpy.tabpy_tools import client\nerror = tabpy.query('archived', 1)['info']['error']\n\
                  try:\n    client._pickled(len)\nexcept ImportError as e:\n    return [error, str(e)]";
    let told = worker.evaluate(1, script, json!({})).json();
    assert_eq!(
        told,
        json!([
            "the function did not load: archives need cloudpickle, which is not installed where scripts run: add it to requirements.txt",
            "Deploying needs cloudpickle, which is not installed where scripts run: add it to requirements.txt"
        ])
    );
}
