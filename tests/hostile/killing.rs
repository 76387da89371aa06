//! Scripts that kill: their parent, the fork server, their session, every process they may signal.
//! All in a PID namespace of the test's own, whose first process no signal from within can end, so
//! that nothing outside is ever reached; where there is none, these tests are skipped.

use crate::arena::{Act, Arena, USUAL, rows};

const ANY: &[u16] = &[200, 500, 408];

pub const ACTS: &[Act] = &[
    Act::new("its parent", ANY, "", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nreturn 1"),
    Act::new(
        "its parents, one after the other",
        ANY,
        "",
        "import os, signal, time\nfor _ in range(20):\n    if os.getppid() > 1: os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(0.05)\nreturn 1",
    ),
    Act::new(
        "its parent, kindly",
        ANY,
        "",
        "import os, signal\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD, signal.SIGPIPE, signal.SIGALRM):\n    try: os.kill(os.getppid(), s)\n    except OSError: pass\nreturn 1",
    ),
    Act::new(
        "its parent's parents",
        ANY,
        "",
        "import os, signal\np = os.getppid()\nwhile p > 1:\n    n = int(open('/proc/%d/stat' % p).read().rsplit(')', 1)[1].split()[1])\n    try: os.kill(p, signal.SIGKILL)\n    except OSError: pass\n    p = n\nreturn 1",
    ),
    Act::new(
        "its parent stopped",
        ANY,
        "",
        "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nreturn 1",
    ),
    Act::new(
        "every process one by one",
        ANY,
        "",
        "import os, signal\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) not in (1, os.getpid()):\n        try: os.kill(int(p), signal.SIGKILL)\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "every number",
        ANY,
        "",
        "import os, signal\nfor p in range(2, 3000):\n    if p != os.getpid():\n        try: os.kill(p, signal.SIGKILL)\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "every process stopped",
        ANY,
        "",
        "import os, signal\nfor p in range(2, 3000):\n    if p != os.getpid():\n        try: os.kill(p, signal.SIGSTOP)\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "every process told to end",
        ANY,
        "",
        "import os, signal\nfor p in range(2, 3000):\n    if p != os.getpid():\n        try: os.kill(p, signal.SIGTERM)\n        except OSError: pass\nreturn 1",
    ),
    Act::new("kill -9 -1", ANY, "", "import os, signal\nos.kill(-1, signal.SIGKILL)\nreturn 1"),
    Act::new("kill -STOP -1", ANY, "", "import os, signal\nos.kill(-1, signal.SIGSTOP)\nreturn 1"),
    Act::new("its process group", ANY, "", "import os, signal\nos.kill(0, signal.SIGKILL)\nreturn 1"),
    Act::new(
        "its parent's process group",
        ANY,
        "",
        "import os, signal\ng = os.getpgid(os.getppid())\nif g > 1: os.killpg(g, signal.SIGKILL)\nreturn 1",
    ),
    Act::new(
        "its session",
        ANY,
        "",
        "import os, signal\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) > 1:\n        try:\n            if os.getsid(int(p)) in (os.getsid(0), os.getsid(os.getppid())) and int(p) != os.getpid(): os.kill(int(p), signal.SIGKILL)\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "from a detached child",
        ANY,
        "",
        "import os, signal\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for p in range(2, 3000):\n            if p != os.getpid():\n                try: os.kill(p, signal.SIGKILL)\n                except OSError: pass\n    os._exit(0)\nreturn 1",
    ),
    Act::new(
        "by pidfd",
        ANY,
        "",
        "import os, signal\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) not in (1, os.getpid()):\n        try: signal.pidfd_send_signal(os.pidfd_open(int(p)), signal.SIGKILL)\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "by a thread's number",
        ANY,
        "",
        "import ctypes, os\nc = ctypes.CDLL(None)\nfor p in range(2, 3000):\n    if p != os.getpid():\n        c.syscall(200, p, 9)\n        c.syscall(234, p, p, 9)\nreturn 1",
    ),
    Act::new(
        "by SIGIO",
        ANY,
        "",
        "import fcntl, os, signal\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETSIG if hasattr(fcntl, 'F_SETSIG') else 10, signal.SIGKILL)\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())\nfcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\nos.write(w, b'x')\nreturn 1",
    ),
    Act::new(
        "by limits",
        ANY,
        "",
        "import os, resource\nfor p in range(2, 3000):\n    if p != os.getpid():\n        for r, v in ((resource.RLIMIT_CPU, 1), (resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_AS, 4096), (resource.RLIMIT_NPROC, 0)):\n            try: resource.prlimit(p, r, (v, v))\n            except (OSError, ValueError): pass\nreturn 1",
    ),
    Act::new(
        "by tracing",
        ANY,
        "",
        "import ctypes, os\nc = ctypes.CDLL(None)\nfor p in range(2, 3000):\n    if p != os.getpid(): c.ptrace(16, p, 0, 0)\nos._exit(0)",
    ),
    Act::new(
        "by writing to memory",
        ANY,
        "",
        "import os\nfor p in os.listdir('/proc'):\n    if p.isdigit() and int(p) not in (1, os.getpid()):\n        try:\n            a = int(open('/proc/%s/maps' % p).read(12), 16)\n            with open('/proc/%s/mem' % p, 'r+b', 0) as m:\n                m.seek(a)\n                m.write(b'\\xcc' * 4096)\n        except (OSError, ValueError): pass\nreturn 1",
    ),
    Act::new(
        "by the out-of-memory killer's score",
        ANY,
        "",
        "import os\nfor p in os.listdir('/proc'):\n    if p.isdigit():\n        try: open('/proc/%s/oom_score_adj' % p, 'w').write('1000')\n        except OSError: pass\nreturn 1",
    ),
    Act::new(
        "by priority",
        ANY,
        "",
        "import os\nfor p in range(2, 3000):\n    if p != os.getpid():\n        try: os.setpriority(os.PRIO_PROCESS, p, 19)\n        except OSError: pass\n        try: os.sched_setscheduler(p, os.SCHED_IDLE, os.sched_param(0))\n        except OSError: pass\nreturn 1",
    ),
];

#[test]
fn killing_what_can_be_reached() {
    if Arena::walled(USUAL, |builder| builder).is_none() {
        return;
    }
    let start = || Arena::walled(USUAL, |builder| builder).unwrap();
    rows(ACTS.iter().map(|act| (act.name, act)), start, |arena, act| {
        let front = arena.front();
        let state =
            |field: &str| std::fs::read_to_string(format!("/proc/{front}/{field}")).unwrap_or_default();
        let limits = state("limits");
        let adjusted = state("oom_score_adj");
        let nice =
            || state("stat").rsplit(')').next().and_then(|rest| rest.split(' ').nth(17)?.parse::<i32>().ok());
        let priority = nice();
        arena.perform(act);
        assert_eq!(state("limits"), limits, "the server's limits are changed");
        assert_eq!(state("oom_score_adj"), adjusted, "the server's out-of-memory score is changed");
        assert_eq!(nice(), priority, "the server's priority is changed");
    });
}
