//! The door to Python: bytes in, bytes out. Nothing outside this folder names pyo3.

pub mod interpreter;
pub mod json;
