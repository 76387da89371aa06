//! What a script prints belongs in the log, with the request's id and within a bound; it never
//! touches the answer or the protocol, by whatever way it is written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Request, Server};

#[test]
fn printed_text_goes_to_the_log_with_the_requests_id() {
    let server = Server::builder().env("DYNO", "web.1").env("TABPY_HOST", "127.0.0.1").start().ready();
    let request =
        Request::evaluate("print('hello from the script', _arg1[0])\nreturn 2", &json!({"_arg1": [41]}))
            .header("X-Request-Id", "3f2a9c1e-6b1d-4e0a-9a57-0d6c2f1b7e11");
    server.send(&request).is(200, "2");
    let line = server.wait_for_log("hello from the script 41");
    assert!(line.contains("3f2a9c1e-6b1d-4e0a-9a57-0d6c2f1b7e11"), "{line}");
}

#[test]
fn two_scripts_lines_carry_two_ids() {
    let server = Server::start().ready();
    server.evaluate("print('first-marker')\nreturn 1", json!({})).is(200, "1");
    server.evaluate("print('second-marker')\nreturn 1", json!({})).is(200, "1");
    let ids: Vec<Vec<String>> = ["first-marker", "second-marker"]
        .map(|marker| server.wait_for_log(marker))
        .map(|line| identifiers(&line))
        .to_vec();
    assert!(!ids[0].is_empty() && !ids[1].is_empty(), "{}", server.log());
    assert!(ids[0].iter().all(|id| !ids[1].contains(id)), "{ids:?}");
}

#[test]
fn what_comes_after_an_answer_is_no_other_requests() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    // It is ended with the arguments, which are let go when the answer has left.
    let late = "def late():\n    try: yield\n    finally: print('late-MARKER' END)\n_arg1.append(late())\nnext(_arg1[-1])\n";
    for (rows, end, last) in [
        (3, "", "return 1"),
        (4, ", end=''", "return 1"),
        // That this has changed what it reads is found behind the answer, and the worker leaves.
        (5, "", "import os; os.dup2(os.open('/dev/zero', os.O_RDONLY), 0)\nreturn 1"),
    ] {
        let script = late.replace("MARKER", &rows.to_string()).replace(" END", end) + last;
        server.evaluate(&script, json!({"_arg1": vec![0; rows]})).is(200, "1");
        std::thread::sleep(std::time::Duration::from_millis(200));
        server.evaluate("return len(_arg1)", json!({"_arg1": [1, 2]})).is(200, "2");
        let line = server.wait_for_log(&format!("late-{rows}"));
        let own = server.wait_for_log(&format!("rows_in={rows} "));
        let ids = identifiers(&line);
        assert!(ids.is_empty() || ids == identifiers(&own), "{}", server.log());
    }
}

#[test]
fn who_wants_to_know_sees_what_a_script_printed_that_has_no_answer() {
    let hasty = Server::builder().env("TABPY_EVALUATE_TIMEOUT", "2").start().ready();
    let patient = Server::start().ready();
    for (script, status, wanted) in [
        ("print('row 1')\nprint('row', 2, end='')\nwhile True: pass", 408, "row 1\n"),
        ("print('row 1')\nimport sys\nprint('err', file=sys.stderr)\nwhile True: pass", 408, "row 1\nerr\n"),
        ("print('before')\nimport os\nos._exit(3)", 500, "before\n"),
        ("print('before')\nraise ValueError('x')", 500, "before\n"),
        ("import os\nos._exit(3)", 500, ""),
    ] {
        let server = if status == 408 { &hasty } else { &patient };
        let request = Request::evaluate(script, &json!({}));
        assert_eq!(server.send(&request).header("TabPy-Output"), None, "{script}");
        let answer = server.send(&request.header("TabPy-Details", "true"));
        assert_eq!(answer.status, status, "{script}");
        let printed = answer.header("TabPy-Output").map(|text| STANDARD.decode(text).unwrap());
        assert_eq!(String::from_utf8(printed.unwrap_or_default()).unwrap(), wanted, "{script}");
    }
}

