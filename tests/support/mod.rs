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

/// Asks until `ready` gives a value or the time is over. A machine that stands still for a while is nobody's delay, so a
/// pause between two questions counts for no more than it may take on a busy one.
pub fn wait_for<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    const PAUSE: Duration = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    loop {
        let asked = Instant::now();
        if let Some(value) = ready() {
            return Some(value);
        }
        if waited >= limit {
            return None;
        }
        let answered = Instant::now();
        std::thread::sleep(PAUSE);
        waited += answered - asked + answered.elapsed().min(10 * PAUSE);
    }
}
