//! A script that does something does it once, whatever the front was made to believe of it.

use serde_json::{Value, json};

use crate::crowd::{ADD, COUNT, ENDLESS, asks, busy, read, sent, teach, together, waiting, worker, workers};
use crate::support::{Request, Server};

/// A server whose scripts may write to one folder, and a script that leaves its argument's mark there.
fn marking() -> (Server, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = workers(1)
        .env("TABPY_SCRIPT_WRITE", folder.path().display())
        .env("TABPY_EVALUATE_TIMEOUT", "3")
        .start()
        .ready();
    let file = folder.path().join("marks").display().to_string();
    let script = format!("f = open('{file}', 'a')\nf.write(str(_arg1[0]) + ' ')\nf.close()\nreturn 'done'");
    (server, script, folder)
}

#[track_caller]
fn marks(folder: &tempfile::TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(folder.path().join("marks")).unwrap_or_default();
    let mut marks: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    marks.sort();
    marks
}

/// Bodies that show the front one script and mean another, or hide which one they mean.
fn disguises(shown: &str, meant: &str, mark: usize) -> Vec<String> {
    let [shown, meant] = [shown, meant].map(|text| Value::from(text).to_string());
    let data = |mark| format!(r#""data": {{"_arg1": ["{mark}"]}}"#);
    let space = " \n\t\r".repeat(200);
    [
        format!(r#"{{"script": {shown}, "script": {meant}, DATA}}"#),
        format!(r#"{{"script": {shown}, DATA, "script": {meant}}}"#),
        format!(r#"{{"script": {shown}, "\u0073cript": {meant}, DATA}}"#),
        format!(r#"{{"\u0073cript": {shown}, "scr\u0069pt": {meant}, DATA}}"#),
        format!(r#"{{"extra": {{"script": {shown}}}, "script": {meant}, DATA}}"#),
        format!(r#"{{"extra": "\"script\":{}", "script": {meant}, DATA}}"#, shown.replace('"', "\\\"")),
        format!(r#"{{"script"{space}:{space}{shown}, DATA, "script":{space}{meant}}}"#),
        format!(r#"{space}{{"script":{shown},"script":1,"script":[],"script":{meant},DATA}}{space}"#),
        format!(r#"{{"data": {{"_arg1": ["script"], "script": {shown}}}, "script": {meant}, DATA}}"#),
    ]
    .iter()
    .enumerate()
    .map(|(place, body)| body.replace("DATA", &data(mark + place)))
    .collect()
}

#[test]
fn a_disguised_script_runs_once() {
    let (server, script, folder) = marking();
    teach(&server, &asks(ADD, 1));
    let bodies = disguises(ADD, &script, 100);
    let mut requests: Vec<Request> =
        bodies.iter().map(|body| Request::post("/evaluate", body.as_bytes())).collect();
    for place in [9, 6, 3, 0] {
        requests.insert(place, asks(ADD, 1));
    }
    for answer in together(&server, &requests) {
        assert!(["\"done\"", "[2]"].contains(&answer.text().as_str()), "{answer:?}");
    }
    let wanted: Vec<String> = (100..100 + bodies.len()).map(|mark| mark.to_string()).collect();
    assert_eq!(marks(&folder), wanted);
}

/// The worker that has it is killed, or kept by an endless one, or leaves with its number of requests.
#[test]
fn a_disguised_script_runs_once_though_those_beside_it_fail() {
    let (server, script, folder) = marking();
    let crash = "x = [1]\nfor i in range(int(_arg1[0])): x = filter(None, x)\nreturn list(x)";
    let mut wanted = Vec::new();
    for (turn, (beside, value)) in [(crash, 500_000.0), (COUNT, ENDLESS)].into_iter().enumerate() {
        for known in [ADD, beside] {
            teach(&server, &asks(known, 1));
        }
        let body = |mark: usize| disguises(ADD, &script, mark).swap_remove(0);
        let first = 200 + turn * 10;
        let [one, two, three] =
            [0, 1, 2].map(|place| Request::post("/evaluate", body(first + place).into_bytes()));
        let requests = [asks(ADD, 1), one, asks(beside, value), two, asks(ADD, 2), three];
        let answers = together(&server, &requests);
        answers[2].error(if turn == 0 { 500 } else { 408 });
        for (place, answer) in answers.iter().enumerate().filter(|(place, _)| place % 2 == 1) {
            // With one worker, those behind an endless script may never begin, and then they say so.
            if answer.status == 200 {
                answer.is(200, "\"done\"");
                wanted.push((first + place / 2).to_string());
            } else {
                assert_eq!(turn, 1, "{answer:?}");
                assert!(answer.error(503).0.contains("not started"), "{answer:?}");
            }
        }
    }
    assert_eq!(marks(&folder), wanted);
}

/// It is in its worker alone when that is killed, and nobody tries it again.
#[test]
fn a_script_that_dies_with_its_worker_is_not_run_again() {
    let (server, script, folder) = marking();
    teach(&server, &asks(ADD, 1));
    let dies = format!(
        "import os, signal\n{}\nos.kill(os.getpid(), signal.SIGKILL)",
        script.replace("return 'done'", "")
    );
    let body = disguises(ADD, &dies, 300).swap_remove(1).replace("301", "300");
    let requests = [asks(ADD, 1), Request::post("/evaluate", body.into_bytes()), asks(ADD, 2), asks(ADD, 3)];
    let answers = together(&server, &requests);
    answers[1].error(500);
    for (place, wanted) in [(0, "[2]"), (2, "[3]"), (3, "[4]")] {
        answers[place].is(200, wanted);
    }
    assert_eq!(marks(&folder), ["300"]);
}

/// The same text is one thing with one argument and another with none.
#[test]
fn the_number_of_arguments_belongs_to_the_script() {
    let server = workers(1).start().ready();
    let script = "try:\n    return len(_arg2)\nexcept NameError:\n    return 0";
    let with = |count: usize| {
        let names = (1..=count).map(|number| (format!("_arg{number}"), json!([1, 2])));
        Request::evaluate(script, &Value::Object(names.collect()))
    };
    teach(&server, &with(1));
    let counts = [1, 2, 0, 3, 1, 2, 40, 1];
    let requests: Vec<Request> = counts.iter().map(|count| with(*count)).collect();
    for (count, answer) in counts.iter().zip(together(&server, &requests)) {
        answer.is(200, if *count > 1 { "2" } else { "0" });
    }
}

/// A script is known by its whole text: what begins, ends or is escaped like a known one is another.
#[test]
fn what_looks_like_a_known_script_is_another() {
    let (server, script, folder) = marking();
    teach(&server, &asks("return 5", 1));
    let close = format!("return 5\n{script}");
    let far = format!("{script}\nreturn 5");
    let escaped = r#"{"script": "retur\u006e 5", "data": {"_arg1": ["1"]}}"#;
    let mut sleeper = busy(&server);
    let mut all = waiting(&server, &[asks("return 5", 1), asks(&close, "a"), asks(&far, "b")]);
    all.push(sent(&server, &Request::post("/evaluate", escaped)));
    let texts: Vec<String> = read(&mut all).iter().map(crate::support::Response::text).collect();
    assert_eq!(texts, ["5", "5", "\"done\"", "5"]);
    sleeper.read().unwrap().is(200, "\"slept\"");
    assert_eq!(marks(&folder), ["b"]);
    assert!(worker(&server).runs());
}