/// The UUIDs in a log line.
fn identifiers(line: &str) -> Vec<String> {
    line.split(|letter: char| !letter.is_ascii_hexdigit() && letter != '-')
        .filter(|word| word.len() == 36 && word.matches('-').count() == 4)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_way_to_write_is_caught() {
    let server = Server::start().ready();
    let rows = [
        ("import sys\nsys.stdout.write('by-stdout\\n')\nreturn 1", "by-stdout"),
        ("import sys\nsys.stderr.write('by-stderr\\n')\nreturn 1", "by-stderr"),
        ("import sys\nsys.stdout.write('without-line-end')\nreturn 1", "without-line-end"),
        ("import sys\nsys.__stdout__.write('by-dunder\\n')\nsys.__stdout__.flush()\nreturn 1", "by-dunder"),
        ("import os\nos.write(1, b'by-descriptor-1\\n')\nreturn 1", "by-descriptor-1"),
        ("import os\nos.write(2, b'by-descriptor-2\\n')\nreturn 1", "by-descriptor-2"),
        (
            "import ctypes\nc = ctypes.CDLL(None)\nc.puts(b'by-c-library')\nc.fflush(None)\nreturn 1",
            "by-c-library",
        ),
        ("import subprocess\nsubprocess.run(['echo', 'by-subprocess'])\nreturn 1", "by-subprocess"),
        ("import os\nos.system('echo by-system >&2')\nreturn 1", "by-system"),
        ("import warnings\nwarnings.warn('by-warning')\nreturn 1", "by-warning"),
        ("import logging\nlogging.error('by-logging')\nreturn 1", "by-logging"),
        ("print('before-an-error')\nraise ValueError('x')", "before-an-error"),
        ("import os\nprint('before-death', flush=True)\nos._exit(3)", "before-death"),
    ];
    for (script, marker) in rows {
        let response = server.evaluate(script, json!({}));
        assert!(!response.text().contains(marker), "{}", response.text());
        if script.ends_with("return 1") {
            response.is(200, "1");
        }
        server.wait_for_log(marker);
        server.still_works();
    }
}

#[test]
fn a_script_may_log_more_than_warnings_and_the_next_one_does_not() {
    let server = Server::builder().env("TABPY_WORKERS", "1").env("TABPY_MAX_WORKERS", "1").start().ready();
    let log = "logging.debug('debug-PLACE')\nlogging.info('info-PLACE')\nlogging.warning('warning-PLACE')\nreturn 1";
    for (place, first) in [
        ("plain", ""),
        ("set", "logging.getLogger().setLevel(logging.INFO)"),
        ("after-set", ""),
        ("forced", "logging.basicConfig(level=logging.INFO, force=True)"),
        ("after-forced", ""),
    ] {
        let script = format!("import logging\n{first}\n{}", log.replace("PLACE", place));
        server.evaluate(&script, json!({})).is(200, "1");
        server.wait_for_log(&format!("WARNING:root:warning-{place}"));
        assert_eq!(server.log().contains(&format!("INFO:root:info-{place}")), !first.is_empty(), "{place}");
        assert!(!server.log().contains(&format!("debug-{place}")), "{place}");
    }
}

#[test]
fn output_is_bounded_and_the_log_says_so() {
    let server = Server::builder().env("TABPY_SCRIPT_OUTPUT_KB", "4").start().ready();
    for script in [
        "for i in range(100000):\n    print('flood-of-lines', i)\nreturn 1",
        "print('y' * 20_000_000)\nreturn 1",
        "import os\nfor i in range(2000):\n    os.write(1, b'z' * 9999 + b'\\n')\nreturn 1",
        "import subprocess\nsubprocess.run(['sh', '-c', 'yes flood-of-yes | head -c 20000000'])\nreturn 1",
    ] {
        let before = server.log().len();
        server.evaluate(script, json!({})).is(200, "1");
        server.wait_for_line("TABPY_SCRIPT_OUTPUT_KB", |line| line.contains("TABPY_SCRIPT_OUTPUT_KB"));
        // Twice the bound for what stands around each line, and the bench's own requests.
        let grown = server.log().len() - before;
        assert!(grown < 64 * 1024, "{grown} bytes of log for {script:?}");
        server.still_works();
    }
    // The bound is each request's own.
    server.evaluate("print('a later request')\nreturn 1", json!({})).is(200, "1");
    server.wait_for_log("a later request");
}

#[test]
fn binary_and_forged_output_does_no_harm() {
    let server = Server::start().ready();
    let script =
        "import os\nos.write(1, bytes(range(256)) * 20)\nos.write(2, b'\\x00\\xff\\xfe\\n')\nreturn 1";
    server.evaluate(script, json!({})).is(200, "1");
    // A printed line end or a terminal's escape makes no line that looks like the server's own.
    let script = "print('\\x1b[2J\\x1b[31mred-alert\\r\\nforged')\nreturn 1";
    server.evaluate(script, json!({})).is(200, "1");
    let line = server.wait_for_log("red-alert");
    assert!(!line.contains('\x1b'), "{line:?}");
    server.still_works();
}

#[test]
fn closing_or_replacing_the_streams_does_no_harm() {
    let server = Server::start().ready();
    for script in [
        "import sys\nsys.stdout.close()\nreturn 1",
        "import sys\nsys.stdout = None\nsys.stderr = None\nreturn 1",
        "import os\nos.close(0)\nos.close(1)\nos.close(2)\nreturn 1",
        "import sys\nreturn sys.stdin.read()",
        "import os\nreturn len(os.read(0, 10))",
    ] {
        server.evaluate(script, json!({}));
        server.still_works();
    }
    server.evaluate("print('still heard')\nreturn 1", json!({})).is(200, "1");
    server.wait_for_log("still heard");
}

#[test]
fn closing_every_descriptor_costs_only_that_call() {
    let server = Server::start().ready();
    for _ in 0..3 {
        let response = server.evaluate("import os\nos.closerange(0, 4096)\nreturn 1", json!({}));
        response.error(500);
        server.still_works();
    }
}
