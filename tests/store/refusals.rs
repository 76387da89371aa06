//! What cannot be deployed: each gets a reason that says what to change, and nothing that was there is lost.

use std::fs;
use std::os::unix::fs::symlink;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::engine::{Engine, called, on_both_engines, put, query, send};
use crate::support::{Postgres, Request, Response, Server};

on_both_engines! {
    paths_out_of_the_staging_folder_are_refused
    what_is_too_large_is_refused_by_the_setting_s_name
    names_schemas_and_parameters_are_looked_at
    archives_are_taken_and_those_that_do_not_load_are_told_of
    aliases_follow_their_target_and_never_themselves
}

fn add(server: &Server, body: &Value) -> Response {
    send(server, &Request::post("/endpoints", body.to_string()))
}

/// An archive that any unpickler takes: the built-in `len`, by name.
const LEN: &[u8] = b"cbuiltins\nlen\n.";

fn stage(server: &Server, name: &str, archive: &[u8]) -> String {
    let folder = server.path("state/staging/endpoints").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("pickle_archive"), archive).unwrap();
    folder.display().to_string()
}

fn paths_out_of_the_staging_folder_are_refused(engine: &mut Engine) {
    let server = engine.server();
    let right = stage(&server, "f/1", LEN);
    let staging = server.path("state/staging").display().to_string();
    let outside = server.path("elsewhere");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("pickle_archive"), LEN).unwrap();
    symlink(&outside, server.path("state/staging/endpoints/link")).unwrap();
    let linked = stage(&server, "linked/1", LEN);
    symlink(outside.join("pickle_archive"), format!("{linked}/more")).unwrap();
    let hard = stage(&server, "hard/1", b"");
    fs::hard_link(outside.join("pickle_archive"), format!("{hard}/more")).unwrap();
    let empty = format!("{staging}/endpoints/empty");
    fs::create_dir_all(&empty).unwrap();
    let file = format!("{right}/pickle_archive");
    for (path, words) in [
        (outside.display().to_string(), "not below"),
        (format!("{staging}/../../elsewhere"), "not below"),
        (format!("{staging}/endpoints/../../../elsewhere"), "not below"),
        ("/etc".to_owned(), "not below"),
        ("staging/endpoints/f/1".to_owned(), "not below"),
        (staging.clone(), "not below"),
        (format!("{staging}/endpoints/link"), "no folder"),
        (linked, "is a link"),
        (hard, "is a link"),
        (empty, "no pickle_archive"),
        (file, "no folder"),
        (format!("{staging}/endpoints/gone/1"), "share the disk"),
    ] {
        let answer = add(&server, &json!({"name": "f", "type": "model", "src_path": path}));
        let info = answer.info(400, "Invalid source path for endpoint f");
        assert!(info.contains(words), "{path}: {info}");
    }
    assert_eq!(server.get("/endpoints").text(), "{}");
    let answer = add(&server, &json!({"name": "f", "type": "model", "src_path": right}));
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(query(&server, "f", &json!([[1, 2]])).json()["response"], 2);
}

fn what_is_too_large_is_refused_by_the_setting_s_name(engine: &mut Engine) {
    let server = engine.builder().env("TABPY_MAX_FUNCTION_SIZE_MB", 1).start().ready();
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
    let large = vec![b'#'; (1 << 20) + 1];
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut packed, &large).unwrap();
    let packed =
        Request::new("PUT", "/functions/f").header("Content-Encoding", "gzip").body(packed.finish().unwrap());
    let staged = stage(&server, "f/2", &large);
    let staged = json!({"src_path": staged, "should_update_version": true}).to_string();
    for request in [
        Request::new("PUT", "/functions/f").body(large.clone()),
        packed,
        Request::new("PUT", "/endpoints/f").body(staged),
    ] {
        let info = send(&server, &request).info(413, "The function is too large.");
        assert!(info.contains("1 MB") && info.contains("TABPY_MAX_FUNCTION_SIZE_MB"), "{info}");
    }
    assert_eq!(called(&server, "f"), json!(1));
}

