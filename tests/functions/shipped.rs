//! The functions that come with the server, beside TabPy's own.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::worker::{Catalogue, Worker};

/// Runs TabPy's own scripts, with the one argument that scikit-learn has renamed since.
const REAL: &str = r#"
import json, re, sys, tabpy.models, os
folder = os.path.join(tabpy.models.__path__[0], "scripts")
answers = []
for file, name, arguments in json.loads(sys.argv[1]):
    text = open(os.path.join(folder, file)).read().replace("sparse=False", "sparse_output=False")
    text = re.sub(r"nltk.download\(.*\)", "", text)
    names = {"__name__": "shipped"}
    exec(text, names)
    answer = names[name](*arguments)
    answers.append(answer.tolist() if hasattr(answer, "tolist") else answer)
print(json.dumps(answers))
"#;

/// The shipped functions in a catalogue.
fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new();
    for (name, function, text) in [
        ("PCA", "pca", include_str!("../../functions/pca.py")),
        ("Sentiment Analysis", "sentiment_analysis", include_str!("../../functions/sentiment_analysis.py")),
        ("ttest", "ttest", include_str!("../../functions/ttest.py")),
        ("anova", "anova", include_str!("../../functions/anova.py")),
    ] {
        catalogue.source(name, function, text);
    }
    catalogue
}

fn assert_close(ours: &Value, theirs: &Value, case: &str) {
    let numbers = |value: &Value| match value {
        Value::Array(values) => values.iter().map(|value| value.as_f64().unwrap()).collect(),
        value => vec![value.as_f64().unwrap_or_else(|| panic!("{case}: {value}"))],
    };
    let (ours, theirs) = (numbers(ours), numbers(theirs));
    assert_eq!(ours.len(), theirs.len(), "{case}");
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-9), "{case}: {ours:?} {theirs:?}");
}

#[test]
fn results_are_those_of_tabpy() {
    let a: Vec<f64> = (0..40).map(|n| f64::from(n * n % 17) - 3.5).collect();
    let b: Vec<f64> = (0..40).map(|n| f64::from(n * 7 % 23) / 3.0).collect();
    let c: Vec<i32> = (0..40).map(|n| n * 5 % 9).collect();
    let texts: Vec<&str> = (0..40).map(|n| ["red", "green", "blue"][n * 5 % 7 % 3]).collect();
    let flags: Vec<bool> = (0..40).map(|n| n % 3 == 0).collect();
    let cases = json!([
        ["PCA.py", "PCA", [1, a, b]],
        ["PCA.py", "PCA", [2, a, b, c]],
        ["PCA.py", "PCA", [3, a, texts, b]],
        ["PCA.py", "PCA", [1, flags, texts, b]],
        ["tTest.py", "ttest", [a, [0.5]]],
        ["tTest.py", "ttest", [a, b]],
        ["tTest.py", "ttest", [a, flags]],
        ["ANOVA.py", "anova", [a, b]],
        ["ANOVA.py", "anova", [a, b, c]],
        ["SentimentAnalysis.py", "SentimentAnalysis", [["I love it", "terrible!", "meh", ""], "textblob"]],
    ]);
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin/python");
    let output = Command::new(python).args(["-c", REAL, &cases.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let catalogue = catalogue();
    let mut worker = Worker::start(&catalogue);
    for (case, theirs) in cases.as_array().unwrap().iter().zip(&theirs) {
        let name =
            if case[1] == "SentimentAnalysis" { "Sentiment Analysis" } else { case[1].as_str().unwrap() };
        assert_close(&worker.query(4, name, case[2].clone()).response(), theirs, &case.to_string());
    }
}

/// Recorded from TabPy 2.16.0 with nltk's lexicon, which it downloads at its start.
#[test]
fn moods_are_those_of_tabpy() {
    let texts = [
        "I love it",
        "terrible, awful!!!",
        "meh",
        "VADER is smart, handsome, and funny!",
        "not good",
        "The weather is OK :)",
        "Great product but shipping was SLOW :(",
        "",
    ];
    let catalogue = catalogue();
    let mut worker = Worker::start(&catalogue);
    let script = "return tabpy.query('Sentiment Analysis', _arg1)['response']";
    let moods = worker.evaluate(4, script, json!({"_arg1": texts})).json();
    assert_eq!(moods, json!([0.6369, -0.7891, -0.0772, 0.8439, -0.3412, 0.7125, -0.3182, 0.0]));
}

#[test]
fn bad_arguments_are_told() {
    let catalogue = catalogue();
    let mut worker = Worker::start(&catalogue);
    for (name, arguments, told) in [
        ("PCA", json!([9, [1, 2], [3, 5]]), "components 1 to 2"),
        ("PCA", json!([1, [1, null], [3, 5]]), "cannot take nulls: _arg1"),
        ("PCA", json!([1, [1], [3, 5]]), "columns of one length"),
        ("ttest", json!([[1, 2], ["a", "b"]]), ""),
        ("anova", json!([[1, 2], [null]]), "_arg2 has a null"),
        ("Sentiment Analysis", json!([["x"], "other"]), "nltk and textblob"),
        ("Sentiment Analysis", json!([["x", 1]]), "row 2 is a int"),
    ] {
        let answer = worker.query(4, name, arguments);
        if !told.is_empty() {
            let error = answer.failed(name);
            assert!(error.contains(told) && error.contains("(line "), "{error}");
        }
    }
}
