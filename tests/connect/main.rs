//! `connect`, `doctor`, `deploy` and `functions`: the commands that speak to other machines. Tableau is
//! a stand-in that takes nothing it does not know (the real one can't be had), and a second witness,
//! Tableau's own Python client, signs in to the same stand-in. The server under check is the real one,
//! behind a TLS terminator with certificates of every kind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod cloud;
mod command;
mod deploy;
mod doctor;
mod documented;
mod functions_server;
mod http;
mod interruption;
mod proxy;
mod refusals;
mod register;
mod secrets;
mod tableau;
mod terminal;
mod terminator;
mod witness;
