//! What functions leave behind in their worker: what they set up stays with them, and scripts meet none of it.

use serde_json::json;

use crate::worker::{Catalogue, Worker};

/// What there is to find of the process. A function looks, since a script that names such things ends its worker.
const LOOK: &str = "import os, sys, json, warnings, locale, logging, socket, pandas as pd, numpy as np\ndef look():\n    \
    return [os.environ.get('LEFT'), os.getcwd() == os.environ.get('HOME', os.getcwd()), sys.getrecursionlimit(), json.dumps([1]), \
    len(warnings.filters), locale.setlocale(locale.LC_ALL), logging.getLogger().level, socket.getdefaulttimeout(), \
    pd.get_option('display.max_rows'), np.get_printoptions()['precision'], np.geterr()['all' if 'all' in np.geterr() else 'over'], \
    len(logging.getLogger().handlers), sys.excepthook is sys.__excepthook__]";

#[test]
fn loading_and_calling_leave_the_process_as_it_was_without_ending_the_worker() {
    let setup = "import os, sys, warnings, locale, logging, socket, pandas as pd, numpy as np, random\n";
    let mess = "os.environ['LEFT'] = 'yes'; os.chdir('/'); sys.setrecursionlimit(500); warnings.filterwarnings('ignore', 'never'); \
                locale.setlocale(locale.LC_ALL, 'C'); logging.basicConfig(level=10); socket.setdefaulttimeout(3); \
                pd.set_option('display.max_rows', 7); np.set_printoptions(precision=3); np.seterr(all='ignore'); \
                sys.excepthook = print; random.seed(1)";
    // A hook is part of a module: setting it at a call costs the worker.
    let calling = mess.replace("sys.excepthook = print; ", "");
    let mut catalogue = Catalogue::new();
    catalogue.source("loading", "f", &format!("{setup}{mess}\ndef f(): return 1"));
    catalogue.source("calling", "f", &format!("{setup}def f():\n    {calling}\n    return 1"));
    catalogue.archive("archived", &format!("{setup}def function():\n    {mess}\n    return 1"));
    catalogue.source("look", "look", LOOK);
    let mut worker = Worker::start(&catalogue);
    let before = worker.query(4, "look", json!([])).response();
    assert_eq!(before[0], json!(null));
    for name in ["loading", "calling", "archived"] {
        for _ in 0..2 {
            assert_eq!(worker.query(4, name, json!([])).response(), 1);
            assert!(!worker.has_left(), "{name}");
            assert_eq!(worker.query(4, "look", json!([])).response(), before, "{name}");
        }
        let script = format!("return tabpy.query('{name}')['response']");
        assert_eq!(worker.evaluate(4, &script, json!({})).text(), "1");
        assert!(!worker.has_left(), "{name} from a script");
        assert_eq!(worker.query(4, "look", json!([])).response(), before, "{name} from a script");
    }
}

/// What nobody can put right ends the worker: the next one loads the function anew.
#[test]
fn what_replaces_others_things_ends_the_worker() {
    for (name, text) in [
        ("json", "import json\njson.dumps = lambda *a, **k: 'spoilt'\ndef f(): return 1"),
        ("json at a call", "import json\ndef f():\n    json.dumps = lambda *a, **k: 'spoilt'\n    return 1"),
        ("builtins", "import builtins\nbuiltins.sorted = None\ndef f(): return 1"),
        (
            "a thread",
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\ndef f(): return 1",
        ),
        ("a child", "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\ndef f(): return 1"),
        (
            "a module that nobody has loaded yet, at a call",
            "import colorsys\ndef f():\n    colorsys.ONE_SIXTH = 0\n    return 1",
        ),
        ("ctypes at a call", "def f():\n    import ctypes\n    return 1"),
    ] {
        let mut catalogue = Catalogue::new();
        catalogue.source("f", "f", text);
        let mut worker = Worker::start(&catalogue);
        assert_eq!(worker.query(1, "f", json!([])).response(), 1, "{name}");
        assert!(worker.has_left(), "{name}");
    }
}

/// Libraries add to others when they are imported, and functions rely on it.
#[test]
fn what_loading_adds_stays() {
    let mut catalogue = Catalogue::new();
    catalogue.source("f", "f", "import pandas as pd\npd.DataFrame.mine = lambda self: len(self)\ndef f(n): return pd.DataFrame({'a': [1] * n}).mine()");
    let mut worker = Worker::start(&catalogue);
    for _ in 0..3 {
        assert_eq!(worker.query(1, "f", json!([3])).response(), 3);
        assert!(!worker.has_left());
    }
    // But a script that adds in the request that loads has nobody to blame.
    let mut worker = Worker::start(&catalogue);
    worker.evaluate(
        1,
        "import pandas as pd\npd.DataFrame.theirs = 1\nreturn tabpy.query('f', 1)['response']",
        json!({}),
    );
    assert!(worker.has_left());
}

#[test]
fn random_numbers_are_not_those_of_the_last_call() {
    let mut catalogue = Catalogue::new();
    catalogue.source(
        "seeded",
        "f",
        "import random, numpy\nrandom.seed(1); numpy.random.seed(1)\ndef f(): return 1",
    );
    catalogue.source("seeds", "f", "import random\ndef f():\n    random.seed(1)\n    return random.random()");
    let mut worker = Worker::start(&catalogue);
    let draw = "import random, numpy\nreturn [random.random(), numpy.random.rand()]";
    let mut drawn = Vec::new();
    for name in ["seeded", "seeds", "seeds"] {
        worker.query(2, name, json!([]));
        drawn.push(worker.evaluate(2, draw, json!({})).text());
    }
    drawn.dedup();
    assert_eq!(drawn.len(), 3);
    let same =
        [worker.query(2, "seeds", json!([])).response(), worker.query(2, "seeds", json!([])).response()];
    assert_eq!(same[0], same[1]);
}

/// A file sets up what its functions rely on.
#[test]
fn what_a_file_sets_for_itself_holds_while_its_functions_run() {
    let mut catalogue = Catalogue::new();
    let text = "import os, sys, warnings, numpy, pandas\nos.environ['MINE'] = 'yes'\nsys.setrecursionlimit(4321)\n\
                pandas.set_option('display.max_rows', 7)\nsys.path.append('/mine')\nnumpy.seterr(all='raise')\n\
                def f(): return [os.environ.get('MINE'), sys.getrecursionlimit(), pandas.get_option('display.max_rows'), \
                '/mine' in sys.path, numpy.geterr()['over']]";
    catalogue.source("mine", "f", text);
    catalogue.source(
        "look",
        "f",
        &text.replace("os.environ['MINE'] = 'yes'\nsys.setrecursionlimit(4321)\n", "").replace(
            "pandas.set_option('display.max_rows', 7)\nsys.path.append('/mine')\nnumpy.seterr(all='raise')\n",
            "",
        ),
    );
    let mut worker = Worker::start(&catalogue);
    let before = worker.query(2, "look", json!([])).response();
    for _ in 0..3 {
        assert_eq!(worker.query(2, "mine", json!([])).response(), json!(["yes", 4321, 7, true, "raise"]));
        assert_eq!(worker.query(2, "look", json!([])).response(), before);
    }
    assert!(before[0].is_null() && before[1] != 4321 && before[2] != 7 && before[3] == false);
    assert!(!worker.has_left());
}
