//! Requests of several clients that a worker is sent together, because their scripts are known to be light:
//! each still gets what it would get alone, whatever the others ask, and a script that could reach the others'
//! requests never runs beside them. The acts know the documented behaviour and nothing of the source.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod beyond;
mod crowd;

mod again;
mod alone;
mod answers;
mod judged;
mod killed;
mod leaving;
mod left_over;
mod limits;
mod memory;
mod once;
mod slow;