fn names_schemas_and_parameters_are_looked_at(engine: &mut Engine) {
    let server = engine.server();
    for name in ["a%2Fb", "..%2Fx", "gr%C3%B6%C3%9Fe", "a%0Ab", &"x".repeat(256)] {
        let answer = put(&server, name, "def f(): return 1");
        assert_eq!(
            answer.error(400).0,
            "endpoint name can only contain: a-z, A-Z, 0-9, underscore, hyphens and spaces."
        );
    }
    for (target, message) in [
        ("f?schema=%7B", "The function's schema is no JSON."),
        ("f?public=maybe", "public must be true or false."),
        ("f?nonsense=1", "The function's parameters cannot be read."),
    ] {
        assert_eq!(put(&server, target, "def f(): return 1").error(400).0, message);
    }
    put(&server, "f", "").info(400, "The function is missing.");
    let bytes = Request::new("PUT", "/functions/f").body(vec![0x80, 0x05, 0xff]);
    assert!(send(&server, &bytes).info(400, "The function's source is not UTF-8.").contains("octet-stream"));
    let two = "def one(): pass\ndef two(): pass\n";
    let info = put(&server, "f", two).info(422, "LoadFailed: endpoint f was not deployed.");
    assert!(info.contains("one, two") && info.contains("?function=NAME"), "{info}");
    put(&server, "f?function=three", two).info(422, "LoadFailed: endpoint f was not deployed.");
    let told = "def f(): return 1\nf.__doc__ = 'x' * 2_000_000\n";
    let info = put(&server, "f", told).info(413, "The function says too much of itself.");
    assert!(info.contains("1 MB"), "{info}");
    assert_eq!(server.get("/endpoints").text(), "{}");
    assert_eq!(put(&server, "f?function=two", two).status, 201);
    let long =
        json!({"src_path": stage(&server, "f/2", LEN), "description": "x".repeat(2_000_000)}).to_string();
    let long = send(&server, &Request::new("PUT", "/endpoints/f").body(long));
    assert_eq!(long.error(413).0, "The function says too much of itself.");
    assert_eq!(server.get("/endpoints/f").json()["description"], "");
    let deep = format!("f?function=two&schema={}1{}", "%5B".repeat(101), "%5D".repeat(101));
    let info = put(&server, &deep, two).info(413, "The function says too much of itself.");
    assert!(info.contains("100 deep"), "{info}");
    // Half a letter is no text.
    let odd = put(&server, "odd", "def odd(): return 1\nodd.__doc__ = 'a\\ud800b\\0'\n");
    assert_eq!((odd.status, &odd.json()["docstring"]), (201, &json!("a?b\u{fffd}")), "{}", odd.text());
}

fn archives_are_taken_and_those_that_do_not_load_are_told_of(engine: &mut Engine) {
    let server = engine.builder().env("TABPY_QUERY_TIMEOUT", 3).start().ready();
    let archive = |bytes: &[u8], python: &str| {
        let target = format!("/functions/f?{python}");
        let request = Request::new("PUT", &target).header("Content-Type", "application/octet-stream");
        send(&server, &request.body(bytes.to_vec()))
    };
    let answer = archive(LEN, "");
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(query(&server, "f", &json!(["abc"])).json()["response"], 3);
    for (bytes, python, words) in [
        (&b"no pickle"[..], "", ""),
        (b"cnonexistent_module\nx\n.", "", "nonexistent_module"),
        (b"cnonexistent_module\nx\n.", "python=2.7", "2.7"),
        // Calls os._exit(3).
        (b"cos\n_exit\n(I3\ntR.", "", ""),
        (b"ctime\nsleep\n(I60\ntR.", "", "3 s"),
    ] {
        let info = archive(bytes, python).info(422, "LoadFailed: endpoint f was not deployed.");
        assert!(info.contains(words), "{info}");
    }
    archive(LEN, "python=three").error(400);
    assert_eq!(query(&server, "f", &json!(["abc"])).json()["response"], 3);
    server.still_works();
}

