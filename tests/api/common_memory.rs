//! Large bodies come to a worker in memory that the front fills: each is what its client sent and nothing else, the
//! memory is given back, and no script can write to it.

use serde_json::{Value, json};

use crate::support::{PATIENCE, Request, Server, wait_for};

/// Several megabytes of numbers that any parser reads exactly.
fn columns(rows: usize, first: f64) -> Vec<f64> {
    (0..rows).map(|row| row as f64 * 1_000_003.5 + first).collect()
}

/// A server of so many workers, and never more.
fn workers(count: u32) -> Server {
    Server::builder().env("TABPY_WORKERS", count).env("TABPY_MAX_WORKERS", count).start().ready()
}

/// Kilobytes of shared memory that a process has before it.
fn shared(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssShmem:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn each_body_is_what_was_sent_whatever_was_there_before() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    for (rows, first) in [(500_000, 7.0), (200_000, 3.0), (450_000, 11.0), (210_000, 13.0), (510_000, 17.0)] {
        let values = columns(rows, first);
        let request = Request::evaluate("return _arg1", &json!({"_arg1": values}));
        for time in 0..2 {
            let answer: Vec<f64> = serde_json::from_slice(&connection.send(&request).body).unwrap();
            assert!(answer == values, "{rows} rows, time {time}: {} came back", answer.len());
        }
    }
    assert!(shared(server.pid()) > 4 << 10, "the bodies did not come that way: {}", shared(server.pid()));
}

#[test]
fn bodies_of_several_clients_are_not_mixed() {
    let server = Server::builder().env("TABPY_WORKERS", 3).start().ready();
    four_clients(&server, 200_000, 10_000, 6);
}

#[test]
fn clients_that_wait_for_the_only_worker_get_their_own_answers() {
    four_clients(&workers(1), 170_000, 20_000, 5);
}

/// Each sends its own body, longer than the one's before by `more` rows, so many times.
fn four_clients(server: &Server, rows: usize, more: usize, times: usize) {
    std::thread::scope(|scope| {
        for client in 1..=4_u32 {
            scope.spawn(move || {
                let values = columns(rows + more * client as usize, f64::from(client));
                let request = Request::evaluate("return _arg1", &json!({"_arg1": values}));
                let mut connection = server.connect();
                for _ in 0..times {
                    let answer: Vec<f64> = serde_json::from_slice(&connection.send(&request).body).unwrap();
                    assert!(answer == values, "client {client}");
                }
            });
        }
    });
}

#[test]
fn a_single_worker_reads_whole_bodies_there() {
    let server = workers(1);
    let values = columns(400_000, 7.0);
    let request = Request::evaluate("return _arg1", &json!({"_arg1": values}));
    for _ in 0..2 {
        let answer: Vec<f64> = serde_json::from_slice(&server.send(&request).body).unwrap();
        assert!(answer == values);
    }
    assert!(shared(server.pid()) > 4 << 10, "the bodies went another way: {}", shared(server.pid()));
}

#[test]
fn answers_of_any_length_come_whole_where_the_body_was() {
    let server = Server::start().ready();
    let mut connection = server.connect();
    let values = columns(250_000, 7.0);
    for (script, length) in [
        ("return _arg1", 250_000),
        ("return _arg1[:40000]", 40_000),
        ("return _arg1 * 3", 750_000),
        ("return _arg1[:1]", 1),
        ("return _arg1[:249999] + [5]", 250_000),
    ] {
        let request = Request::evaluate(script, &json!({"_arg1": values}));
        let answer: Vec<f64> = serde_json::from_slice(&connection.send(&request).body).unwrap();
        let mut expected: Vec<f64> = values.iter().cycle().take(length).copied().collect();
        if script.ends_with("[5]") {
            expected[length - 1] = 5.0;
        }
        assert!(answer == expected, "{script}: {} came back", answer.len());
        // What had come of the answer does not count.
        let broken = Request::evaluate("return _arg1 + [object()]", &json!({"_arg1": values}));
        let info = connection.send(&broken).info(500, "Error processing script");
        assert!(info.contains("object"), "{info}");
    }
}

#[test]
fn an_answer_that_its_client_has_yet_to_read_stays_what_it_is() {
    let server = workers(1);
    // More than the sockets between take.
    let values = columns(900_000, 7.0);
    let mut slow = server.connect();
    let host = slow.host().to_owned();
    slow.write(&Request::evaluate("return _arg1", &json!({"_arg1": values})).bytes(&host)).unwrap();
    let head = slow.read_head().unwrap();
    assert_eq!(head.status, 200);
    for (rows, first) in [(300_000, 3.0), (1_000, 5.0), (950_000, 9.0)] {
        let others = columns(rows, first);
        let request = Request::evaluate("return _arg1", &json!({"_arg1": others}));
        let answer: Vec<f64> = serde_json::from_slice(&server.send(&request).body).unwrap();
        assert!(answer == others, "{rows} rows");
    }
    let answer: Vec<f64> = serde_json::from_slice(&slow.read_rest(head).unwrap().body).unwrap();
    assert!(answer == values, "{} came back", answer.len());
}

