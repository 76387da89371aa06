//! Functions of a running server, from elsewhere.
