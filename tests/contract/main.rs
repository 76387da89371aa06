//! The server's own description of its API, held against the server: by its table of routes, by schemathesis
//! (from PyPI), and by newman, which runs the Postman collection of docs/.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod document;
mod tools;

use support::Server;

pub const USER: &str = "ann";
pub const PASSWORD: &str = "secret";

fn server() -> Server {
    let add = "def add(x, y):\n    return [a + b for a, b in zip(x, y)]\n";
    Server::builder()
        .env("TABPY_USERNAME", USER)
        .env("TABPY_PASSWORD", PASSWORD)
        // Always there, whatever is deleted.
        .file("add.py", add)
        .env("TABPY_FUNCTIONS_PATH", ".")
        .start()
        .ready()
}
