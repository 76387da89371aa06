//! What may reach other clients' requests runs alone, though the front believes it to be light.

use serde_json::Value;

use crate::beyond::BEYOND;
use crate::crowd::{ADD, asks, teach, together, without_addresses, workers};
use crate::support::{Request, Response};

/// Words of scripts whose answers tell of their process, and differ from one to the next.
const VARIES: [&str; 5] = ["getpid", "id(", "hash(", "get_objects", "sys.modules"];

/// The front sees the first script, Python the last.
fn disguised(script: &str) -> Request {
    let [shown, meant] = [ADD, script].map(Value::from);
    Request::post(
        "/evaluate",
        format!(r#"{{"script": {shown}, "script": {meant}, "data": {{"_arg1": [1]}}}}"#),
    )
}

/// The answer without what differs from run to run: addresses, numbers of processes.
fn gist(answer: &Response) -> (u16, usize) {
    (answer.status, if answer.status == 200 { 0 } else { answer.text().matches("Error").count() })
}

#[test]
fn whatever_reaches_beyond_gets_its_own_answer_beside_others() {
    let server = workers(1).start().ready();
    let known = asks(ADD, 1);
    for scripts in BEYOND.chunks(5) {
        let alone: Vec<[Response; 2]> = scripts
            .iter()
            .map(|script| [(); 2].map(|()| server.evaluate(script, serde_json::json!({"_arg1": [1]}))))
            .collect();
        teach(&server, &known);
        let mut requests: Vec<Request> = scripts.iter().map(|script| disguised(script)).collect();
        requests.insert(scripts.len() / 2, asks(ADD, 41));
        requests.insert(0, asks(ADD, 42));
        requests.push(asks(ADD, 43));
        let mut answers = together(&server, &requests);
        answers.pop().unwrap().is(200, "[44]");
        answers.remove(0).is(200, "[43]");
        answers.remove(scripts.len() / 2).is(200, "[42]");
        for ((script, [first, second]), found) in scripts.iter().zip(alone).zip(answers) {
            assert_eq!(gist(&found), gist(&first), "{script:?}: {} {}", found.text(), first.text());
            if first.body == second.body && !VARIES.iter().any(|word| script.contains(word)) {
                assert_eq!(without_addresses(&found.text()), without_addresses(&first.text()), "{script:?}");
            }
        }
    }
}
