//! Each client gets its own answer, to the byte, whatever those beside it asked for.

use std::thread;

use serde_json::{Value, json};

use crate::crowd::{ADD, asks, sent, teach, together, without_addresses, workers};
use crate::support::{Request, Response, Server};

/// Light scripts with what each makes of its data: values, errors, and answers that are none.
fn acts() -> Vec<Request> {
    let long = "x".repeat(2000);
    let deep = "x = []\nfor i in range(_arg1[0]): x = [x]\nreturn x";
    let raising = "if _arg1[0] > 1: raise ValueError('of ' + str(_arg1[0]))\nreturn 1";
    let data = |script: &str, data: Value| Request::evaluate(script, &data);
    vec![
        asks(ADD, 41),
        asks(raising, 1),
        asks(raising, 7),
        asks("return 1 / _arg1[0]", 0),
        asks("return _argl", 1),
        asks("return {x for x in _arg1}", 1),
        asks("return lambda: 0", 1),
        asks("return", 1),
        asks("return _arg1[0] * 2", long.as_str()),
        asks("return '\u{20ac}\u{1f600}' + chr(0) + _arg1[0]", "\u{e9}\"\\"),
        asks("return chr(0xd800)", 1),
        asks("return [1e308 * 10, -0.0, 10 ** 30, 1.5e-7]", 1),
        asks("return 10 ** 5000", 1),
        asks(deep, 5),
        asks(deep, 100_000),
        asks("def f(): return f()\nreturn f()", 1),
        asks("return {'a': _arg1, 'b': [None, True]}", 1),
        data("return len(_arg1) + len(_arg2)", json!({"_arg1": [1, 2], "_arg2": [3]})),
        data("return _arg2", json!({"_arg1": [1]})),
        data("return 5", json!({})),
        data("return 5", json!({"a": 1})),
        Request::post("/evaluate", r#"{"script": "return 5", "data": "#),
        Request::post("/evaluate", r#"{"script": "return 5", "data": [}"#),
        Request::post("/evaluate", r#"{"script": "return 5"}"#),
        Request::post("/evaluate", b"\xff\xfe{\"script\": \"return 5\", \"data\": {}}".as_slice()),
        // Known by its text, and no Python with these numbers of arguments.
        data("return 5", json!({"_arg1": [1], "_arg3": [1]})),
    ]
}

fn shown(answer: &Response) -> (u16, String) {
    (answer.status, answer.text())
}

#[test]
fn each_gets_what_it_gets_alone() {
    let server = workers(1).start().ready();
    let acts = acts();
    let alone: Vec<(u16, String)> = acts.iter().map(|act| shown(&server.send(act))).collect();
    for turn in 0..4 {
        acts.iter().for_each(|act| drop(server.send(act)));
        for script in [ADD, "return 5", "return 1 / _arg1[0]"] {
            teach(&server, &asks(script, 1));
        }
        // Each turn they stand beside others.
        let order: Vec<usize> =
            (0..acts.len()).map(|place| (place * (2 * turn + 3) + turn) % acts.len()).collect();
        let requests: Vec<Request> = order.iter().map(|place| acts[*place].clone()).collect();
        for (place, answer) in order.iter().zip(together(&server, &requests)) {
            let ((status, text), (status_alone, text_alone)) = (shown(&answer), &alone[*place]);
            assert_eq!(
                (status, without_addresses(&text)),
                (*status_alone, without_addresses(text_alone)),
                "{:?}",
                acts[*place]
            );
        }
    }
}

#[test]
fn an_answer_that_is_too_large_is_its_own_clients_error() {
    let server = workers(1).env("TABPY_MAX_RESPONSE_SIZE_MB", "1").start().ready();
    let script = "return 'x' * _arg1[0]";
    teach(&server, &asks(script, 1));
    let sizes = [1, 900_000, 3_000_000, 2, 20_000_000, 5000, 1_100_000, 3, 1_000_000, 4];
    let requests: Vec<Request> = sizes.iter().map(|size| asks(script, *size)).collect();
    for (size, answer) in sizes.iter().zip(together(&server, &requests)) {
        if *size > 1_048_576 {
            let (message, info) = answer.error(500);
            assert!(info.to_string().contains("TABPY_MAX_RESPONSE_SIZE_MB"), "{message} {info}");
        } else {
            assert_eq!((answer.status, answer.body.len()), (200, size + 2));
        }
    }
}

/// Twelve clients keep their connections and ask one worker again and again; none gets another's answer.
#[test]
fn nobody_gets_anothers_answer() {
    let server = workers(1).start().ready();
    let scripts = [ADD, "return [x * 2 for x in _arg1]", "return 'n' + str(_arg1[0])"];
    for script in scripts {
        teach(&server, &asks(script, 1));
    }
    thread::scope(|scope| {
        for client in 0..12 {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.connect();
                for turn in 0..150 {
                    let value = client * 1000 + turn;
                    let which = (client + turn) % 3;
                    let answer = connection.send(&asks(scripts[which], value));
                    let wanted =
                        [format!("[{}]", value + 1), format!("[{}]", value * 2), format!("\"n{value}\"")];
                    answer.is(200, &wanted[which]);
                }
            });
        }
    });
}

/// It asks for what its own script printed, and gets that and nothing else.
#[test]
fn who_wants_details_gets_its_own() {
    let server = workers(1).start().ready();
    // Python has a word to say about it whenever it compiles it.
    let warned = "return 1 if _arg1 is 1 else _arg1[0]";
    teach(&server, &asks(ADD, 1));
    teach(&server, &asks(warned, 1));
    crate::crowd::worker(&server).kill();
    let details = |script| asks(script, 5).header("TabPy-Details", "true");
    let prints = details("print('printed here')\nreturn 5");
    let requests = [asks(warned, 2), details(ADD), asks(warned, 3), prints, details(ADD)];
    let answers = together(&server, &requests);
    let texts: Vec<String> = answers.iter().map(Response::text).collect();
    assert_eq!(texts, ["2", "[6]", "3", "5", "[6]"]);
    let output: Vec<Option<&str>> = answers.iter().map(|answer| answer.header("TabPy-Output")).collect();
    assert_eq!(output, [None, None, None, Some("cHJpbnRlZCBoZXJlCg=="), None]);
    let timed: Vec<bool> = answers.iter().map(|answer| answer.header("Server-Timing").is_some()).collect();
    assert_eq!(timed, [false, true, false, true, true]);
}

#[test]
fn a_body_in_chunks_or_in_two_parts_is_as_any_other() {
    let server: Server = workers(1).start().ready();
    teach(&server, &asks(ADD, 1));
    let mut sleeper = crate::crowd::busy(&server);
    let first = sent(&server, &asks(ADD, 1));
    let mut chunked = server.connect();
    chunked.write(&asks(ADD, 2).chunked(chunked.host(), 7)).unwrap();
    let mut halved = server.connect();
    let bytes = asks(ADD, 3).bytes(halved.host());
    halved.write_slowly(&bytes, bytes.len() / 2 + 1, std::time::Duration::from_millis(20)).unwrap();
    for (wanted, answer) in
        ["[2]", "[3]", "[4]"].iter().zip(crate::crowd::read(&mut [first, chunked, halved]))
    {
        answer.is(200, wanted);
    }
    sleeper.read().unwrap().is(200, "\"slept\"");
}
