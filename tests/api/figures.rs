//! `/metrics` and `/live`: what operators look at, whom they tell it, and what they never tell.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Request, Server};

const SECRETIVE: &str = "raise ValueError('a secret of the script: ' + _arg1[0])";

fn busy_server() -> Server {
    let server = Server::builder().start();
    for _ in 0..3 {
        server.evaluate("return 1", json!({})).is(200, "1");
    }
    server.evaluate(SECRETIVE, json!({"_arg1": ["a secret of the data"]})).error(500);
    server.evaluate("import os\nos._exit(3)", json!({})).error(500);
    server.send(&Request::post("/query/nobody", r#"{"data": {}}"#)).error(404);
    server
}

#[test]
fn metrics_count_requests_workers_and_functions() {
    let server = busy_server();
    let answer = server.send(&Request::get("/metrics"));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    let text = answer.text();
    for line in [
        "tabpy_requests_total{route=\"/evaluate\",status=\"200\"} 3",
        "tabpy_requests_total{route=\"/evaluate\",status=\"500\"} 2",
        "tabpy_requests_total{route=\"/query/{name}\",status=\"404\"} 1",
        "tabpy_workers_ended_total{reason=\"died\"} 1",
        "tabpy_function_calls_total{function=\"(other)\",status=\"404\"} 1",
        "tabpy_queue_length 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let memory = text.lines().find_map(|line| line.strip_prefix("tabpy_memory_bytes ")).unwrap();
    assert!(memory.parse::<u64>().unwrap() > 10 << 20, "{memory}");
    assert!(!text.contains("secret"), "{text}");
    // Each name is explained once, as the format demands.
    let explained: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let names: BTreeSet<&str> = explained.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), explained.len());
}

#[test]
fn live_shows_the_last_minutes_and_errors_without_their_data() {
    let server = busy_server();
    let answer = server.send(&Request::get("/live"));
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    let live: Value = serde_json::from_slice(&answer.body).unwrap();
    let sum = |field: &str| {
        live["points"].as_array().unwrap().iter().map(|point| point[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((sum("requests"), sum("errors")), (6, 3));
    let errors: Vec<(&str, u64)> = live["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["kind"].as_str().unwrap(), error["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(errors, [("UnknownURI", 404), ("Error processing script", 500), ("ValueError", 500)]);
    assert_eq!(live["errors"][2]["line"], 1);
    let id = live["errors"][2]["request_id"].as_str().unwrap();
    server.wait_for_log(&format!("request_id={id}"));
}

#[test]
fn figures_ask_for_credentials_unless_metrics_are_open() {
    for (open, expected) in [("false", 401), ("true", 200)] {
        let server = Server::builder()
            .env("TABPY_USERNAME", "ann")
            .env("TABPY_PASSWORD", "secret")
            .env("TABPY_METRICS_OPEN", open)
            .start();
        assert_eq!(server.send(&Request::get("/metrics")).status, expected);
        assert_eq!(server.send(&Request::get("/metrics").login("ann", "secret")).status, 200);
        assert_eq!(server.send(&Request::get("/live")).status, 401);
        assert_eq!(server.send(&Request::post("/metrics", "").login("ann", "secret")).status, 405);
    }
}

#[test]
fn prometheus_own_tool_finds_nothing_to_complain_of() {
    let text = busy_server().get("/metrics").text();
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing; `make test` installs it");
        eprintln!("SKIPPED: promtool is missing");
        return;
    };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

/// Words that begin with `tabpy_`, without what Prometheus puts behind a histogram's name.
fn names_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("tabpy_"));
    names
        .map(|name| {
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
        })
        .collect()
}

#[test]
fn the_documents_name_the_figures_that_there_are() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = std::fs::read_to_string(docs.join("metrics.md")).unwrap();
    let dashboard = std::fs::read_to_string(docs.join("grafana-dashboard.json")).unwrap();
    let told = busy_server().get("/metrics").text();
    let shown: BTreeSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(shown.len() > 5, "{shown:?}");
    let explained = names_in(&page);
    assert!(shown.is_subset(&explained), "metrics.md lacks {:?}", shown.difference(&explained));
    let drawn = names_in(&dashboard);
    assert!(drawn.is_subset(&explained), "the dashboard draws {:?}", drawn.difference(&explained));
}