fn aliases_follow_their_target_and_never_themselves(engine: &mut Engine) {
    let server = engine.server();
    let alias =
        |name: &str, target: &str| add(&server, &json!({"name": name, "type": "alias", "target": target}));
    let message = |answer: Response| answer.error(400).0;
    assert_eq!(message(alias("a", "f")), "Error when changing TabPy state: target endpoint is not valid.");
    assert_eq!(put(&server, "f", "def f(): return 1").status, 201);
    for (name, target) in [("a", "f"), ("b", "a"), ("c", "b")] {
        let answer = alias(name, target);
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.json()[name]["dependencies"], json!([target]));
    }
    assert_eq!(called(&server, "c"), json!(1));
    assert_eq!(server.get("/status").json()["c"]["type"], "alias");
    assert_eq!(put(&server, "f", "def f(): return 2").status, 200);
    assert_eq!(called(&server, "c"), json!(2));
    for update in [true, false] {
        let body = json!({"type": "alias", "target": "c", "should_update_version": update});
        let answer = send(&server, &Request::new("PUT", "/endpoints/a").body(body.to_string()));
        assert!(message(answer).contains("would lead back to itself"));
    }
    assert!(message(alias("d", "d")).contains("would lead back to itself"));
    let answer = send(&server, &Request::new("DELETE", "/endpoints/f"));
    assert_eq!(
        message(answer),
        "Error when removing endpoint: Cannot remove endpoint f, it is currently used by ['a'] endpoints."
    );
    let body = json!({"type": "alias", "target": "f"}).to_string();
    assert_eq!(send(&server, &Request::new("PUT", "/endpoints/c").body(body)).status, 200);
    let server = server.restart().ready();
    assert_eq!(called(&server, "c"), json!(2));
    assert_eq!(server.get("/endpoints/c").json()["target"], "f");
    for name in ["c", "b", "a", "f"] {
        assert_eq!(send(&server, &Request::new("DELETE", &format!("/endpoints/{name}"))).status, 204);
    }
    assert_eq!(server.get("/endpoints").text(), "{}");
}

#[test]
fn a_full_disk_loses_nothing() {
    // A file system of 3 MB for the state, in a mount namespace of the server's own.
    let builder = Server::builder();
    let state = builder.folder().join("state").display().to_string();
    let script = format!("mount -t tmpfs -o size=3m none {state} && exec \"$@\"");
    let server =
        builder.under(&["unshare", "--mount", "--map-root-user", "sh", "-c", &script, "sh"]).start().ready();
    assert_eq!(put(&server, "f", "def f(): return 'old'").status, 201);
    let large = format!("def f(): return 'new'\n#{}", "x".repeat(4 << 20));
    for _ in 0..2 {
        let info = put(&server, "f", &large).info(507, "There is no room left for the function.");
        assert!(info.contains("functions.sqlite3") && info.contains("Make room"), "{info}");
        assert_eq!(called(&server, "f"), "old");
    }
    assert_eq!(put(&server, "f", "def f(): return 'small'").json()["version"], 2);
    assert_eq!(called(&server, "f"), "small");
}

#[test]
fn a_full_disk_of_postgres_loses_nothing() {
    let engine = Engine::Postgres(Postgres::start());
    let Engine::Postgres(postgres) = &engine else { unreachable!() };
    let server = engine.server();
    assert_eq!(put(&server, "f", "def f(): return 'old'").status, 201);
    // What Postgres says when a table cannot grow.
    postgres.ask(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left on device' \
         USING ERRCODE = 'disk_full'; END $$; \
         CREATE TRIGGER no_room BEFORE INSERT ON tabpy_versions FOR EACH ROW EXECUTE FUNCTION no_room()",
    );
    let info =
        put(&server, "f", "def f(): return 'new'").info(507, "There is no room left for the function.");
    assert!(info.contains("no space left") && info.contains("Make room"), "{info}");
    assert_eq!(called(&server, "f"), "old");
    let server = server.restart().ready();
    assert_eq!(called(&server, "f"), "old");
    postgres.ask("DROP TRIGGER no_room ON tabpy_versions");
    assert_eq!(put(&server, "f", "def f(): return 'new'").json()["version"], 2);
}
