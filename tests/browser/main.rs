//! The page in a real Chromium: what the person sees who has just started a server. Pictures are kept
//! below `target/tmp/screenshots`.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod driver;
mod page;
