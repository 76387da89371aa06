//! What a worker tells of an object before it is put in force.

use serde_json::{Value, json};
use tabpy_rs::catalogue::{Kind, Tried};

use crate::worker::{Catalogue, Worker, pickle};

fn try_source(text: &str, function: Option<&str>) -> Result<Value, String> {
    let mut catalogue = Catalogue::new();
    let (object, folder) = catalogue.object();
    std::fs::write(folder.join("source.py"), text).unwrap();
    tried(&catalogue, &object, Kind::Source, function)
}

fn tried(catalogue: &Catalogue, object: &str, kind: Kind, function: Option<&str>) -> Result<Value, String> {
    let answer = Worker::start(catalogue).try_out(object, kind, function);
    if answer.status == 200 {
        let _whole: Tried = serde_json::from_slice(&answer.body).unwrap();
        return Ok(answer.json()["functions"].clone());
    }
    assert_eq!(answer.status, 422);
    Err(answer.text())
}

#[test]
fn a_source_publishes_its_public_functions() {
    let text = "import math\nfrom os.path import join\n\ndef add(x: int, y: float = 1.5) -> float:\n    '''Adds.\n\n    \
                More of it.'''\n    return x + y\n\ndef _helper(): pass\n\nclass Model:\n    def predict(self): pass\n\n\
                twice = lambda x: 2 * x\n";
    let schema = json!({
        "input": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "y": {"type": "number", "default": 1.5}},
            "required": ["x"],
        },
        "output": {"type": "number"},
    });
    let add = json!({"name": "add", "function": "add", "docstring": "Adds.\n\nMore of it.", "description": "Adds.",
        "schema": schema, "public": false, "dependencies": []});
    let twice = json!({"name": "twice", "function": "twice", "docstring": null, "description": null, "schema": null,
        "public": false, "dependencies": []});
    assert_eq!(try_source(text, None).unwrap(), json!([add, twice]));
    assert_eq!(try_source(text, Some("twice")).unwrap(), json!([twice]));
    assert_eq!(
        try_source(text, Some("nope")).unwrap_err(),
        "the source has no function 'nope' at its top level; it has add, _helper, twice"
    );
}

#[test]
fn marks_name_and_narrow_what_is_published() {
    let text = "from tabpy_rs import publish\n\n@publish(name='Sentiment Analysis', public=True, description='Moods', schema={'a': 1})\n\
                @publish(name='Mood')\ndef sentiment(text): 'Doc.'\n\n@publish\ndef _hidden(): pass\n\ndef other(): pass\n";
    let published = try_source(text, None).unwrap();
    let told: Vec<_> = published
        .as_array()
        .unwrap()
        .iter()
        .map(|f| json!([f["name"], f["function"], f["public"], f["description"], f["schema"]]))
        .collect();
    assert_eq!(
        Value::from(told),
        json!([
            ["Sentiment Analysis", "sentiment", true, "Moods", {"a": 1}],
            ["Mood", "sentiment", false, "Doc.", null],
            ["_hidden", "_hidden", false, null, null],
        ])
    );
    for (text, reason) in [
        ("x = 1", "the source has no public function at its top level, so there is nothing to publish"),
        (
            "from tabpy_rs import publish\n@publish(name=1)\ndef f(): pass",
            "TypeError : publish takes a str as name, not a int (line 2: @publish(name=1))",
        ),
        (
            "from tabpy_rs import publish\n@publish(name='a')\ndef f(): pass\n@publish(name='a')\ndef g(): pass",
            "the source publishes two functions as 'a'",
        ),
        (
            "from tabpy_rs import publish\n@publish(schema={'a': {1}})\ndef f(): pass",
            "the schema is no JSON: Object of type set is not JSON serializable",
        ),
    ] {
        assert_eq!(try_source(text, None).unwrap_err(), reason);
    }
}

