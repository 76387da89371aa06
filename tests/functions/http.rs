//! Functions of a running server, by HTTP.

use serde_json::json;

use crate::support::{Builder, Request, Server, wait_for};

/// A server that publishes these files.
fn publishing(files: &[(&str, &str)]) -> Builder {
    let builder = Server::builder();
    std::fs::create_dir(builder.folder().join("functions")).unwrap();
    let folder = builder.folder().join("functions").display().to_string();
    let builder = builder.env("TABPY_FUNCTIONS_PATH", folder);
    files.iter().fold(builder, |builder, (name, text)| builder.file(&format!("functions/{name}"), text))
}

/// Started, and ready to call this function.
#[track_caller]
fn serving(builder: Builder, name: &str) -> Server {
    let server = builder.start().ready();
    let path = format!("/query/{name}");
    let there = wait_for(std::time::Duration::from_secs(20), || {
        (server.post(&path, "{\"data\": 0}").status == 500).then_some(())
    });
    assert!(there.is_some(), "{}", server.log());
    server
}

const ADD: &str = "def add(x, y=1): return x + y\n\ndef mirror(**all): return all\n";

#[test]
fn a_query_is_answered_as_tabpy_answers_it() {
    let server = serving(publishing(&[("add.py", ADD)]), "add");
    let ask = |request: Request| {
        let answer = server.send(&request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        let text = answer.text();
        let (result, uuid) = text.split_once(", \"uuid\": \"").unwrap();
        assert!(uuid.len() == 38 && uuid.ends_with("\"}"), "{text}");
        let tag = answer.header("Etag").unwrap().to_owned();
        assert!(tag.len() == 34 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        (result.to_owned(), tag)
    };
    let three = "{\"response\": 3, \"version\": 1, \"model\": \"add\"".to_owned();
    let (result, tag) = ask(Request::post("/query/add", "{\"data\": [1, 2]}"));
    assert_eq!(result, three);
    assert_eq!(ask(Request::get("/query/add").body("{\"data\": {\"x\": 2}}")), (three.clone(), tag.clone()));
    assert_eq!(ask(Request::post("/query/add?version=1", "{\"data\": [1, 2]}")), (three, tag.clone()));
    let (four, other) = ask(Request::post("/query/%61dd", "{\"data\": [1, 3]}"));
    assert!(four.starts_with("{\"response\": 4,") && other != tag);
    let rows: Vec<i32> = (0..100_000).collect();
    let large = json!({"data": {"rows": rows}}).to_string();
    let (echo, first) = ask(Request::post("/query/mirror", large.clone()));
    assert!(echo.starts_with("{\"response\": {\"rows\": [0, 1, 2,"));
    assert_eq!(ask(Request::post("/query/mirror", large)).1, first);

    for version in ["0", "-1", "x", "", "1&version=2", "99999999999"] {
        let (message, _) =
            server.post(&format!("/query/add?version={version}"), "{\"data\": [1]}").error(400);
        assert_eq!(message, "The version must be a whole number from 1 on.");
    }
    let missing = server.post("/query/add?version=2", "{\"data\": [1]}");
    assert_eq!(missing.info(404, "UnknownURI"), "Endpoint 'add' has no version 2; kept are 1");
    assert!(missing.header("Etag").is_none());
}

#[test]
fn a_function_that_is_too_slow_is_ended_and_told() {
    let slow = "import time\ndef slow(seconds):\n    time.sleep(seconds)\n    return seconds\n";
    let server = serving(publishing(&[("slow.py", slow)]).env("TABPY_QUERY_TIMEOUT", "1.5"), "slow");
    let late = server.post("/query/slow", "{\"data\": [60]}");
    assert_eq!(
        late.error(408),
        (
            "User defined function 'slow' timed out. Timeout is set to 1.5 s.".to_owned(),
            json!("TABPY_QUERY_TIMEOUT is the time that a function may take.")
        )
    );
    server.still_works();
    assert_eq!(server.post("/query/slow", "{\"data\": [0]}").status, 200);
    // The timeout of scripts is another one.
    assert_eq!(server.value("return tabpy.query('slow', 2)['response']"), "2");
}

#[test]
fn any_number_of_functions_runs_at_once() {
    let meet = "import os, time\ndef meet(folder, number, all):\n    open(os.path.join(folder, str(number)), 'w').close()\n    \
                while len(os.listdir(folder)) < all: time.sleep(0.01)\n    return number\n";
    let builder = publishing(&[("meet.py", meet)]);
    let folder = builder.folder().join("meeting");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.display().to_string();
    let server = serving(builder.env("TABPY_SCRIPT_WRITE", &folder).env("TABPY_MAX_WORKERS", 6), "meet");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (server, folder) = (&server, &folder);
            scope.spawn(move || {
                let body = json!({"data": [folder, number, 5]}).to_string();
                let answer = server.post("/query/meet", body);
                assert_eq!(answer.json()["response"], number, "{}", answer.text());
            });
        }
        assert_eq!(server.get("/info").status, 200);
        let script = "return tabpy.query('meet', _arg1, 4, 5)['response']";
        server.evaluate(script, json!({"_arg1": folder})).is(200, "4");
    });
}

