//! Which scripts may run beside other clients' requests, as the worker's own judge has it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::beyond::BEYOND;

/// What people write, and what is to run together.
const EVERYDAY: &[&str] = &[
    "return _arg1",
    "return [x + 1 for x in _arg1]",
    "return sum(_arg1) / len(_arg1)",
    "import math\nreturn [math.sqrt(abs(x)) for x in _arg1]",
    "import math as m\nreturn m.pi",
    "from math import sqrt, pi as p\nreturn [sqrt(x) * p for x in _arg1]",
    "return sorted(_arg1, key=lambda x: -x)[:10]",
    "return [s.strip().upper().replace('A', 'b') for s in _arg1]",
    "r = []\nfor i, x in enumerate(_arg1):\n    if x is None: continue\n    r.append(x * i)\nreturn r",
    "total = 0\nwhile total < 10:\n    total += 1\nelse:\n    total = -total\nreturn total",
    "def f(n): return 1 if n < 2 else n * f(n - 1)\nreturn f(5)",
    "try:\n    return [1 / x for x in _arg1]\nexcept ZeroDivisionError as error:\n    return str(error)",
    "d = {}\nfor x in _arg1: d.setdefault(x, []).append(x)\nreturn [len(d[x]) for x in _arg1]",
    "return f'{_arg1[0]:>10.2f}'",
    "return [y for x in _arg1 if (y := x * 2) > 2]",
    "a, *b = [1, 2, 3]\nreturn [a, *b, *{1: 2}.keys()]",
    "return ' '.join(map(str, zip(_arg1, reversed(_arg1))))",
    "return 1 if any(x > 0 for x in _arg1) and not all(_arg1) else 0",
    "raise ValueError('no ' + str(_arg1))",
];

/// Prints the places of those that are pure, of the scripts that come on standard input.
const JUDGE: &str = "
import ast, importlib.util, json, sys

place = importlib.util.spec_from_file_location('pure', sys.argv[1] + '/pure.py')
pure = importlib.util.module_from_spec(place)
place.loader.exec_module(pure)
prelude = ast.parse(open(sys.argv[1] + '/prelude.py').read())
provided = next(n.value for n in prelude.body if isinstance(n, ast.Assign) and n.targets[0].id == 'PROVIDED')
provided = ast.literal_eval(provided)

def is_pure(script):
    try:
        return pure.is_pure(ast.parse(script).body, provided)
    except SyntaxError:
        return False

print(json.dumps([place for place, script in enumerate(json.load(sys.stdin)) if is_pure(script)]))
";

fn pure<'a>(scripts: &[&'a str]) -> Vec<&'a str> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut judge = Command::new(project.join(".venv/bin/python"))
        .args(["-c", JUDGE, &project.join("src/python").display().to_string()])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    judge.stdin.take().unwrap().write_all(&serde_json::to_vec(scripts).unwrap()).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let places: Vec<usize> = serde_json::from_slice(&output.stdout).unwrap();
    places.into_iter().map(|place| scripts[place]).collect()
}

#[test]
fn what_reaches_beyond_its_values_is_not_pure() {
    assert!(BEYOND.len() >= 100);
    assert_eq!(pure(BEYOND), Vec::<&str>::new());
}

#[test]
fn what_people_write_is_pure() {
    assert_eq!(pure(EVERYDAY), EVERYDAY);
}

/// A codec is looked for by name among Python's files, imported, and kept; and so is that there is none.
#[test]
fn what_has_a_module_imported_is_not_pure() {
    let scripts = [
        "return str(b'x', 'cp037')",
        "return str(b'x', encoding='cp037')",
        "return str(*[b'x', 'cp037'])",
        "return list(map(str, [b'x'], ['cp037']))",
        "f = str\nreturn f(b'x', _arg1[0])",
    ];
    assert_eq!(pure(&scripts), Vec::<&str>::new());
}
