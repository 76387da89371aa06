//! Deployed functions: what a worker does with them, frame by frame, and all of it over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod calling;
mod client;
mod documented;
mod http;
mod loading;
mod shipped;
mod state;
mod tools;
mod trial;
mod worker;
