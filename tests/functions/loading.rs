//! When functions are read, loaded and let go.

use serde_json::json;
use tabpy_rs::catalogue::Content;

use crate::worker::{Catalogue, Worker};

#[test]
fn a_function_is_loaded_once_and_keeps_what_it_knows() {
    let mut catalogue = Catalogue::new();
    let text = "import time\nborn = time.time_ns()\ncount = 0\ndef ask():\n    global count\n    count += 1\n    return [born, count]";
    catalogue.source("ask", "ask", text);
    let mut worker = Worker::start(&catalogue);
    let first = worker.query(1, "ask", json!([])).response();
    catalogue.source("other", "other", "def other(): return 'other'");
    assert_eq!(worker.query(2, "ask", json!([])).response(), json!([first[0], 2]));
    assert_eq!(worker.query(2, "other", json!([])).response(), "other");
    assert_eq!(worker.query(2, "ask", json!([])).response(), json!([first[0], 3]));
    // A new version is another object.
    catalogue.source("ask", "ask", text);
    let second = worker.query(3, "ask", json!([])).response();
    assert!(second[0] != first[0] && second[1] == 1);
    assert_eq!(worker.query_version(3, "ask", 1, json!([])).response(), json!([first[0], 4]));
    catalogue.remove("ask");
    assert_eq!(worker.query(4, "ask", json!([])).status, 404);
    assert_eq!(
        worker
            .evaluate(
                4,
                "import sys\nreturn [n for n in sys.modules if n.startswith('tabpy_function_')]",
                json!({})
            )
            .text(),
        "[\"tabpy_function_object2\"]"
    );
}

#[test]
fn a_generation_that_is_not_told_is_not_looked_for() {
    let mut catalogue = Catalogue::new();
    catalogue.source("one", "one", "def one(): return 1");
    let mut worker = Worker::start(&catalogue);
    assert_eq!(worker.query(0, "one", json!([])).status, 404);
    assert_eq!(worker.query(1, "one", json!([])).response(), 1);
    std::fs::write(worker.catalogue().join("index.json"), "broken").unwrap();
    assert_eq!(worker.query(1, "one", json!([])).response(), 1);
    // A script that queries nothing does not mind.
    assert_eq!(worker.evaluate(2, "return 2", json!({})).text(), "2");
    let broken = worker.query(2, "one", json!([])).failed("one");
    assert!(broken.starts_with("deployed functions cannot be read: "), "{broken}");
    std::fs::write(worker.catalogue().join("index.json"), r#"{"generation": 2, "functions": {}}"#).unwrap();
    assert_eq!(worker.query(2, "one", json!([])).status, 404);
}

#[test]
fn what_does_not_load_any_more_is_told() {
    let mut catalogue = Catalogue::new();
    catalogue.source("syntax", "f", "def f():\n    return (1 +\n\n");
    catalogue.source("module", "f", "import json\nimport no_such_module.inner\ndef f(): pass");
    catalogue.source("raises", "f", "def helper():\n    raise KeyError('x')\nhelper()");
    catalogue.source("exits", "f", "import sys\nsys.exit(3)");
    catalogue.source("other", "f", "def g(): pass\nx = 1");
    let (object, folder) = catalogue.object();
    std::fs::write(folder.join("pickle_archive"), b"\x80\x05no pickle").unwrap();
    catalogue.add("no pickle", Content::Archive { object, python: None });
    let (object, folder) = catalogue.object();
    std::fs::write(folder.join("pickle_archive"), b"").unwrap();
    catalogue.add("empty", Content::Archive { object, python: None });
    let (object, folder) = catalogue.object();
    std::fs::write(folder.join("pickle_archive"), b"\x80\x04K\x01.").unwrap();
    catalogue.add("number", Content::Archive { object, python: None });
    let (object, folder) = catalogue.object();
    std::fs::write(folder.join("pickle_archive"), b"\x80\x04K\x01.").unwrap();
    catalogue.add("elsewhere", Content::Archive { object, python: Some("3.7".to_owned()) });
    let mut worker = Worker::start(&catalogue);
    for (name, reason) in [
        ("syntax", "SyntaxError : '(' was never closed (line 2: return (1 +)"),
        (
            "module",
            "it needs the module 'no_such_module', which is not installed here: add it to requirements.txt (line 2: import no_such_module.inner)",
        ),
        ("raises", "KeyError : 'x' (line 2: raise KeyError('x'))"),
        ("exits", "SystemExit : 3 (line 2: sys.exit(3))"),
        ("other", "the source has no function 'f' at its top level; it has g"),
        ("number", "the archive holds a int, which cannot be called"),
        (
            "elsewhere",
            "the archive was made by Python 3.7, and Python 3.11 runs here. Deploy it again from Python 3.11, or deploy its source, which fits every version",
        ),
    ] {
        let error = worker.query(9, name, json!([])).failed(name);
        assert_eq!(error, format!("the function did not load: {reason}"));
    }
    for name in ["no pickle", "empty"] {
        let error = worker.query(9, name, json!([])).failed(name);
        assert!(
            error.starts_with("the function did not load: the archive is no pickle, or cut short: "),
            "{error}"
        );
    }
}
