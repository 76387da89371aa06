//! What a worker, or the fork server, says of itself once it is ready, by which the front knows whom it
//! has got.

/// The first thing that a worker says, as the body of its first reply.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hello {
    pub protocol: u32,
    pub python_version: String,
    /// Sentences for the log: a module that is missing, and the like.
    pub warnings: Vec<String>,
    /// What scripts are kept from here, in words for the log; empty from the fork server.
    pub confinement: String,
    /// Whether it can read bodies in the memory that it was born with.
    pub reads_memory: bool,
}
