//! Recursion that never comes back, in Python and in the C code below it.

use serde_json::json;

use crate::arena::{Act, Arena, PASSWORD, USER, USUAL, ample, each};
use crate::memory::limited;
use crate::support::Request;

const FAILS: &[u16] = &[500];
/// Where one version of Python copes and another does not.
const EITHER: &[u16] = &[200, 500, 408];

pub const PYTHON: &[Act] = &[
    Act::new("a function", FAILS, "RecursionError", "def f(): return f()\nreturn f()"),
    Act::new(
        "a function without the limit",
        &[500, 408],
        "",
        "import sys\nsys.setrecursionlimit(2 ** 31 - 1)\ndef f(): return f() + f()\nreturn f()",
    ),
    Act::new(
        "caught again and again",
        &[408, 500],
        "",
        "def f():\n    try: f()\n    except RecursionError: f()\nf()",
    ),
    Act::new(
        "__getattr__",
        FAILS,
        "",
        "class A:\n    def __getattr__(self, n): return getattr(self, n)\nreturn A().x",
    ),
    Act::new(
        "__getattr__ without the limit",
        FAILS,
        "",
        "import sys\nsys.setrecursionlimit(2 ** 31 - 1)\nclass A:\n    def __getattr__(self, n): return getattr(self, n)\nreturn A().x",
    ),
    Act::new(
        "__repr__",
        FAILS,
        "",
        "class A:\n    def __repr__(self): return repr([self])\nreturn repr(A())",
    ),
    Act::new(
        "in a thread",
        EITHER,
        "",
        "import sys, threading\nsys.setrecursionlimit(2 ** 31 - 1)\nclass A:\n    def __getattr__(self, n): return getattr(self, n)\nthreading.stack_size(65536)\nt = threading.Thread(target=lambda: A().x)\nt.start()\nt.join()\nreturn 1",
    ),
];

pub const C: &[Act] = &[
    Act::new("json.loads", FAILS, "", "import json\nreturn json.loads('[' * 10 ** 6)"),
    Act::new(
        "json.loads without the limit",
        FAILS,
        "",
        "import json, sys\nsys.setrecursionlimit(2 ** 31 - 1)\nreturn json.loads('[' * 10 ** 7)",
    ),
    Act::new(
        "json.dumps",
        FAILS,
        "",
        "import json\nx = []\nfor _ in range(10 ** 6): x = [x]\nreturn json.dumps(x)",
    ),
    Act::new(
        "pickle",
        EITHER,
        "",
        "import pickle\nx = []\nfor _ in range(10 ** 6): x = [x]\nreturn len(pickle.dumps(x))",
    ),
    Act::new(
        "pickle that calls itself",
        EITHER,
        "",
        "import pickle\nclass A:\n    def __reduce__(self): return (pickle.dumps, (self,))\nreturn len(pickle.dumps(A()))",
    ),
    Act::new("re", EITHER, "", "import re\nreturn bool(re.compile('(' * 10000 + ')' * 10000))"),
    Act::new("eval of brackets", EITHER, "", "return eval('(' * 10 ** 5 + ')' * 10 ** 5)"),
    Act::new("eval of minus signs", EITHER, "", "return eval('-' * 10 ** 6 + '1')"),
    Act::new("compile of dots", EITHER, "", "return eval('a' + '.a' * 10 ** 5, {'a': 1})"),
    Act::new(
        "literal_eval",
        EITHER,
        "",
        "import ast\nreturn len(ast.literal_eval('[' * 10 ** 5 + ']' * 10 ** 5))",
    ),
    Act::new(
        "repr of a deep list",
        EITHER,
        "",
        "x = []\nfor _ in range(10 ** 6): x = [x]\nreturn len(repr(x))",
    ),
    Act::new(
        "comparing deep lists",
        EITHER,
        "",
        "x, y = [], []\nfor _ in range(10 ** 6): x, y = [x], [y]\nreturn x == y",
    ),
    Act::new(
        "freeing a deep list",
        EITHER,
        "",
        "x = []\nfor _ in range(3 * 10 ** 6): x = [x]\ndel x\nreturn 1",
    ),
    Act::new(
        "freeing deep objects",
        EITHER,
        "",
        "class N:\n    def __init__(self, n): self.n = n\nx = None\nfor _ in range(10 ** 6): x = N(x)\ndel x\nreturn 1",
    ),
    Act::new("a deep answer", FAILS, "", "x = []\nfor _ in range(10 ** 6): x = [x]\nreturn x"),
    Act::new(
        "a deep answer without the limit",
        &[500, 408],
        "",
        "import sys\nsys.setrecursionlimit(2 ** 31 - 1)\nx = []\nfor _ in range(10 ** 6): x = {'a': [x]}\nreturn x",
    ),
    Act::new(
        "an answer that contains itself",
        FAILS,
        "ValueError : Circular reference detected",
        "x = []\nx.append(x)\nreturn x",
    ),
    Act::new(
        "an answer that makes itself",
        &[500, 408],
        "",
        "class A:\n    def __iter__(self): yield A()\nreturn A()",
    ),
    Act::new(
        "tolist() that returns itself",
        &[500, 408],
        "",
        "class A:\n    def tolist(self): return A()\n    to_dict = to_list = tolist\nreturn A()",
    ),
    Act::new(
        "a small stack",
        EITHER,
        "",
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_STACK, (65536, 65536))\nsys.setrecursionlimit(10 ** 6)\ndef f(n): return sorted([n], key=lambda x: f(n + 1))\nreturn f(0)",
    ),
];

#[test]
fn recursion_in_python() {
    each(USUAL, limited, PYTHON);
}

#[test]
fn recursion_in_c() {
    each(USUAL, limited, C);
}

#[test]
fn deep_bodies() {
    let arena = Arena::start(USUAL, ample);
    for depth in [100_000_usize, 1_000_000, 20_000_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let depth = depth / open.len();
            for shut in [close.repeat(depth), String::new()] {
                let body = format!(
                    r#"{{"script": "return 1", "data": {{"_arg1": {}1{shut}}}}}"#,
                    open.repeat(depth)
                );
                let answer = arena.server().send(&Request::post("/evaluate", body).login(USER, PASSWORD));
                answer.error(500);
            }
        }
        arena.holds("a deep body", &arena.marker());
    }
    let deep = format!("return {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    arena.evaluate(&deep, json!({})).error(500);
    arena.evaluate(&"if 1:\n ".repeat(3000), json!({})).error(500);
    arena.holds("a deep script", &arena.marker());
}
