//! Real proxies before the server, set up by the files of deploy/ as they are documented: nginx and Caddy for
//! TLS, HAProxy before two servers. Where one of them is missing its tests are skipped, and fail in CI.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod balancer;
mod certificates;
mod curl;
mod proxy;
mod tls;
