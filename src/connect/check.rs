//! Whether Tableau will be able to use a server: what it would meet on its way, each thing that is wrong
//! with its remedy. The same checks serve `doctor` and `connect`. They ask what Tableau asks (`/info`
//! and its own trial script) and change nothing.

mod answer;
mod certificate;
mod reach;
mod works;

use std::path::PathBuf;
use std::time::Duration;

use self::answer::Info;
pub(super) use self::reach::reach;
pub(super) use self::works::works;
use crate::web::Web;
use crate::web::trust::Trust;

/// Tableau's page lists the addresses by the site's pod, and they change.
const FIREWALL: &str = "a firewall or allowlist before the server must let Tableau Cloud's addresses in: 44.224.205.196 and \
                        44.230.200.109, and those that Tableau's help lists for your pod under \"Authorize Access to Cloud \
                        Data Published to Tableau Cloud\"";

/// By whose rules a server is judged.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Tableau Cloud: https, public certificates, a password.
    pub(super) cloud: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) patience: Duration,
}

/// A server that answered as one of ours.
pub(super) struct Reached {
    web: Web,
    first: Duration,
    pub(super) info: Info,
}

impl Rules {
    fn trust(&self) -> Trust {
        match self {
            Self { cloud: true, .. } => Trust::Public,
            Self { insecure: true, .. } => Trust::Anything,
            Self { ca_file, .. } => Trust::System { ca_file: ca_file.clone() },
        }
    }
}
