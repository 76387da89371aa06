//! Code of a script's that Python runs when it collects what the script has left.

use serde_json::json;

use crate::arena::{Arena, ONE};

/// It would run in the middle of a later script, if nobody saw to it.
#[test]
fn what_is_to_run_later_meets_nobody_elses_data() {
    const STEAL: &str = "def steal():\n    import gc, traceback\n    def deep(n): return deep(n - 1) if n else list(WALK(None))\n    \
        for frame, _ in deep(4):\n        if '_arg1' in LOCALS: LOCALS['_arg1'][:] = ['stolen']\n";
    let arena = Arena::start(ONE, |builder| builder);
    for plant in [
        "class D:\n    def __del__(self): steal()\nd = D()\nd.me = d",
        "def g():\n    try:\n        yield\n    finally:\n        steal()\nx = [g()]\nx.append(x)\nnext(x[0])",
        "import contextlib\n@contextlib.contextmanager\ndef c():\n    try: yield\n    finally: steal()\nx = [c()]\nx.append(x)\nx[0].__enter__()",
        "async def c():\n    try:\n        await f()\n    finally:\n        steal()\nclass W:\n    def __await__(self): yield\n\
            def f(): return W()\nx = [c()]\nx.append(x)\nx[0].send(None)",
        "import weakref\nclass A: pass\na = A()\na.me = a\nr = weakref.ref(a, lambda _: steal())\nr2 = [r]\nr2.append(r2)\na.kept = r2",
        "import weakref\nclass A: pass\na = A()\na.me = a\nweakref.finalize(a, steal)",
        "D = type('D', (), {'__d' + 'el__': lambda self: steal()})\nd = D()\nd.me = d",
        "class D:\n    locals()['__d' + 'el__'] = lambda self: steal()\nd = D()\nd.me = d",
    ] {
        for (walk, locals) in [
            ("traceback.walk_stack", "frame.f_locals"),
            ("getattr(traceback, 'walk_' + 'stack')", "getattr(frame, 'f_' + 'locals')"),
        ] {
            let steal = STEAL.replace("WALK", walk).replace("LOCALS", locals);
            arena.evaluate(&format!("{steal}{plant}\nreturn 1"), json!({})).is(200, "1");
            let victim = "rows = [[v] for v in range(200000)]\nreturn [v * 2 for v in _arg1]";
            for _ in 0..3 {
                let answer = arena.evaluate(victim, json!({"_arg1": [100, 200, 300]}));
                assert_eq!((answer.status, answer.text()), (200, "[200, 400, 600]".to_owned()), "{plant}");
            }
        }
    }
}
