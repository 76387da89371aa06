//! Signals, tracing and limits: a script reaches no process that it has not started itself.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde_json::json;

use crate::held::{Held, fork_server, is_refused, start};
use crate::support::Server;

const CALL: &str = "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\ndef check(result):\n    if result < 0:\n        raise OSError(ctypes.get_errno(), 'refused')\n";

fn servers() -> impl Iterator<Item = (Server, Held)> {
    [Server::builder(), Server::builder().on_an_older_kernel()].into_iter().map(start)
}

#[test]
fn signals_reach_neither_the_server_nor_the_fork_server() {
    for (server, held) in servers() {
        assert!(held.seccomp || held.landlock >= 6, "nothing holds signals back here");
        for process in [server.pid(), fork_server(&server).pid] {
            for send in [
                format!("os.kill({process}, 9)"),
                format!("os.kill({process}, 0)"),
                format!("check(c.tgkill({process}, {process}, 9))"),
                format!("check(c.syscall(200 if os.uname().machine == 'x86_64' else 130, {process}, 9))"),
                format!("import signal\nsignal.pidfd_send_signal(os.pidfd_open({process}), 9)"),
                format!(
                    "import signal\nsignal.pidfd_send_signal(os.open('/proc/{process}', os.O_RDONLY), 9)"
                ),
            ] {
                is_refused(&server, &format!("{CALL}{send}"));
            }
        }
        // A group, everybody, and by way of a file's owner.
        let group = format!("import os\nos.killpg(os.getpgid({}), 9)", server.pid());
        is_refused(&server, &group);
        let before = fork_server(&server);
        server.evaluate("import os\nos.kill(-1, 9)", json!({}));
        let owner = format!(
            "import fcntl, os, socket\na, b = socket.socketpair()\nfcntl.fcntl(a, fcntl.F_SETOWN, {})\nfcntl.fcntl(a, 10, 9)\nfcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)\nb.send(b'x')\nreturn 1",
            server.pid()
        );
        server.evaluate(&owner, json!({}));
        server.still_works();
        assert_eq!(fork_server(&server), before);
    }
}

#[test]
fn a_worker_cannot_end_another_one() {
    let (server, held) = start(Server::builder());
    if held.landlock < 6 {
        return;
    }
    let workers = server.processes();
    let kill_all = format!(
        "import os\nkilled = []\nfor pid in {:?}:\n    if pid != os.getpid():\n        try:\n            os.kill(pid, 9)\n            killed.append(pid)\n        except OSError:\n            pass\nreturn killed",
        workers.iter().map(|process| process.pid).collect::<Vec<_>>()
    );
    assert_eq!(server.value(&kill_all), "[]");
}

#[test]
fn nobody_is_traced_limited_or_slowed_down() {
    for (server, held) in servers() {
        if !held.seccomp {
            return;
        }
        for process in [server.pid(), fork_server(&server).pid] {
            for act in [
                format!("check(c.ptrace(16, {process}, 0, 0))"),
                format!("check(c.process_vm_readv({process}, 0, 0, 0, 0, 0))"),
                format!("import resource\nresource.prlimit({process}, resource.RLIMIT_NOFILE, (1, 1))"),
                format!("os.sched_setaffinity({process}, {{0}})"),
                format!("os.setpriority(os.PRIO_PROCESS, {process}, 19)"),
                "os.setpriority(os.PRIO_USER, 0, 19)".to_owned(),
                format!("os.sched_setscheduler({process}, os.SCHED_IDLE, os.sched_param(0))"),
            ] {
                is_refused(&server, &format!("{CALL}{act}"));
            }
        }
        server.still_works();
    }
}

#[test]
fn nothing_is_regained() {
    for (server, held) in servers() {
        let status = server.value("return open('/proc/self/status').read()");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\\t0000000000000000")), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\\t1"), "{status}");
        let child =
            "import subprocess\nreturn subprocess.check_output(['cat', '/proc/self/status'], text=True)";
        assert!(server.value(child).contains("CapEff:\\t0000000000000000"));
        if held.seccomp {
            for act in [
                "check(c.unshare(0x10000000))",
                "check(c.mount(None, b'/', None, 0x44000, None))",
                "check(c.chroot(b'.'))",
                "check(c.setns(0, 0))",
                // The parent's end would no longer be the worker's.
                "check(c.prctl(1, 0, 0, 0, 0))",
            ] {
                is_refused(&server, &format!("{CALL}{act}"));
            }
        }
    }
}

#[test]
fn abstract_sockets_of_others_are_closed() {
    let (server, held) = start(Server::builder());
    let name = format!("tabpy-rs-test-{}", server.pid());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    if held.landlock >= 6 {
        is_refused(&server, &format!("import socket\nsocket.socket(socket.AF_UNIX).connect('\\0{name}')"));
    }
    let own = "import socket\na = socket.socket(socket.AF_UNIX)\na.bind('\\0tabpy-own-' + str(id(a)))\na.listen()\nsocket.socket(socket.AF_UNIX).connect(a.getsockname())\nreturn 1";
    assert_eq!(server.value(own), "1");
}

#[test]
fn a_worker_that_was_started_plainly_is_confined_too() {
    let (server, held) = start(Server::builder().state_ini("[Service Info]\nName = x\n").without_forking());
    server.wait_for_log("starting a worker plainly");
    is_refused(&server, &format!("{CALL}os.kill({}, 9)", server.pid()));
    is_refused(&server, &format!("return open('/proc/{}/environ').read()", server.pid()));
    if held.landlock > 0 {
        is_refused(&server, &format!("return open('{}').read()", server.path("state/state.ini").display()));
    }
    let status = server.value("return open('/proc/self/status').read()");
    assert!(status.contains("CapEff:\\t0000000000000000") && status.contains("Threads:\\t1"), "{status}");
    assert_eq!(server.value("import os\nreturn os.environ['HOME'] == os.getcwd()"), "true");
}
