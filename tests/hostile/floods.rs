//! Scripts that say, answer or write too much. Each writes at most 1 GB, so that a server without
//! a limit does the machine no harm.

use crate::arena::{Act, Arena, USUAL, ample, each, rows};
use crate::memory;
use crate::support::Builder;

const FAILS: &[u16] = &[500];
const ANY: &[u16] = &[200, 500, 408];
const DISK: &str = "TABPY_SCRIPT_DISK_MB";

pub const OUTPUT: &[Act] = &[
    Act::new("print", ANY, "", "for _ in range(20000): print('x' * 1000)\nreturn 1"),
    Act::new(
        "print to stderr",
        ANY,
        "",
        "import sys\nfor _ in range(20000): print('x' * 1000, file=sys.stderr)\nreturn 1",
    ),
    Act::new("print without end", &[500, 408], "", "while True: print('x' * 1000)"),
    Act::new("one long line", ANY, "", "import sys\nsys.stdout.write('x' * (200 * 2 ** 20))\nreturn 1"),
    Act::new(
        "descriptor 1",
        ANY,
        "",
        "import os\nfor _ in range(20000): os.write(1, b'y' * 1000 + b'\\n')\nreturn 1",
    ),
    Act::new(
        "descriptor 2 without a line's end",
        ANY,
        "",
        "import os\nfor _ in range(200): os.write(2, b'y' * 100000)\nreturn 1",
    ),
    Act::new(
        "bytes that are no text",
        ANY,
        "",
        "import os\nfor d in (1, 2): os.write(d, bytes(range(256)) * 100)\nreturn 1",
    ),
    Act::new(
        "a child",
        ANY,
        "",
        "import subprocess\nsubprocess.run('yes | head -c 200000000', shell=True)\nreturn 1",
    ),
    Act::new(
        "a child that goes on",
        ANY,
        "",
        "import subprocess\nsubprocess.Popen('yes | head -c 200000000; sleep MARK', shell=True)\nreturn 1",
    ),
    Act::new(
        "logging",
        ANY,
        "",
        "import logging\nfor _ in range(20000): logging.warning('z' * 1000)\nreturn 1",
    ),
    Act::new(
        "warnings",
        ANY,
        "",
        "import warnings\nwarnings.simplefilter('always')\nfor n in range(5000): warnings.warn('w' * 1000 + str(n))\nreturn 1",
    ),
    Act::new(
        "a large traceback",
        &[500],
        "",
        "import sys\ntry: 1 / 0\nexcept Exception as e:\n    for _ in range(2000): e.add_note('n' * 1000)\n    raise",
    ),
    Act::new("stdin", ANY, "", "import sys\nreturn sys.stdin.read() if sys.stdin else ''"),
    Act::new("the terminal", ANY, "", "open('/dev/tty', 'w').write('x')\nreturn 1"),
    Act::new(
        "/proc/1/fd/1 and the like",
        ANY,
        "",
        "import os\nfor p in ('self', str(os.getppid())):\n    for d in ('0', '1', '2'):\n        try:\n            with open('/proc/%s/fd/%s' % (p, d), 'wb', 0) as f: f.write(b'q' * 1000000)\n        except (OSError, ValueError): pass\nreturn 1",
    ),
];

pub const ANSWERS: &[Act] = &[
    Act::new("an endless answer", &[500, 408], "", "import itertools\nreturn itertools.repeat('x' * 1000)"),
    Act::new(
        "an endless answer of nothing",
        &[500, 408],
        "",
        "import itertools\nreturn ([] for _ in itertools.count())",
    ),
    Act::new("a long text", FAILS, "TABPY_MAX_RESPONSE_SIZE_MB", "return 'x' * (50 * 2 ** 20)"),
    Act::new(
        "a text that grows when written",
        FAILS,
        "TABPY_MAX_RESPONSE_SIZE_MB",
        "return '\\u20ac' * (10 * 2 ** 20)",
    ),
    Act::new("a list", FAILS, "TABPY_MAX_RESPONSE_SIZE_MB", "return [1.5] * (12 * 10 ** 5)"),
    Act::new(
        "one list many times",
        FAILS,
        "TABPY_",
        "x = 'x' * 1000\nfor _ in range(10): x = [x] * 10\nreturn x",
    ),
    Act::new("an array", FAILS, "TABPY_MAX_RESPONSE_SIZE_MB", "import numpy\nreturn numpy.arange(10 ** 6)"),
    Act::new(
        "an array of one value",
        &[500, 408],
        "",
        "import numpy\nreturn numpy.broadcast_to(1.5, (10 ** 10,))",
    ),
    Act::new("a range", &[500, 408], "", "return range(10 ** 12)"),
    Act::new(
        "an int of many digits",
        &[500, 408],
        "",
        "import sys\nsys.set_int_max_str_digits(0)\nreturn 7 ** (4 * 10 ** 6)",
    ),
];

