//! tabpy-rs
