//! Calling functions, by `/query` and from scripts.

use serde_json::json;

use crate::worker::{Catalogue, Worker};

const ADD: &str = "import math\n\ndef add(x, y=1):\n    return x + y\n\ndef fail(text):\n    raise ValueError(text)\n";

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
    assert_eq!(worker.evaluate(1, "return tabpy.query('add', x=2, y=_arg1)['response']", json!({"_arg1": 4})).text(), "6");
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
