//! What analysts' scripts do all the time, and what must therefore work.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::held::start;
use crate::support::{Builder, Server};

fn works(cases: &[(&str, &str)]) {
    for builder in [Server::builder(), Server::builder().on_an_older_kernel()] {
        let (server, _) = start(builder);
        for (script, answer) in cases {
            assert_eq!(&server.value(script), answer, "{script}");
        }
    }
}

#[test]
fn programs_and_shells() {
    works(&[
        (
            "import subprocess\nreturn subprocess.run(['/bin/sh', '-c', 'echo hi | cat'], capture_output=True, text=True).stdout",
            "\"hi\\n\"",
        ),
        (
            "import subprocess, sys\nreturn subprocess.check_output([sys.executable, '-c', 'import numpy; print(1)'], text=True)",
            "\"1\\n\"",
        ),
        ("import subprocess\np = subprocess.Popen(['sleep', '60'])\np.terminate()\nreturn p.wait()", "-15"),
        (
            "import asyncio\nasync def f():\n    p = await asyncio.create_subprocess_exec('/bin/echo', 'x', stdout=-1)\n    return (await p.communicate())[0].decode()\nreturn asyncio.run(f())",
            "\"x\\n\"",
        ),
        ("import os\nreturn os.system('true')", "0"),
    ]);
}

#[test]
fn processes_of_python() {
    works(&[
        (
            "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p:\n    return p.map(abs, [-1, -2])",
            "[1, 2]",
        ),
        (
            "import multiprocessing as m\nwith m.get_context('spawn').Pool(1) as p:\n    return p.map(abs, [-1, -2])",
            "[1, 2]",
        ),
        (
            "import multiprocessing as m\nwith m.Manager() as manager:\n    return dict(manager.dict(a=1))",
            "{\"a\": 1}",
        ),
        (
            "import multiprocessing as m, time\np = m.get_context('fork').Process(target=time.sleep, args=(60,))\np.start()\np.terminate()\np.join(4)\nreturn p.exitcode",
            "-15",
        ),
        (
            "from multiprocessing import shared_memory\ns = shared_memory.SharedMemory(create=True, size=8)\ns.buf[0] = 5\nv = int(s.buf[0])\ns.close()\ns.unlink()\nreturn v",
            "5",
        ),
        (
            "import os, signal\npid = os.fork()\nif pid == 0:\n    signal.pause()\nos.kill(pid, 9)\nreturn os.waitpid(pid, 0)[1]",
            "9",
        ),
    ]);
}

#[test]
fn parallel_learning() {
    works(&[
        (
            "from joblib import Parallel, delayed\nreturn Parallel(n_jobs=2)(delayed(abs)(i) for i in [-1, -2])",
            "[1, 2]",
        ),
        (
            "import numpy\nfrom sklearn.ensemble import RandomForestClassifier\nx = numpy.arange(40.).reshape(20, 2)\nm = RandomForestClassifier(4, n_jobs=2).fit(x, x[:, 0] > 20)\nreturn bool(m.predict([[39., 39.]])[0])",
            "true",
        ),
    ]);
}

#[test]
fn threads_time_zones_and_the_machine() {
    works(&[
        (
            "from concurrent.futures import ThreadPoolExecutor as T\nwith T(4) as t:\n    return list(t.map(abs, [-1, 2]))",
            "[1, 2]",
        ),
        (
            "import datetime, zoneinfo\nreturn datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo('UTC')).isoformat()",
            "\"2024-07-01T00:00:00+00:00\"",
        ),
        ("import os\nreturn os.cpu_count() > 0 and os.sysconf('SC_PHYS_PAGES') > 0", "true"),
        ("import os\nos.sched_setaffinity(0, os.sched_getaffinity(0))\nos.nice(1)\nreturn 1", "1"),
        (
            "import resource\nsoft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\nresource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))\nreturn 1",
            "1",
        ),
        ("import random\nreturn len(open('/dev/urandom', 'rb').read(4))", "4"),
        ("import ssl\nssl.create_default_context()\nreturn 1", "1"),
    ]);
}

#[test]
fn files_of_ones_own() {
    works(&[
        (
            "import sqlite3\nc = sqlite3.connect('x.db')\nc.execute('create table t(a)')\nc.execute('insert into t values (1)')\nc.commit()\nreturn c.execute('select count(*) from t').fetchone()[0]",
            "1",
        ),
        (
            "import tempfile, os\nwith tempfile.NamedTemporaryFile() as f, tempfile.TemporaryDirectory() as d:\n    return os.path.dirname(f.name) == os.path.dirname(d) == os.getcwd()",
            "true",
        ),
        (
            "import os\nd = os.path.expanduser('~/.cache/matplotlib')\nos.makedirs(d)\nopen(d + '/fonts.json', 'w').write('{}')\nreturn os.listdir(d)",
            "[\"fonts.json\"]",
        ),
        ("import os\nd = os.environ['MPLCONFIGDIR']\nos.makedirs(d)\nreturn os.access(d, os.W_OK)", "true"),
        (
            "import os, shutil\nopen('a', 'w').write('x')\nshutil.copy('a', 'b')\nshutil.copy2('/bin/sh', 'c')\nos.mkdir('d')\nshutil.move('b', 'd/e')\nos.chmod('a', 0o600)\nreturn open('d/e').read()",
            "\"x\"",
        ),
        (
            "import pandas as pd\npd.DataFrame({'a': [1, 2]}).to_csv('x.csv', index=False)\nreturn pd.read_csv('x.csv')['a'].tolist()",
            "[1, 2]",
        ),
    ]);
}

#[test]
fn the_network() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _request = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").unwrap();
        }
    });
    let get = format!(
        "import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=5).read().decode()"
    );
    let requests =
        format!("import requests\nreturn requests.get('http://localhost:{port}/', timeout=5).text");
    works(&[
        (&get, "\"hi\""),
        (&requests, "\"hi\""),
        (
            "import socket\nreturn '127.0.0.1' in {a[4][0] for a in socket.getaddrinfo('localhost', 80)}",
            "true",
        ),
    ]);
}

#[test]
fn what_the_operator_opens() {
    let data = tempfile::tempdir().unwrap();
    let (read, write) = (data.path().join("in"), data.path().join("out"));
    std::fs::create_dir(&read).unwrap();
    std::fs::create_dir(&write).unwrap();
    std::fs::write(read.join("sales.csv"), "a\n1\n2\n").unwrap();
    let open = |builder: Builder| {
        builder.env("TABPY_SCRIPT_READ", read.display()).env("TABPY_SCRIPT_WRITE", write.display())
    };
    let (server, _) = start(open(Server::builder()));
    let script =
        format!("import pandas\nreturn int(pandas.read_csv('{}/sales.csv')['a'].sum())", read.display());
    assert_eq!(server.value(&script), "3");
    server.value(&format!("open('{}/result.txt', 'w').write('done')\nreturn 1", write.display()));
    assert_eq!(std::fs::read_to_string(write.join("result.txt")).unwrap(), "done");
}
