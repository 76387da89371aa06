//! Black-box tests: each starts a server of its own and speaks to it as Tableau, a browser, an
//! operator or an attacker would. They know the wire and nothing of the source.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod evaluate;
mod output;
mod scope;
mod script_errors;
mod values;
