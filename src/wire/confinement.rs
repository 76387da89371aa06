//! What scripts may reach beside what every script needs, as the settings say it. How much of that the
//! kernel can hold them to is the worker's to find out.

use std::path::PathBuf;

/// What scripts are kept from; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Confinement {
    /// Without it nothing below counts.
    pub on: bool,
    /// Paths that scripts may read, beside what every script needs.
    pub read: Vec<PathBuf>,
    /// Paths that they may write.
    pub write: Vec<PathBuf>,
    /// Whether they reach the network.
    pub network: bool,
    /// Paths that stay closed even where a folder above them is open.
    pub hidden: Vec<PathBuf>,
    /// The server's process, which no script may touch.
    pub server: u32,
}
