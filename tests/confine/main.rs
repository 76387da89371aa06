//! What scripts can still do under confinement, and what they cannot. Everything is tried by a script
//! on a running server. What a kernel cannot hold is not asserted there: the server says in its log
//! what holds, and each test reads it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod allowed;
mod folder;
mod held;
mod network;
mod other_processes;
mod paths;
mod settings;
mod users;
