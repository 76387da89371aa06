//! JSON to Python objects and back, in one pass each way.
