//! tabpy-rs: a drop-in for Tableau's TabPy. A quiet front, a small pool, a worker behind a wire,
//! Python behind one door; ARCHITECTURE.md is the map.

pub mod config;
pub mod credentials;
pub mod failure;
pub mod http;
pub mod pool;
pub mod python;
pub mod startup;
pub mod telemetry;
pub mod wire;
pub mod worker;
