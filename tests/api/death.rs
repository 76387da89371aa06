//! Scripts that end, kill or confuse their worker: that call gets a clean 500, the server and the
//! next call notice nothing.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{PATIENCE, Request, Server, processes, wait_for};

#[test]
fn exceptions_that_end_programs_are_ordinary_errors() {
    let server = Server::start().ready();
    let rows = [
        ("import sys\nsys.exit(3)", "SystemExit : 3"),
        ("import sys\nsys.exit('goodbye')", "SystemExit : goodbye"),
        ("raise SystemExit", "SystemExit : "),
        ("raise KeyboardInterrupt", "KeyboardInterrupt : "),
        ("raise GeneratorExit", "GeneratorExit : "),
        ("raise StopIteration", "StopIteration : "),
        ("raise StopIteration(5)", "StopIteration : 5"),
        ("raise StopAsyncIteration", "StopAsyncIteration : "),
        ("raise BaseException('base')", "BaseException : base"),
        ("class Own(BaseException): pass\nraise Own('mine')", "Own : mine"),
        ("return bytearray(10 ** 15)", "MemoryError : "),
        ("raise MemoryError", "MemoryError : "),
        ("import _thread\n_thread.interrupt_main()\nfor _ in range(10 ** 7): pass", "KeyboardInterrupt : "),
    ];
    for (script, text) in rows {
        let response = server.evaluate(script, json!({}));
        if script.contains("interrupt_main") && response.status == 200 {
            continue; // Without Python's signal handlers there is nobody to interrupt.
        }
        let info = response.info(500, "Error processing script");
        assert!(info.starts_with(text), "{script:?}: {info}");
        server.still_works();
    }
}

#[test]
fn a_worker_that_dies_costs_its_own_call_alone() {
    let server = Server::start().ready();
    for script in [
        "import os\nos._exit(0)",
        "import os\nos._exit(7)",
        "import os\nos.abort()",
        "import ctypes\nctypes.string_at(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import resource, signal, os\nos.kill(os.getpid(), signal.SIGALRM)",
        "import threading, os\nt = threading.Thread(target=os._exit, args=(1,))\nt.start()\nt.join()\nwhile True: pass",
        "import sys\nsys.setrecursionlimit(10 ** 9)\nclass A:\n    def __getattr__(self, n): return getattr(self, n)\nreturn A().x",
    ] {
        let (message, info) = server.evaluate(script, json!({})).error(500);
        assert!(message.starts_with("Error processing script"), "{message} {info}");
        assert!(info.is_string(), "nothing says that the worker ended: {message} {info}");
        server.still_works();
    }
    assert_eq!(processes::unreaped(server.pid()), 0);
}

#[test]
fn what_a_script_has_started_ends_with_a_worker_that_was_started_plainly() {
    let server = Server::builder().without_forking().start().ready();
    let script = "import os, subprocess\nsubprocess.Popen(['sleep', '93517.25'])\nos._exit(3)";
    let (_, info) = server.evaluate(script, json!({})).error(500);
    assert_eq!(info, "The script ended its Python process (exit code 3).");
    let gone = wait_for(PATIENCE, || processes::with_argument("93517.25").is_empty().then_some(()));
    assert!(gone.is_some(), "it has survived");
    server.still_works();
}

#[test]
fn many_deaths_at_once_are_survived() {
    let server = Server::start().ready();
    for _ in 0..3 {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let response = server.evaluate("import os\nos._exit(1)", json!({}));
                    assert!([500, 503].contains(&response.status), "{response:?}");
                    response.error(response.status);
                });
            }
        });
        server.still_works();
    }
}

#[test]
fn a_worker_killed_from_outside_is_replaced() {
    let server = Server::start().ready();
    let worker: u32 = server.value("import os\nreturn os.getpid()").parse().unwrap();
    processes::Process::of(worker).unwrap().kill();
    let noticed = wait_for(PATIENCE, || processes::Process::of(worker).is_none().then_some(()));
    assert!(noticed.is_some(), "nobody reaped the worker");
    for _ in 0..10 {
        server.still_works();
    }
    let all = server.processes();
    all.iter().for_each(|process| process.kill());
    let works = wait_for(PATIENCE, || {
        let answer = server.evaluate("return 1", json!({}));
        (answer.status == 200).then_some(())
    });
    assert!(works.is_some(), "after all workers were killed; log:\n{}", server.log());
    server.still_works();
}

#[test]
fn a_script_that_forks_gives_one_answer() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    let mut connection = server.connect();
    for round in 0..10 {
        let script = "import os\nos.fork()\nreturn 'forked'";
        let answer = connection.send(&Request::evaluate(script, &json!({})));
        assert!([200, 500].contains(&answer.status), "{answer:?}");
        for number in 0..5 {
            let value = round * 10 + number;
            let answer = connection.send(&Request::evaluate("return _arg1", &json!({"_arg1": [value]})));
            answer.is(200, &format!("[{value}]"));
        }
    }
    server.still_works();
}

#[test]
fn writing_to_foreign_descriptors_never_gives_a_wrong_answer() {
    let server = Server::builder().env("TABPY_EVALUATE_TIMEOUT", "3").start().ready();
    let mut connection = server.connect();
    for junk in ["b'\\x00' * 64", "b'\\xff' * 64", "b'{\"forged\": true}' * 8", "bytes(range(256)) * 400"] {
        let script = format!(
            "import os\nfor d in range(3, 256):\n    try:\n        os.set_blocking(d, False)\n        os.write(d, {junk})\n    except OSError:\n        pass\nreturn 'written'"
        );
        let answer = connection.send(&Request::evaluate(&script, &json!({})));
        match answer.status {
            200 => answer.is(200, "\"written\""),
            status => {
                answer.error(status);
            }
        }
        for value in 0..5 {
            let answer = connection.send(&Request::evaluate("return _arg1", &json!({"_arg1": [value]})));
            answer.is(200, &format!("[{value}]"));
        }
        server.still_works();
    }
}

#[test]
fn threads_left_behind_do_not_answer_for_others() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    let script = "import threading, time\ndef later():\n    time.sleep(0.2)\n    raise SystemExit(5)\n\
                  threading.Thread(target=later).start()\nreturn 'left'";
    for value in 0..10 {
        server.evaluate(script, json!({})).is(200, "\"left\"");
        server.evaluate("return _arg1", json!({"_arg1": [value]})).is(200, &format!("[{value}]"));
    }
    thread::sleep(std::time::Duration::from_millis(500));
    server.still_works();
}

/// Whatever ends a worker that is idle, its next request does not pay for it: it was never read.
#[test]
fn a_request_that_a_killed_worker_never_read_goes_to_another_one() {
    let server = Server::builder().env("TABPY_WORKERS", 1).env("TABPY_MAX_WORKERS", 1).start().ready();
    let mut connection = server.connect();
    let request = Request::evaluate("import os\nreturn os.getpid()", &json!({}));
    for _ in 0..20 {
        let pid: i32 = connection.send(&request).text().parse().unwrap();
        // It has answered; a moment later it waits for its next request.
        thread::sleep(Duration::from_millis(20));
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let answer = connection.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}
