//! What scripts do in good faith goes on working, however they are confined. Each asks nothing of
//! the network beyond this machine.

use crate::arena::{Act, USUAL, ample, each, is_on_an_older_kernel};

const DONE: &[u16] = &[200];

pub const ACTS: &[Act] = &[
    Act::new(
        "subprocess",
        DONE,
        "",
        "import subprocess\nassert subprocess.run(['echo', 'a'], capture_output=True).stdout == b'a\\n'\nassert subprocess.run(['false']).returncode == 1",
    ),
    Act::new("a shell", DONE, "", "import os\nassert os.system('exit 3') == 768"),
    Act::new(
        "Python once more",
        DONE,
        "",
        "import subprocess, sys\nassert subprocess.run([sys.executable, '-c', 'import numpy; print(numpy.arange(3).sum())'], capture_output=True, text=True).stdout == '3\\n'",
    ),
    Act::new(
        "multiprocessing by fork",
        DONE,
        "",
        "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as p: assert p.map(abs, [-1, -2]) == [1, 2]",
    ),
    Act::new(
        "multiprocessing by spawn",
        DONE,
        "",
        "import multiprocessing\nwith multiprocessing.get_context('spawn').Pool(1) as p: assert p.map(abs, [-1]) == [1]",
    ),
    Act::new(
        "multiprocessing's queues and locks",
        DONE,
        "",
        "import multiprocessing\nc = multiprocessing.get_context('fork')\nq = c.Queue()\nl = c.Lock()\np = c.Process(target=q.put, args=(5,))\np.start()\nassert q.get(timeout=5) == 5\np.join()\nwith l: pass",
    ),
    Act::new(
        "joblib",
        DONE,
        "",
        "import joblib\nassert joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(x) for x in [-1, -2]) == [1, 2]",
    ),
    Act::new(
        "scikit-learn with two jobs",
        DONE,
        "",
        "import numpy\nfrom sklearn.ensemble import RandomForestClassifier\nx = numpy.arange(40).reshape(20, 2)\nassert RandomForestClassifier(4, n_jobs=2).fit(x, x[:, 0] > 9).predict([[0, 1]])[0] == False",
    ),
    Act::new(
        "threads",
        DONE,
        "",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as e: assert list(e.map(abs, [-1, -2])) == [1, 2]",
    ),
    Act::new(
        "asyncio",
        DONE,
        "",
        "import asyncio\nasync def f():\n    p = await asyncio.create_subprocess_exec('true')\n    return await p.wait()\nassert asyncio.run(f()) == 0",
    ),
    Act::new(
        "names of hosts",
        DONE,
        "",
        "import socket\nassert socket.getaddrinfo('localhost', 80)\nsocket.gethostname()",
    ),
    Act::new(
        "certificates",
        DONE,
        "",
        "import os, ssl\nc = ssl.create_default_context()\nimport requests.certs\nassert os.access(requests.certs.where(), os.R_OK)\nssl.create_default_context(cafile=requests.certs.where())",
    ),
    Act::new(
        "a server of its own",
        DONE,
        "",
        "import http.server, threading, requests\ns = http.server.HTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)\nt = threading.Thread(target=s.handle_request)\nt.start()\nassert requests.get('http://127.0.0.1:%d/' % s.server_port, timeout=5).status_code == 501\nt.join()",
    ),
    Act::new(
        "time zones",
        DONE,
        "",
        "import zoneinfo\nassert zoneinfo.ZoneInfo('Europe/Berlin').key\nassert str(pd.Timestamp('2024-07-01', tz='Asia/Tokyo').utcoffset()) == '9:00:00'",
    ),
    Act::new(
        "temporary files",
        DONE,
        "",
        "import tempfile, os\nwith tempfile.TemporaryDirectory() as d:\n    open(d + '/x', 'w').write('a')\n    os.rename(d + '/x', d + '/y')\n    os.symlink('y', d + '/z')\n    assert open(d + '/z').read() == 'a'",
    ),
    Act::new(
        "between folders",
        DONE,
        "",
        "import os, shutil, tempfile\na, b = tempfile.mkdtemp(), tempfile.mkdtemp()\nopen(a + '/x', 'w').close()\nos.rename(a + '/x', b + '/x')\nos.link(b + '/x', a + '/x')",
    ),
    Act::new(
        "the working folder",
        DONE,
        "",
        "open('report.txt', 'w').write('a')\nassert open('report.txt').read() == 'a'",
    ),
    Act::new(
        "caches at home",
        DONE,
        "",
        "import os\nh = os.path.expanduser('~')\nos.makedirs(h + '/.cache/mine', exist_ok=True)\nopen(h + '/.cache/mine/x', 'w').write('a')",
    ),
    Act::new(
        "folders for caches",
        DONE,
        "",
        "import os\nfor n in ('MPLCONFIGDIR', 'XDG_CACHE_HOME'):\n    d = os.environ.get(n)\n    if d:\n        os.makedirs(d, exist_ok=True)\n        open(d + '/x', 'w').close()",
    ),
    Act::new(
        "devices",
        DONE,
        "",
        "import os\nassert len(open('/dev/urandom', 'rb').read(4)) == 4\nopen('/dev/null', 'w').write('x')\nassert open('/dev/zero', 'rb').read(1) == b'\\0'\nos.urandom(4)",
    ),
    Act::new(
        "what it may know of itself",
        DONE,
        "",
        "import os, platform, pwd\nopen('/proc/self/status').read()\nopen('/proc/cpuinfo').read()\nopen('/proc/meminfo').read()\nplatform.platform()\nos.cpu_count()\npwd.getpwuid(os.getuid())\nos.path.expanduser('~')",
    ),
    Act::new(
        "sqlite",
        DONE,
        "",
        "import sqlite3, tempfile\nc = sqlite3.connect(tempfile.mkdtemp() + '/x.db')\nc.execute('create table t (a)')\nc.execute('insert into t values (1)')\nc.commit()\nc.close()",
    ),
    Act::new(
        "an alarm of its own",
        DONE,
        "",
        "import signal, time\nclass Late(Exception): pass\ndef late(*a): raise Late\nsignal.signal(signal.SIGALRM, late)\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\ntry:\n    time.sleep(2)\n    raise ValueError('nothing rang')\nexcept Late: pass",
    ),
    Act::new(
        "a deeper recursion",
        DONE,
        "",
        "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return n and f(n - 1)\nassert f(15000) == 0",
    ),
    Act::new(
        "ending its own child",
        DONE,
        "",
        "import subprocess\np = subprocess.Popen(['sleep', 'MARK'])\np.terminate()\nassert p.wait() == -15",
    ),
    Act::new(
        "limits of its own",
        DONE,
        "",
        "import resource\ns, h = resource.getrlimit(resource.RLIMIT_NOFILE)\nresource.setrlimit(resource.RLIMIT_NOFILE, (min(s, 256), h))\nopen('/dev/null').close()",
    ),
    Act::new(
        "shared memory",
        DONE,
        "",
        "from multiprocessing import shared_memory\ns = shared_memory.SharedMemory(create=True, size=4096)\ns.buf[0] = 5\ns.close()\ns.unlink()",
    ),
    Act::new(
        "ctypes",
        DONE,
        "",
        "import ctypes\nf = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)\nassert f(1) == 2",
    ),
    Act::new(
        "scipy",
        DONE,
        "",
        "from scipy import optimize, stats\nassert abs(optimize.brentq(lambda x: x - 1, 0, 3) - 1) < 1e-6\nstats.norm.cdf(0)",
    ),
    Act::new(
        "packages' data",
        DONE,
        "",
        "import importlib.metadata\nassert importlib.metadata.version('numpy')\nfrom sklearn.datasets import load_iris\nassert load_iris().data.shape == (150, 4)",
    ),
    Act::new(
        "pickles",
        DONE,
        "",
        "import cloudpickle, pickle\nassert pickle.loads(cloudpickle.dumps(lambda x: x + 1))(1) == 2",
    ),
    Act::new(
        "locale",
        DONE,
        "",
        "import locale\nlocale.setlocale(locale.LC_ALL, '')\nassert 'ä'.encode() == b'\\xc3\\xa4' and open.__name__\nimport sys\nassert sys.getfilesystemencoding() == 'utf-8'",
    ),
    Act::new(
        "a module written on the spot",
        DONE,
        "",
        "import os, sys, tempfile\nd = tempfile.mkdtemp()\nopen(d + '/fresh_module.py', 'w').write('x = 5')\nsys.path.insert(0, d)\nimport fresh_module\nassert fresh_module.x == 5",
    ),
    Act::new(
        "warnings and logging",
        DONE,
        "",
        "import logging, warnings\nwarnings.warn('careful')\nlogging.getLogger(__name__).warning('noted')",
    ),
    Act::new(
        "a profile",
        DONE,
        "",
        "import cProfile, sys\ncProfile.runctx('sum(range(10))', {}, {}) if False else None\nsys.setprofile(lambda *a: None)\nsys.setprofile(None)\nimport timeit\ntimeit.timeit('1', number=1)",
    ),
];

/// Numbers of processes that are left before the kernel begins again from below, so that they last for all acts.
const ROOM: usize = 10_000;

/// Without Landlock a script may only signal what has a higher number than its worker. Its own children have lower
/// ones where the kernel begins again in between: docs/reliability.md says so, and here that is to have happened before.
fn let_numbers_begin_again() {
    let number = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        text.split_whitespace().last().unwrap().parse::<usize>().unwrap()
    };
    let most = number("/proc/sys/kernel/pid_max");
    for _ in 0..ROOM {
        // The last word is the number that was given last.
        if number("/proc/loadavg") + ROOM < most {
            return;
        }
        std::process::Command::new("true").status().unwrap();
    }
}

#[test]
fn what_scripts_do_in_good_faith_works() {
    if is_on_an_older_kernel() {
        let_numbers_begin_again();
    }
    each(USUAL, |builder| ample(builder).env("TABPY_WORKER_MEMORY_MB", "600"), ACTS);
}
