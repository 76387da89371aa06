//! Deployed functions: what a worker does with them, frame by frame, and all of it over HTTP.

#[path = "../support/mod.rs"]
mod support;

mod calling;
mod worker;
