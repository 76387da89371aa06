//! The two engines, and the macro that runs each test on both.

use std::time::Duration;

use serde_json::Value;

use crate::support::server::Builder;
use crate::support::{Postgres, Request, Response, Server, wait_for};

/// How long a deployment may take on a busy machine.
pub const DEPLOY_PATIENCE: Duration = Duration::from_secs(60);

pub enum Engine {
    Sqlite,
    Postgres(Postgres),
}

impl Engine {
    pub fn builder(&self) -> Builder {
        match self {
            Self::Sqlite => Server::builder(),
            Self::Postgres(postgres) => Server::builder().env("DATABASE_URL", postgres.url()),
        }
    }

    #[track_caller]
    pub fn server(&self) -> Server {
        self.builder().start().ready()
    }
}

/// Makes two tests of each function `fn name(engine: &mut Engine)`.
macro_rules! on_both_engines {
    ($($name:ident)*) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&mut $crate::engine::Engine::Sqlite); })*
        }
        mod on_postgres {
            $(#[test] fn $name() {
                super::$name(&mut $crate::engine::Engine::Postgres($crate::support::Postgres::start()));
            })*
        }
    };
}
pub(crate) use on_both_engines;

/// Source that is deployed under a name.
pub fn put(server: &Server, name: &str, source: &str) -> Response {
    send(server, &Request::new("PUT", &format!("/functions/{name}")).body(source))
}

/// For answers that wait for a trial.
pub fn send(server: &Server, request: &Request) -> Response {
    let mut connection = server.connect();
    connection.set_patience(DEPLOY_PATIENCE);
    connection.send(request)
}

pub fn query(server: &Server, target: &str, data: &Value) -> Response {
    send(server, &Request::post(&format!("/query/{target}"), serde_json::json!({"data": data}).to_string()))
}

/// The member `response` of what a function answers to no arguments.
#[track_caller]
pub fn called(server: &Server, target: &str) -> Value {
    let answer = query(server, target, &serde_json::json!([]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["response"].clone()
}

pub fn versions(server: &Server, name: &str) -> Vec<u64> {
    let answer = server.get(&format!("/functions/{name}/versions")).json();
    answer["versions"].as_array().unwrap().iter().map(|one| one["version"].as_u64().unwrap()).collect()
}

#[track_caller]
pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    assert!(wait_for(limit, || holds().then_some(())).is_some(), "it never came to be: {what}");
}
