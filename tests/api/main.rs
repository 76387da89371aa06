//! Black-box tests: each starts a server of its own and speaks to it as Tableau, a browser, an
//! operator or an attacker would. They know the wire and nothing of the source.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod authentication;
mod bench;
mod browser;
mod command_line;
mod common_memory;
mod deadline;
mod death;
mod descriptors;
mod early;
mod edge;
mod evaluate;
mod figures;
mod large;
mod limits;
mod logs;
mod openness;
mod orders;
mod output;
mod protocol;
mod scope;
mod script_errors;
mod secrets;
mod service;
mod settings;
mod shutdown;
mod values;