#[test]
fn the_memory_is_given_back_when_nothing_large_comes_any_more() {
    let server = Server::start().ready();
    let large = Request::evaluate("return len(_arg1)", &json!({"_arg1": columns(400_000, 7.0)}));
    server.send(&large).is(200, "400000");
    assert!(shared(server.pid()) > 4 << 10);
    let processes = || server.processes().into_iter().map(|process| process.pid).chain([server.pid()]);
    let given_back = || processes().all(|pid| shared(pid) < 100).then_some(());
    let left: Vec<_> = processes().map(shared).collect();
    assert!(wait_for(PATIENCE, given_back).is_some(), "{left:?}");
    server.send(&large).is(200, "400000");
}

#[test]
fn memory_that_cannot_be_given_back_ends_with_its_worker() {
    let server = Server::builder().without_fallocate().start().ready();
    let large = Request::evaluate("return len(_arg1)", &json!({"_arg1": columns(400_000, 7.0)}));
    server.send(&large).is(200, "400000");
    assert!(shared(server.pid()) > 4 << 10);
    let given_back = || (shared(server.pid()) < 100).then_some(());
    assert!(wait_for(PATIENCE, given_back).is_some(), "{}", shared(server.pid()));
    server.send(&large).is(200, "400000");
}

#[test]
fn without_such_memory_bodies_come_over_the_wire() {
    // No file may be longer than a megabyte, and memory that two processes have is one.
    let server = Server::builder().under(&["prlimit", "--fsize=1048576"]).start().ready();
    let values = columns(300_000, 7.0);
    let request = Request::evaluate("return _arg1", &json!({"_arg1": values}));
    for _ in 0..3 {
        let answer: Vec<f64> = serde_json::from_slice(&server.send(&request).body).unwrap();
        assert!(answer == values);
    }
    assert_eq!(shared(server.pid()), 0);
}

#[test]
fn a_body_that_takes_too_much_memory_ends_one_worker_for_that() {
    let server = Server::builder().env("TABPY_WORKER_MEMORY_MB", 128).start().ready();
    let body = format!(r#"{{"data": {{"_arg1": [{}[]]}}, "script": "return 1"}}"#, "[],".repeat(8_000_000));
    let info = server.post("/evaluate", body).info(500, "Error processing script");
    assert!(info.contains("TABPY_WORKER_MEMORY_MB"), "{info}");
    let metrics = server.get("/metrics").text();
    let ended = |reason: &str| {
        let name = format!("tabpy_workers_ended_total{{reason=\"{reason}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u32>().ok())
    };
    assert_eq!(["limited", "died", "idle", "stopped"].map(ended), [Some(1), Some(0), Some(0), Some(0)]);
    server.still_works();
}

#[test]
fn no_script_can_write_where_its_body_came() {
    let server = Server::start().ready();
    let script = "
import ctypes, os
maps = [line.split() for line in open('/proc/self/maps') if 'tabpy-body' in line]
libc = ctypes.CDLL(None, use_errno=True)
tried = []
for line in maps:
    start, end = (int(number, 16) for number in line[0].split('-'))
    refused = libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 3) != 0
    tried.append([line[1], refused])
links = [os.readlink('/proc/self/fd/' + number) for number in os.listdir('/proc/self/fd') if number != '64' and os.path.lexists('/proc/self/fd/' + number)]
return [tried, [link for link in links if 'tabpy-body' in link]]";
    let answer = server.evaluate(script, json!({"_arg1": columns(300_000, 7.0)})).json();
    assert_eq!(answer, json!([[["r--s", true]], Value::Array(Vec::new())]));
}

#[test]
fn a_worker_that_leaves_before_it_has_read_a_body_costs_it_nothing() {
    let values = columns(250_000, 0.25);
    let large = Request::evaluate("return _arg1", &json!({"_arg1": values}));
    // It has answered by then, and ends because all these files take too long to remove.
    let leaving = "for name in range(20000): open(str(name), 'w').close()\nreturn len(_arg1)";
    let leaving = Request::evaluate(leaving, &json!({"_arg1": values}));
    // The body comes to the only worker when it is whole, and to one of several while it comes.
    for count in [1, 2] {
        let server = workers(count);
        let mut connection = server.connect();
        for time in 0..3 {
            connection.send(&leaving).is(200, "250000");
            let answer: Vec<f64> = serde_json::from_slice(&connection.send(&large).body).unwrap();
            assert!(answer == values, "{count} workers, time {time}: {} came back", answer.len());
        }
        let metrics = server.get("/metrics").text();
        assert!(metrics.contains("tabpy_workers_ended_total{reason=\"died\"} 0\n"), "{metrics}");
    }
}
