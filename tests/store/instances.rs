//! Several at once: instances on one Postgres agree at once, and where two change the same, one is told.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::engine::{Engine, called, eventually, on_both_engines, put, query, send};
use crate::support::{PATIENCE, Postgres, Request, Server};

on_both_engines! {
    of_two_who_deploy_one_name_at_once_one_wins_and_the_other_is_told
}

/// Loads long enough for two to meet.
const SLOW: &str = "import time\ntime.sleep(1.5)\ndef f():\n    return 'slow'\n";

fn two() -> (Engine, Server, Server) {
    let engine = Engine::Postgres(Postgres::start());
    let (one, other) = (engine.builder(), engine.builder());
    let (one, other) = (one.start(), other.start());
    (engine, one.ready(), other.ready())
}

#[test]
fn what_one_deploys_the_other_calls_before_it_would_look_by_itself() {
    let (engine, one, other) = two();
    // Half of the time between two looks.
    let soon = Duration::from_millis(2500);
    for version in 1..=4 {
        let (here, there) = if version % 2 == 1 { (&one, &other) } else { (&other, &one) };
        let answer = put(here, "f", &format!("def f():\n    return {version}\n"));
        assert_eq!(answer.json()["version"], version, "{}", answer.text());
        eventually("the other has it", soon, || {
            query(there, "f", &json!([])).json()["response"] == json!(version)
        });
    }
    assert_eq!(called(&one, "f?version=1"), json!(1));
    assert_eq!(
        send(
            &one,
            &Request::new("PUT", "/endpoints/f").body(
                json!({"description": "new", "src_path": one.path("state/staging/endpoints/f/4")})
                    .to_string()
            )
        )
        .status,
        200
    );
    eventually("the other knows", soon, || other.get("/endpoints/f").json()["description"] == "new");

    // Notifications that are lost are made up for by looking.
    let Engine::Postgres(postgres) = &engine else { unreachable!() };
    postgres
        .ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tabpy-rs'");
    assert_eq!(send(&other, &Request::new("DELETE", "/functions/f")).status, 204);
    eventually("it is gone from both", 4 * PATIENCE, || query(&one, "f", &json!([])).status == 404);
    let answer = put(&one, "f", "def f():\n    return 'anew'\n");
    assert_eq!(answer.json()["version"], 1, "{}", answer.text());
    eventually("the other has it", 4 * PATIENCE, || query(&other, "f", &json!([])).status == 200);
}

#[test]
fn of_two_instances_that_deploy_one_name_at_once_one_wins_and_the_other_is_told() {
    let (_engine, one, other) = two();
    assert_eq!(put(&one, "f", "def f():\n    return 'first'\n").status, 201);
    eventually("the other has it", PATIENCE, || query(&other, "f", &json!([])).status == 200);
    one_of_two_wins(&one, &other);
}

fn of_two_who_deploy_one_name_at_once_one_wins_and_the_other_is_told(engine: &mut Engine) {
    let server = engine.server();
    assert_eq!(put(&server, "f", "def f():\n    return 'first'\n").status, 201);
    one_of_two_wins(&server, &server);
}

#[track_caller]
fn one_of_two_wins(here: &Server, there: &Server) {
    let answers = thread::scope(|scope| {
        let deploy = |server| scope.spawn(move || put(server, "f", SLOW));
        [deploy(here), deploy(there)].map(|thread| thread.join().unwrap())
    });
    let mut statuses = answers.each_ref().map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let told = answers.iter().find(|answer| answer.status == 409).unwrap();
    let message = "Another endpoint update is already in progress, please wait a while and try again";
    assert!(told.info(409, message).contains("this change was not made"));
    eventually("it is in force", PATIENCE, || here.get("/endpoints/f").json()["version"] == 2);
    assert_eq!(called(here, "f"), "slow");
}

#[test]
fn instances_that_start_together_make_the_tables_together() {
    let engine = Engine::Postgres(Postgres::start());
    let servers: Vec<Server> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| engine.server())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for server in &servers {
        assert!(!server.log().contains("level=error"), "{}", server.log());
    }
    assert_eq!(put(&servers[0], "f", "def f(): return 1").status, 201);
    for server in &servers {
        eventually("all have it", PATIENCE, || query(server, "f", &json!([])).status == 200);
    }
    let Engine::Postgres(postgres) = &engine else { unreachable!() };
    let tables = postgres.ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1");
    assert_eq!(tables, "tabpy_files\ntabpy_generation\ntabpy_migrations\ntabpy_versions\n");
}
