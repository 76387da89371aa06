//! What a worker gives up before it runs a script: files that are not for scripts, capabilities, and
//! system calls that reach other processes. Each layer goes as far as the kernel allows, and what
//! holds is told to the front in words; nothing here fails the worker, and nothing can be taken back.

mod calls;
mod capabilities;
mod landlock;
mod opened;
mod places;
mod seccomp;
mod shared_memory;

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::DumpableBehavior;

use crate::wire::{Confinement, Setup};
use opened::Opened;
use seccomp::Filters;

/// What is looked up before a worker is there; all workers of a fork server have it in common.
pub(super) struct Prepared {
    opened: Opened,
    /// The folders that the interpreter imports from.
    python: Vec<PathBuf>,
    filters: Result<Filters, seccompiler::Error>,
}

impl Prepared {
    pub(super) fn new(setup: &Setup, python: Vec<PathBuf>) -> Self {
        let wanted = &setup.confinement;
        let places = if wanted.on { places::common(wanted, &setup.catalogue, &python) } else { Vec::new() };
        Self { opened: Opened::ahead(places, &wanted.hidden), python, filters: Filters::new(wanted) }
    }
}

/// What came of it.
pub(super) struct Confined {
    /// In words for the log: what holds.
    pub(super) report: String,
    /// A folder that is the worker's own beside its temporary one.
    pub(super) own: Option<&'static Path>,
    /// Sentences for the log.
    pub(super) warnings: Vec<String>,
}

/// Confines the calling thread, and every thread and process that it starts from now on.
pub(super) fn confine(setup: &Setup, folder: &Path, prepared: Prepared) -> Confined {
    let wanted = &setup.confinement;
    if !wanted.on {
        return Confined { report: "off".to_owned(), own: None, warnings: Vec::new() };
    }
    let own = shared_memory::own(setup.script_disk_bytes).then(|| Path::new(shared_memory::PLACE));
    hide_memory(true);
    let mut warnings = Vec::new();
    let Prepared { opened, python, filters } = prepared;
    let mut places = opened.now();
    for (path, right) in places::own(folder) {
        places.extend(opened::open(&path, right, &wanted.hidden));
    }
    let privileged = capabilities::any();
    let dropped = capabilities::drop_all();
    if privileged && dropped {
        warnings.extend(unreadable(wanted, &python));
    }
    let held = landlock::restrict(&places, wanted.network);
    drop(places);
    // Landlock keeps workers from each other's memory, and the server measures it.
    hide_memory(!held.holds());
    let filtered = filters.and_then(|filters| filters.install(held.scoped()));
    let network = match (wanted.network, filtered.is_ok() || held.closes_network()) {
        (true, _) => "network allowed",
        (false, true) => "network closed",
        (false, false) => {
            warnings.push(
                "TABPY_SCRIPT_NETWORK=false cannot be held on this kernel: scripts do reach the network"
                    .to_owned(),
            );
            "network allowed"
        }
    };
    let report = [
        held.to_string(),
        filtered.map_or_else(|error| format!("no seccomp ({error})"), |()| "seccomp".to_owned()),
        if dropped { "no capabilities" } else { "capabilities kept" }.to_owned(),
        if own.is_some() { "own /dev/shm" } else { "common /dev/shm" }.to_owned(),
        network.to_owned(),
    ];
    Confined { report: report.join(", "), own, warnings }
}

/// Closes this process's memory and environment in `/proc` to others of the same user.
pub(crate) fn hide_memory(hide: bool) {
    let behaviour = if hide { DumpableBehavior::NotDumpable } else { DumpableBehavior::Dumpable };
    // No kernel refuses this; and if one did, the other layers are still there.
    let _ = rustix::process::set_dumpable_behavior(behaviour);
}

/// What root reads only by its capabilities, which are gone by now.
fn unreadable(wanted: &Confinement, python: &[PathBuf]) -> Vec<String> {
    let paths = python.iter().chain(&wanted.read).chain(&wanted.write);
    let closed = paths.filter(|path| path.exists() && access(path.as_path(), Access::READ_OK).is_err());
    let sentence = |path: &PathBuf| {
        format!(
            "{} belongs to another user than the server's, so scripts cannot read it: they lack root's \
             capabilities. Change its owner or mode, run the server as that user, or set TABPY_CONFINE=off",
            path.display()
        )
    };
    closed.map(sentence).collect()
}