#[test]
fn a_function_that_ends_its_process_harms_nobody() {
    let text = "import os\ndef leave(): os._exit(3)\ndef add(x, y): return x + y\n";
    let server = serving(publishing(&[("leave.py", text)]).env("TABPY_WORKERS", 1), "leave");
    let left = server.post("/query/leave", "{\"data\": []}");
    let how = left.info(500, "Error querying function 'leave'");
    assert_eq!(how, "The function ended its Python process (exit code 3).");
    server.still_works();
    assert_eq!(server.post("/query/add", "{\"data\": [1, 2]}").json()["response"], 3);
}

#[test]
fn functions_are_confined_as_scripts_are() {
    let text = "def read(path): return open(path).read()\ndef listed(path):\n    import os\n    return os.listdir(path)\n\
                def write(path): open(path + '/x', 'w')\n";
    let builder = publishing(&[("read.py", text)]);
    let state = builder.folder().join("state");
    std::fs::write(state.join("secret"), "secret").unwrap();
    let server = serving(builder, "read");
    for (name, path) in [("read", state.join("secret")), ("listed", state.clone()), ("write", state)] {
        let body = json!({"data": [path]}).to_string();
        let (_, info) = server.post(&format!("/query/{name}"), body).error(500);
        assert!(info["error"].as_str().unwrap().starts_with("PermissionError : "), "{info}");
    }
    // They may read each other, as they may call each other; but nobody writes them.
    let script = "import sys, os\ntabpy.query('add')\nimport _tabpy_rs_functions as f\nopen(f.FOLDER + 'index.json').read()\n\
                  open(f.FOLDER + 'index.json', 'w')";
    let info = server.evaluate(script, json!({})).info(500, "Error processing script");
    assert!(info.starts_with("PermissionError : ") && info.contains("line 5"), "{info}");
}

#[test]
fn results_and_arguments_are_counted_for_the_log() {
    let server = serving(publishing(&[("add.py", "def many(rows): return rows + rows\n")]), "many");
    assert_eq!(server.post("/query/many", "{\"data\": {\"rows\": [1, 2, 3]}}").status, 200);
    server.wait_for_line("rows", |line| line.contains("rows_in=3") && line.contains("rows_out=6"));
}

/// Loading is running code: what does not load, for ever or at once, is told, and harms nobody.
#[test]
fn what_ends_or_never_ends_its_loading_is_told() {
    let files = [
        ("add.py", ADD),
        ("exits.py", "import os\nprint('hello from a load')\nos._exit(7)\n"),
        ("crashes.py", "import os\nos.kill(os.getpid(), 11)\n"),
        ("leaves.py", "import sys\nsys.exit('bye')\n"),
        ("loops.py", "while True: pass\n"),
        ("grows.py", "all = []\nwhile True: all.append(bytearray(10**7))\n"),
        ("pries.py", "import os\nopen(os.environ['STATE'] + '/secret').read()\n"),
        ("broken.py", "def broken(:\n"),
    ];
    let builder = publishing(&files);
    let state = builder.folder().join("state");
    std::fs::write(state.join("secret"), "secret").unwrap();
    let builder = builder.env("STATE", state.display()).env("TABPY_SCRIPT_ENV", "STATE");
    let builder =
        builder.env("TABPY_QUERY_TIMEOUT", 4).env("TABPY_WORKER_MEMORY_MB", 300).env("TABPY_WORKERS", 1);
    let server = serving(builder, "add");
    // All are tried before any is put in force.
    let status = server.get("/status").json();
    for (file, reason) in [
        ("exits.py", "The function ended its Python process (exit code 7)."),
        (
            "crashes.py",
            "The function ended its Python process (signal 11, a segmentation fault in a native library).",
        ),
        ("leaves.py", "SystemExit : bye (line 2: sys.exit('bye'))"),
        ("loops.py", "it did not load within 4 s, the least of TABPY_QUERY_TIMEOUT and 60 s"),
        ("grows.py", "MemoryError"),
        ("pries.py", "PermissionError : [Errno 13] Permission denied"),
        ("broken.py", "SyntaxError : invalid syntax (line 1: def broken(:)"),
    ] {
        let about = &status[file.trim_end_matches(".py")];
        assert_eq!(about["status"], "LoadFailed", "{status}");
        let error = about["last_error"].as_str().unwrap();
        assert!(error.contains(reason), "{file}: {error}");
    }
    server.wait_for_log("hello from a load");
    server.still_works();
    assert_eq!(server.post("/query/add", "{\"data\": [1, 2]}").json()["response"], 3);
}
