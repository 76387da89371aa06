//! Deployed functions: what is kept, where, and that nothing is lost. The same tests on both engines.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod engine;

mod balanced;
mod deploying;
mod folder;
mod instances;
mod killing;
mod outage;
mod refusals;
mod stock;
