//! Scripts that were quick and are not any more. Those beside them wait no longer than they would in a line
//! of their own, and each has its time and its words.

use std::time::{Duration, Instant};

use crate::crowd::{
    ADD, COUNT, ENDLESS, asks, busy, figure, read, taught, teach, together, waiting, workers,
};
use crate::support::{Request, Response};

/// Why a request is over that had no worker, which is nobody's fault where all are kept.
fn judge_late(answer: &Response) {
    answer.is(408, r#"{"message": "User defined script timed out. Timeout is set to 4.0 s.", "info": {}}"#);
}

#[test]
fn those_beside_an_endless_one_are_answered_by_another_worker() {
    let server = workers(2).env("TABPY_EVALUATE_TIMEOUT", "4").start().ready();
    for endless in [
        COUNT,
        "return sum(range(int(_arg1[0])))",
        "return max(iter(lambda: 1, 1 if _arg1[0] == 1 else 0), default=1)",
        "try:\n    while _arg1[0] > 1: pass\nexcept:\n    pass\nwhile _arg1[0] > 1:\n    try: 1 / 0\n    except: pass\nreturn 1",
    ] {
        for script in [ADD, endless] {
            teach(&server, &asks(script, 1));
        }
        let mut sleepers = [busy(&server), busy(&server)];
        let requests = [asks(ADD, 1), asks(endless, ENDLESS), asks(ADD, 2), asks(ADD, 3), asks(ADD, 4)];
        let asked = Instant::now();
        let mut all = waiting(&server, &requests);
        let mut behind = all.split_off(2);
        for (value, answer) in (3..).zip(read(&mut behind)) {
            answer.is(200, &format!("[{value}]"));
        }
        assert!(asked.elapsed() < Duration::from_secs(3), "they waited {:?}", asked.elapsed());
        all.remove(0).read().unwrap().is(200, "[2]");
        if endless == COUNT {
            judge_late(&all.remove(0).read().unwrap());
        }
        read(&mut sleepers).iter().for_each(|answer| answer.is(200, "\"slept\""));
    }
    server.still_works();
}

#[test]
fn an_endless_one_with_one_worker_leaves_it_to_others_at_its_deadline() {
    let server = taught(workers(1).env("TABPY_EVALUATE_TIMEOUT", "1"));
    let answers = together(&server, &[asks(ADD, 1), asks(COUNT, ENDLESS), asks(ADD, 2)]);
    answers[0].is(200, "[2]");
    answers[1]
        .is(408, r#"{"message": "User defined script timed out. Timeout is set to 1.0 s.", "info": {}}"#);
    // It came later than the endless one, by a millisecond.
    assert!([200, 408, 503].contains(&answers[2].status), "{:?}", answers[2]);
    server.still_works();
    assert!(figure(&server, "tabpy_workers_ended_total{reason=\"stopped\"}") <= 2.0);
    assert_eq!(figure(&server, "tabpy_queue_length"), 0.0);
}

/// Texts that a compiler has no easy time with, under a name that is known.
#[test]
fn what_is_hard_to_compile_is_its_own_clients_error() {
    let server = workers(1).start().ready();
    let hard = [
        "(".repeat(1500),
        "-".repeat(1500) + "1",
        "return ".to_owned() + &"[".repeat(190) + &"]".repeat(190),
        "return ".to_owned() + &"not ".repeat(400) + "1",
        "return ".to_owned() + &"lambda:".repeat(200) + "1",
        "return 1".to_owned() + &"+1".repeat(700),
        "return f'".to_owned() + &"{f\"".repeat(60),
        "x".to_owned() + &".x".repeat(700),
        "return 9**9**9 if 0 else 1".to_owned(),
        "return 'a' * 10 ** 4 * 0".to_owned(),
        "if 1:\n".repeat(99),
        "\0".to_owned(),
        "\u{feff}return 1".to_owned(),
        "# -*- coding: rot13 -*-\nerghea 1".to_owned(),
    ];
    for script in hard {
        let alone = server.evaluate(&script, serde_json::json!({"_arg1": [1]}));
        teach(&server, &asks(ADD, 1));
        let [shown, meant] = [ADD, script.as_str()].map(serde_json::Value::from);
        let body = format!(r#"{{"script": {shown}, "script": {meant}, "data": {{"_arg1": [1]}}}}"#);
        let hidden = Request::post("/evaluate", body.into_bytes());
        let answers = together(&server, &[asks(ADD, 1), hidden.clone(), asks(ADD, 2), hidden, asks(ADD, 3)]);
        for (place, wanted) in [(0, "[2]"), (2, "[3]"), (4, "[4]")] {
            answers[place].is(200, wanted);
        }
        for place in [1, 3] {
            assert_eq!((answers[place].status, answers[place].text()), (alone.status, alone.text()));
        }
    }
}
