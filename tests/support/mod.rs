//! The test bench: a real server process, a client that sends exact bytes, and a look at `/proc`.
//! Every test owns its server, its folder and its port, so tests run side by side. Waits are
//! bounded and end as soon as the awaited thing is there; nothing here asserts a speed.

// Each test binary compiles the whole bench and uses its own part of it, as it would a library.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod balancer;
pub mod client;
pub mod orders;
pub mod port;
pub mod postgres;
pub mod processes;
pub mod server;
pub mod tabpy;

pub use client::{Connection, Request, Response, basic};
pub use postgres::Postgres;
pub use server::{Builder, Exit, Server};

use std::time::{Duration, Instant};

/// How long a test waits for something that ought to happen soon.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a server may take to start: a debug build on a busy machine imports pandas in this time.
pub const START_PATIENCE: Duration = Duration::from_secs(15);

/// Asks until `ready` gives a value or the time is over.
pub fn wait_for<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
