//! Scripts and clients that mean harm, each against a running server: what they ask gets one clean
//! answer in time, and nobody else notices. After every act the checks of `arena` hold: `/info`
//! and the next call are quick, a well-behaved client saw no failure, nothing is left behind.
//! The acts know the documented behaviour and nothing of the source.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod arena;
mod footprint;
mod good_client;
mod shelter;

mod allowed;
mod bombs;
mod clients;
mod descriptors;
mod endings;
mod endless;
mod floods;
mod forks;
mod killing;
mod later;
mod left_over;
mod memory;
mod pool;
mod prying;
mod random_numbers;
mod recursion;
mod requests;
mod soak;
mod state;
