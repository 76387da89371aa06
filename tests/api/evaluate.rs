//! `POST /evaluate`: what comes back for a good request and for each kind of bad one.

use serde_json::{Value, json};

use crate::support::{Request, Server};

#[test]
fn an_answer_is_bare_json_as_python_writes_it() {
    let server = Server::start().ready();
    let rows: &[(&str, Value, &str)] = &[
        ("return [x * 2 for x in _arg1]", json!({"_arg1": [1, 2.5, -3]}), "[2, 5.0, -6]"),
        ("return _arg1[0] + _arg2[0]", json!({"_arg1": ["a"], "_arg2": ["é"]}), "\"a\\u00e9\""),
        ("return _arg1", json!({"_arg2": [1], "_arg1": [2]}), "[2]"),
        ("return _arg1", json!({"_arg1": 7}), "7"),
        ("return _arg1", json!({"_arg1": [null, true, false]}), "[null, true, false]"),
        ("return None", json!({}), "null"),
        ("x = 1", json!({}), "null"),
        ("pass", json!({}), "null"),
        ("return int(1)", json!({"_arg1": [4]}), "1"),
        ("return {'b': 1, 'a': [1.0, 'x']}", json!({}), r#"{"b": 1, "a": [1.0, "x"]}"#),
        ("return []", json!({"_arg1": []}), "[]"),
        ("return {}", json!({}), "{}"),
        ("return _arg12[0]", arguments(12), "12"),
        ("  return 1", json!({}), "1"),
        ("return 1;", json!({}), "1"),
        ("# only then\nreturn 2", json!({}), "2"),
        ("return (lambda x: x + 1)(_arg1[0])", json!({"_arg1": [1]}), "2"),
        ("return tabpy is not None", json!({}), "true"),
    ];
    for (script, data, answer) in rows {
        let response = server.evaluate(script, data.clone());
        assert_eq!((response.status, response.text().as_str()), (200, *answer), "{script:?}");
        assert_eq!(response.header("Content-Type"), Some("application/json"), "{script:?}");
    }
}

fn arguments(count: usize) -> Value {
    (1..=count)
        .map(|number| (format!("_arg{number}"), json!([number])))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn the_content_type_of_a_request_is_not_looked_at() {
    let server = Server::start().ready();
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "nonsense", ""] {
        server.send(&Request::evaluate("return 1", &json!({})).header("Content-Type", kind)).is(200, "1");
    }
    server.send(&Request::evaluate("return 1", &json!({}))).is(200, "1");
}

#[test]
fn tableaus_own_headers_go_to_the_log() {
    let server = Server::start().ready();
    let request = Request::evaluate("return 1", &json!({}))
        .header("TabPy-Client", "Tableau Server 2031.7")
        .header("TabPy-User", "ursula.analyst");
    server.send(&request).is(200, "1");
    server.wait_for_log("ursula.analyst");
    server.wait_for_log("2031.7");
}

#[test]
fn a_user_name_beyond_ascii_is_not_lost() {
    let server = Server::start().ready();
    let request = Request::evaluate("return 1", &json!({})).header("TabPy-User", "ursula.müller-analyst");
    server.send(&request).is(200, "1");
    server.wait_for_log("ller-analyst");
}

#[test]
fn a_bad_request_says_what_tabpy_says() {
    let server = Server::start().ready();
    let empty = r#"{"message": "Script is empty.", "info": {}}"#;
    let parameters = r#"{"message": "Script parameters need to be provided as a dictionary.", "info": {}}"#;
    let names = r#"{"message": "Variables names should follow the format _arg1, _arg2, _argN", "info": {}}"#;
    let rows = [
        (r#"{"data": {}}"#, empty),
        ("{}", empty),
        ("[]", empty),
        ("5", empty),
        ("null", empty),
        ("true", empty),
        (r#""return 1""#, empty),
        (r#"{"script": "return 1", "data": []}"#, parameters),
        (r#"{"script": "return 1", "data": "x"}"#, parameters),
        (r#"{"script": "return 1", "data": 3}"#, parameters),
        (r#"{"script": "return 1", "data": {"x": 1}}"#, names),
        (r#"{"script": "return 1", "data": {"_arg2": 1}}"#, names),
        (r#"{"script": "return 1", "data": {"_arg1": 1, "_arg3": 1}}"#, names),
        (r#"{"script": "return 1", "data": {"_arg01": 1}}"#, names),
        (r#"{"script": "return 1", "data": {"_arg0": 1}}"#, names),
        (r#"{"script": "return 1", "data": {"_arg1": 1, "_arg1 ": 1}}"#, names),
        (r#"{"script": "return 1", "data": {"_ARG1": 1}}"#, names),
    ];
    for (body, answer) in rows {
        let response = server.post("/evaluate", body);
        assert_eq!((response.status, response.text().as_str()), (400, answer), "{body}");
    }
    server.still_works();
}

#[test]
fn absent_and_null_data_run_the_script_without_arguments() {
    let server = Server::start().ready();
    for body in [
        r#"{"script": "return 1"}"#,
        r#"{"script": "return 1", "data": null}"#,
        r#"{"script": "return 1", "data": {}}"#,
        r#"{"data": null, "script": "return 1", "other": [1, {"script": "return 2"}]}"#,
    ] {
        server.post("/evaluate", body).is(200, "1");
    }
}

#[test]
fn a_script_without_a_statement_is_told_in_words() {
    let server = Server::start().ready();
    for script in ["", "   ", "\n\n", "# nothing here", "# one\n   # two\n"] {
        let info = server.evaluate(script, json!({})).info(500, "Error processing script");
        let words = "IndentationError : expected an indented block after function definition on line 1";
        let ours = info.strip_prefix(words).unwrap_or(&info);
        assert!(ours.contains("script") && ours.contains("line"), "{script:?}: {info}");
    }
    server.still_works();
}

#[test]
fn a_script_that_is_no_text_is_a_400() {
    let server = Server::start().ready();
    for script in ["5", "[\"return 1\"]", "{\"a\": 1}", "true"] {
        let response = server.post("/evaluate", format!("{{\"script\": {script}, \"data\": {{}}}}"));
        let (message, info) = response.error(400);
        let words = format!("{message} {info}").to_lowercase();
        assert!(words.contains("script") && (words.contains("string") || words.contains("text")), "{words}");
    }
    server.still_works();
}

#[test]
fn bad_json_is_told_in_pythons_words() {
    let server = Server::start().ready();
    let rows: &[(&[u8], &str)] = &[
        (b"", "JSONDecodeError : Expecting value: line 1 column 1 (char 0)"),
        (b"x", "JSONDecodeError : Expecting value: line 1 column 1 (char 0)"),
        (
            b"{",
            "JSONDecodeError : Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        (b"{\"script\"}", "JSONDecodeError : Expecting ':' delimiter: line 1 column 10 (char 9)"),
        (b"{\"script\": \"return 1\"} x", "JSONDecodeError : Extra data: line 1 column 24 (char 23)"),
        (
            b"{\"script\": \"return 1}",
            "JSONDecodeError : Unterminated string starting at: line 1 column 12 (char 11)",
        ),
        (
            b"{\"script\": \"a\nb\"}",
            "JSONDecodeError : Invalid control character at: line 1 column 14 (char 13)",
        ),
        (
            b"\xff\xfe",
            "UnicodeDecodeError : 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (
            b"{\"script\": \"return '\xe9'\", \"data\": {}}",
            "UnicodeDecodeError : 'utf-8' codec can't decode byte 0xe9 in position 20: invalid continuation byte",
        ),
        (
            b"\xef\xbb\xbf{\"script\": \"return 1\"}",
            "JSONDecodeError : Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
        ),
    ];
    for (body, wanted) in rows {
        let info = server.post("/evaluate", *body).info(500, "Error processing script");
        assert!(info.starts_with(wanted), "{:?}: {info}", String::from_utf8_lossy(body));
    }
    server.still_works();
}

#[test]
fn deep_nesting_is_an_error_and_never_a_crash() {
    let server = Server::start().ready();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for body in [
            deep.clone(),
            format!("{{\"script\": \"return 1\", \"data\": {{\"_arg1\": {deep}}}}}"),
            open.repeat(100_000),
        ] {
            let info = server.post("/evaluate", body).info(500, "Error processing script");
            assert!(info.starts_with("RecursionError : "), "{info}");
            server.still_works();
        }
    }
    let deep = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    let body = format!("{{\"script\": \"return _arg1\", \"data\": {{\"_arg1\": {deep}}}}}");
    server.post("/evaluate", body).is(200, &deep);
    let made = "x = 1\nfor _ in range(100000):\n    x = [x]\nreturn x";
    let info = server.evaluate(made, json!({})).info(500, "Error processing script");
    assert!(info.starts_with("RecursionError : "), "{info}");
    server.still_works();
}

#[test]
fn a_missing_function_is_a_404_that_names_it() {
    let server = Server::start().ready();
    let text = "The endpoint you're trying to query did not respond. Please make sure the endpoint exists and the \
                correct set of arguments are provided.";
    let script = "return tabpy.query('no such one', _arg1)['response']";
    let info = server.evaluate(script, json!({"_arg1": [1]})).info(404, "Error processing script");
    assert!(info.starts_with(text) && info.contains("no such one"), "{info}");
    let script = "r = tabpy.query('no such one', _arg1)\nreturn ['response' in r, sorted(r), r['message']]";
    let answer = server.evaluate(script, json!({"_arg1": [1]}));
    assert_eq!((answer.status, answer.json()), (200, json!([false, ["info", "message"], "UnknownURI"])));
    // A KeyError of the script's own is an ordinary error.
    let info = server.evaluate("return {}['response']", json!({})).info(500, "Error processing script");
    assert!(info.starts_with("KeyError : 'response'"), "{info}");
}

#[test]
fn switched_off_it_is_a_404_after_the_401() {
    let text =
        "Ad-hoc scripts have been disabled on this analytics extension, please contact your administrator.";
    let server = Server::builder().env("TABPY_EVALUATE_ENABLE", "false").start();
    let (message, _) = server.evaluate("return 1", json!({})).error(404);
    assert_eq!(message, text);
    assert_eq!(server.get("/info").json()["versions"]["v1"]["features"]["evaluate_enabled"], json!(false));

    let server = Server::builder()
        .env("TABPY_EVALUATE_ENABLE", "no")
        .env("TABPY_USERNAME", "ada")
        .env("TABPY_PASSWORD", "countess")
        .start();
    server.evaluate("return 1", json!({})).error(401);
    let request = Request::evaluate("return 1", &json!({})).login("ada", "countess");
    assert_eq!(server.send(&request).error(404).0, text);
}

#[test]
fn another_length_is_answered_and_logged_with_both_lengths() {
    let server = Server::start().ready();
    let fits = server.evaluate("return _arg1[:1]", json!({"_arg1": [1, 2, 3]}));
    fits.is(200, "[1]");
    server.evaluate("return 5", json!({"_arg1": [1, 2, 3]})).is(200, "5");
    server
        .evaluate("return {'a': [1, 2]}", json!({"_arg1": {"Name": ["x", "y", "z"]}}))
        .is(200, r#"{"a": [1, 2]}"#);
    let answer = server.evaluate("return list(range(4711))", json!({"_arg1": vec![0; 1213]}));
    assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (200, 4711));
    let line = server
        .wait_for_line("WARN with 4711 and 1213", |line| line.contains("4711") && line.contains("1213"));
    assert!(line.to_lowercase().contains("warn"), "{line}");
    let warnings = server.log().lines().filter(|line| line.to_lowercase().contains("warn")).count();
    assert_eq!(warnings, 1, "{}", server.log());
}
