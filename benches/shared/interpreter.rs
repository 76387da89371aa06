//! An interpreter made ready as a worker's is, without a worker around it.

use anyhow::Result;
use tabpy_rs::python::{Interpreter, Surroundings};
use tabpy_rs::wire::{Confinement, PROTOCOL, Setup};
use tempfile::TempDir;

/// The interpreter, and the folder that it works in.
pub(crate) fn ready(python: String, preload: &[&str]) -> Result<(Interpreter, TempDir)> {
    let folder = tempfile::tempdir()?;
    let setup = Setup {
        protocol: PROTOCOL,
        python,
        preload: preload.iter().map(|module| (*module).to_owned()).collect(),
        import_in_worker: Vec::new(),
        max_response_bytes: 256 << 20,
        worker_memory_bytes: 4 << 30,
        script_disk_bytes: 1 << 30,
        confinement: Confinement::default(),
        folder: folder.path().to_owned(),
        catalogue: folder.path().join("catalogue"),
    };
    let (mut interpreter, _) = Interpreter::start(&setup)?;
    interpreter.get_ready(&Surroundings {
        import: &[],
        old_folder: folder.path(),
        folder: folder.path(),
        confinement: &setup.confinement,
    })?;
    Ok((interpreter, folder))
}