pub const DISKS: &[Act] = &[
    Act::new(
        "a large file",
        FAILS,
        DISK,
        "import tempfile, time\nf = tempfile.NamedTemporaryFile(delete=False, suffix='MARK')\nfor _ in range(800):\n    f.write(b'x' * 2 ** 20)\n    f.flush()\n    time.sleep(0.001)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "a file without a name",
        FAILS,
        "",
        "import tempfile, time\nf = tempfile.TemporaryFile()\nfor _ in range(800):\n    f.write(b'x' * 2 ** 20)\n    f.flush()\n    time.sleep(0.001)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "in the working folder",
        FAILS,
        "",
        "import time\nf = open('MARK', 'wb')\nfor _ in range(800):\n    f.write(b'x' * 2 ** 20)\n    f.flush()\n    time.sleep(0.001)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "many files",
        FAILS,
        DISK,
        "import tempfile, time\nfor n in range(400):\n    with open('%s/MARK-%d' % (tempfile.gettempdir(), n), 'wb') as f: f.write(b'x' * 2 ** 20)\n    time.sleep(0.003)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "many empty files",
        ANY,
        "",
        "import tempfile\nfor n in range(20000): open('%s/MARK-%d' % (tempfile.gettempdir(), n), 'w').close()\nreturn 1",
    ),
    Act::new(
        "a file with holes",
        ANY,
        "",
        "import tempfile\nf = tempfile.NamedTemporaryFile(delete=False, suffix='MARK')\nf.truncate(10 ** 12)\nreturn 1",
    ),
    Act::new(
        "space reserved",
        FAILS,
        "",
        "import os, tempfile, time\nf = tempfile.NamedTemporaryFile(delete=False, suffix='MARK')\nos.posix_fallocate(f.fileno(), 0, 800 * 2 ** 20)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "by a child",
        FAILS,
        "",
        "import subprocess, tempfile, time\nr = subprocess.run(['dd', 'if=/dev/zero', 'of=%s/MARK' % tempfile.gettempdir(), 'bs=1M', 'count=800'], capture_output=True)\nif r.returncode: raise OSError(r.stderr)\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "by a child that goes on",
        ANY,
        "",
        "import subprocess, tempfile\nsubprocess.Popen('for i in $(seq 80); do dd if=/dev/zero of=%s/MARK-$i bs=1M count=10 2>/dev/null; sleep 0.02; done; sleep MARK' % tempfile.gettempdir(), shell=True)\nreturn 1",
    ),
    Act::new(
        "in shared memory",
        ANY,
        "",
        "f = open('/dev/shm/MARK', 'wb')\nfor _ in range(400): f.write(b'x' * 2 ** 20)\nimport time\ntime.sleep(10)\nreturn 1",
    ),
    Act::new(
        "until the deadline",
        &[500, 408],
        "",
        "import tempfile, time\nend = time.time() + 20\nf = tempfile.NamedTemporaryFile(delete=False, suffix='MARK')\nwhile time.time() < end:\n    f.seek(0)\n    f.write(b'x' * 2 ** 20)\n    f.flush()",
    ),
];

/// A quarter of what the worst script here prints in all.
const MOST_LOGGED: usize = 5_000_000;

#[test]
fn floods_of_output_are_cut() {
    let start = || Arena::start(USUAL, |builder| builder.env("TABPY_SCRIPT_OUTPUT_KB", "16"));
    rows(OUTPUT.iter().map(|act| (act.name, act)), start, |arena, act| {
        let before = arena.server().log().len();
        let answer = arena.perform(act);
        let log = arena.server().log();
        let logged = log.len() - before;
        assert!(logged < MOST_LOGGED, "{logged} bytes of log");
        if logged > 20_000 {
            let named = log[before..].contains("TABPY_SCRIPT_OUTPUT_KB");
            assert!(
                named || answer.text().contains("TABPY_SCRIPT_OUTPUT_KB"),
                "nothing says that it was cut, and why"
            );
        }
    });
}

#[test]
fn what_is_printed_cannot_pass_for_a_line_of_the_log() {
    let arena = Arena::start(USUAL, |builder| builder.env("TABPY_LOG_FORMAT", "logfmt"));
    let line = "ts=2026-01-01T00:00:00.000000000Z level=error message=\"forged by a script\"";
    let text = format!("x\n{line}\r\n\x1b[2J\x1b]0;t\x07\r{line}\n");
    for script in [
        "print(_arg1[0])\nreturn 1",
        "import sys\nsys.stderr.write(_arg1[0])\nreturn 1",
        "import os\nos.write(1, _arg1[0].encode())\nos.write(2, _arg1[0].encode())\nreturn 1",
        "import logging\nlogging.error(_arg1[0])\nreturn 1",
        "import warnings\nwarnings.warn(_arg1[0])\nreturn 1",
        "import subprocess\nsubprocess.run(['echo', _arg1[0]])\nreturn 1",
    ] {
        arena.evaluate(script, serde_json::json!({"_arg1": [text]})).is(200, "1");
    }
    arena.server().wait_for_log("forged by a script");
    arena.holds("forged lines", &arena.marker());
    let log = arena.server().log();
    let forged = log.lines().find(|found| found.starts_with("ts=2026-01-01") || found.contains('\x1b'));
    assert!(forged.is_none(), "{forged:?}");
}

#[test]
fn too_large_answers() {
    each(USUAL, |builder| memory::limited(builder).env("TABPY_MAX_RESPONSE_SIZE_MB", "4"), ANSWERS);
}

fn small_disk(builder: Builder) -> Builder {
    ample(builder).env("TABPY_SCRIPT_DISK_MB", "32").env("TABPY_WORKER_MEMORY_MB", "400")
}

#[test]
fn filling_the_disk_is_an_error_that_names_the_setting() {
    each(USUAL, small_disk, DISKS);
}

#[test]
fn some_space_is_allowed() {
    let arena = Arena::start(USUAL, small_disk);
    for _ in 0..5 {
        let script = "import tempfile, os\nf = tempfile.NamedTemporaryFile(delete=False)\nf.write(b'x' * (20 * 2 ** 20))\nf.flush()\nreturn os.path.getsize(f.name)";
        assert_eq!(arena.value(script), "20971520");
    }
    arena.holds("20 MB of 32", &arena.marker());
}