#[test]
fn type_hints_are_a_schema() {
    let text = "from typing import *\nimport numpy as np, pandas as pd, datetime\n\
                def f(a: list[float], b: dict[str, int], c: Optional[str], d: Literal['x', 'y'], e: np.ndarray, g: pd.DataFrame, \
                h: datetime.date, i: Any, j: 'tuple[int, int]', k, l: int | None = None, *m: int, n: bool = True, **o) -> List[str]: pass";
    let schema = &try_source(text, None).unwrap()[0]["schema"];
    let expected = json!({
        "a": {"type": "array", "items": {"type": "number"}},
        "b": {"type": "object", "additionalProperties": {"type": "integer"}},
        "c": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "d": {"enum": ["x", "y"]},
        "e": {"type": "array"},
        "g": {"type": "object", "additionalProperties": {"type": "array"}},
        "h": {"type": "string", "format": "date"},
        "i": {},
        "j": {"type": "array", "items": {"type": "integer"}},
        "k": {},
        "l": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "n": {"type": "boolean", "default": true},
    });
    assert_eq!(schema["input"]["properties"], expected);
    assert_eq!(schema["input"]["required"], json!(["a", "b", "c", "d", "e", "g", "h", "i", "j", "k"]));
    assert_eq!(schema["output"], json!({"type": "array", "items": {"type": "string"}}));
}

#[test]
fn archives_tell_what_they_hold() {
    let mut catalogue = Catalogue::new();
    let (object, folder) = catalogue.object();
    pickle(&folder, "def function(x: int) -> int:\n    'Doubles.'\n    return 2 * x");
    let told = tried(&catalogue, &object, Kind::Archive, None).unwrap();
    assert_eq!(told[0]["docstring"], "Doubles.");
    assert_eq!(told[0]["description"], "described");
    assert_eq!(told[0]["name"], Value::Null);
    assert_eq!(told[0]["schema"]["output"], json!({"type": "integer"}));
    let (object, folder) = catalogue.object();
    pickle(&folder, "import no_such\ndef function(x): return no_such.f(x)".replace("import no_such", "import sys, types\nno_such = types.ModuleType('no_such')\nsys.modules['no_such'] = no_such\nno_such.__spec__ = None").as_str());
    let reason = tried(&catalogue, &object, Kind::Archive, None);
    assert!(reason.is_ok() || reason.unwrap_err().contains("no_such"));
}

/// Bytecode of another Python may load, and crash the process when it is called.
#[test]
fn archives_of_another_python_are_refused() {
    let words = |who: &str| {
        format!(
            "the archive was made by {who}, and Python 3.11 runs here. Deploy it again from Python 3.11, or deploy its source, which fits every version"
        )
    };
    for (change, who) in [
        // Python 3.10 has no qualified names and no exception tables.
        ("parts[:12] + parts[13:15] + parts[16:]", "Python 3.8, 3.9 or 3.10"),
        // Python 3.12 leaves less room after a look-up of a global name.
        ("parts[:6] + (parts[6][:4] + parts[6][6:],) + parts[7:]", "another version of Python"),
        // Python 3.13 has another number for its first instruction.
        ("parts[:6] + (bytes([149]) + parts[6][1:],) + parts[7:]", "another version of Python"),
    ] {
        let mut catalogue = Catalogue::new();
        let (object, folder) = catalogue.object();
        let script = format!(
            "import copyreg, types, cloudpickle.cloudpickle as c\ndef function(x): return len(x)\n\
             reduce = c.Pickler._dispatch_table[types.CodeType]\n\
             def reduced(code):\n    make, parts = reduce(code)\n    return make, {change}\n\
             c.Pickler._dispatch_table[types.CodeType] = c.Pickler.dispatch_table[types.CodeType] = reduced"
        );
        pickle(&folder, &script);
        assert_eq!(tried(&catalogue, &object, Kind::Archive, None).unwrap_err(), words(who), "{change}");
    }
}
