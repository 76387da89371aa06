//! The door to Python: bytes in, bytes out. Nothing outside this folder names pyo3. An [`Interpreter`]
//! evaluates one request at a time on the thread that started it; it never times anything, since a
//! script that takes too long is ended from outside, with its process.

// Open to the benches, which measure them without a server.
pub mod interpreter;
pub mod json;

mod aftermath;
mod arena;
mod arguments;
mod evaluate;
mod exception;
mod floats;
mod fork;
mod function;
mod functions;
mod modules;
mod outcome;
mod query;
mod script;
mod tabpy;
mod uuid;

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use pyo3::exceptions::PyModuleNotFoundError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::failure::Failure;
use crate::wire::{Confinement, Setup};
pub use aftermath::Aftermath;
pub use evaluate::{Asked, Source};
pub use fork::{Side, fork, is_alone};
use functions::Functions;
pub use outcome::Outcome;
pub use query::Wanted;
use script::Scripts;
use tabpy::TabPy;

/// What a worker's interpreter finds changed around it since it was started.
pub struct Surroundings<'a> {
    /// Modules that could not be imported earlier.
    pub import: &'a [String],
    /// The folder for temporary files that it was started with, and its own.
    pub old_folder: &'a Path,
    pub folder: &'a Path,
    pub confinement: &'a Confinement,
}

/// The one interpreter of a worker process.
pub struct Interpreter {
    prelude: Py<PyModule>,
    base_globals: Py<PyDict>,
    tabpy: Py<PyAny>,
    functions: Arc<Functions>,
    standard_output: [Py<PyAny>; 2],
    scripts: Scripts,
    max_response_bytes: usize,
    /// How much empty memory is kept for the next large request.
    kept_bytes: usize,
    /// The process as the first script finds it; there once [`Interpreter::get_ready`] was called.
    state: Option<Py<PyAny>>,
    thread_count: Py<PyAny>,
    /// Whether nothing but pure scripts has run here. Another one may have spoilt whoever judges that.
    innocent: bool,
}

impl Interpreter {
    /// Starts Python and imports what is to be there before the first script. The texts are
    /// warnings for the log.
    pub fn start(setup: &Setup) -> anyhow::Result<(Self, Vec<String>)> {
        interpreter::start(&setup.python)?;
        Python::attach(|py| {
            Self::prepare(py, setup).map_err(|error| {
                // Nothing but a module of the standard library is imported before those of the operator's, which may fail.
                if error.is_instance_of::<PyModuleNotFoundError>(py) {
                    return anyhow::anyhow!(
                        "{} is an environment of another build of Python {} than the one that this server was built \
                         with, and does not fit ({error}); let TABPY_PYTHON name one of the same build",
                        setup.python,
                        Self::version()
                    );
                }
                anyhow::Error::new(error)
            })
        })
        .context("Python did not get ready for scripts")
    }

    fn prepare(py: Python<'_>, setup: &Setup) -> PyResult<(Self, Vec<String>)> {
        module(py, include_str!("python/settings.py"), c"_tabpy_rs_settings")?;
        module(py, include_str!("python/state.py"), c"_tabpy_rs_state")?;
        module(py, include_str!("python/place.py"), c"_tabpy_rs_place")?;
        module(py, include_str!("python/foreign.py"), c"_tabpy_rs_foreign")?;
        module(py, include_str!("python/pure.py"), c"_tabpy_rs_pure")?;
        let prelude = module(py, include_str!("python/prelude.py"), c"_tabpy_rs")?;
        module(py, include_str!("python/archive.py"), c"_tabpy_rs_archive")?;
        let helpers = module(py, include_str!("python/functions.py"), c"_tabpy_rs_functions")?;
        let functions = Arc::new(Functions::new(setup.catalogue.clone(), helpers.clone().unbind()));
        let tabpy = Py::new(py, TabPy::new(Arc::clone(&functions), setup.max_response_bytes))?.into_any();
        helpers.setattr("TABPY", &tabpy)?;
        helpers.setattr("FOLDER", setup.catalogue.join("").to_string_lossy())?;
        modules::offer(py)?;
        prelude.getattr("set_up_output")?.call0()?;
        prelude.getattr("keep_signals")?.call0()?;
        let warnings = prelude.getattr("preload")?.call1((setup.preload.clone(),))?.extract()?;
        prelude.getattr("before_fork")?.call0()?;
        let system = py.import("sys")?;
        let collector = py.import("gc")?;
        // What was imported stays: no collection has to walk it again.
        collector.getattr("collect")?.call0()?;
        collector.getattr("freeze")?.call0()?;
        // Copies of this process would otherwise copy what is empty.
        arena::trim();
        let interpreter = Self {
            base_globals: prelude.getattr("base_globals")?.call0()?.cast_into::<PyDict>()?.unbind(),
            tabpy,
            functions,
            standard_output: [system.getattr("stdout")?.unbind(), system.getattr("stderr")?.unbind()],
            scripts: Scripts::default(),
            state: None,
            innocent: true,
            thread_count: py.import("_thread")?.getattr("_count")?.unbind(),
            max_response_bytes: setup.max_response_bytes,
            kept_bytes: setup.kept_bytes(),
            prelude: prelude.unbind(),
        };
        Ok((interpreter, warnings))
    }

    /// Modules that have left threads of their own behind, found by importing them one by one.
    pub fn threaded_modules(&self) -> Vec<String> {
        Python::attach(|py| {
            let found = self.prelude.bind(py).getattr("THREADED").and_then(|found| found.extract());
            found.unwrap_or_default()
        })
    }

    /// Where modules come from, and what the environment points libraries at.
    pub fn folders(&self) -> Vec<PathBuf> {
        Python::attach(|py| {
            let found =
                self.prelude.bind(py).getattr("folders").and_then(|folders| folders.call0()?.extract());
            found.unwrap_or_default()
        })
    }

    /// What modules know of temporary folders is no longer so: scripts' files have been removed.
    pub fn forget_folders(&self) {
        // Nothing in it fails; and if it did, the next script would see the error in its own words.
        let _ = Python::attach(|py| self.prelude.bind(py).getattr("forget_folders")?.call0().map(drop));
    }

    /// The last thing before the first script, in the process that runs it: draws random numbers of its
    /// own, writes to its own folder, imports what could not be imported before, and remembers the
    /// process as it is. The texts are warnings for the log.
    pub fn get_ready(&mut self, surroundings: &Surroundings<'_>) -> anyhow::Result<Vec<String>> {
        interpreter::keep_memory(self.kept_bytes);
        let Surroundings { import, old_folder, folder, confinement } = surroundings;
        let folders = (old_folder.to_string_lossy(), folder.to_string_lossy());
        let paths = |paths: &[PathBuf]| {
            paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let confined = confinement
            .on
            .then(|| (paths(&confinement.read), paths(&confinement.write), confinement.network));
        let ready = Python::attach(|py| {
            let prelude = self.prelude.bind(py);
            let arguments = (import.to_vec(), folders, confined);
            let warnings = prelude.getattr("after_fork")?.call1(arguments)?.extract()?;
            let imported = !import.is_empty();
            self.state = Some(prelude.getattr("watch_state")?.call1((imported,))?.unbind());
            Ok::<_, PyErr>(warnings)
        });
        ready.context("Python did not get ready for scripts")
    }

    /// The version of Python, as `3.11.7`.
    pub fn version() -> String {
        Python::attach(|py| {
            let version = py.version_info();
            format!("{}.{}.{}", version.major, version.minor, version.patch)
        })
    }

    /// Gives back the memory that was kept for another large request.
    pub fn rest(&self) {
        Python::attach(|_| {
            arena::trim();
            floats::trim();
        });
    }

    /// Whether there is such memory.
    pub fn keeps_memory(&self) -> bool {
        arena::keeps() || floats::keeps()
    }
}

/// Another text in a buffer that keeps its room.
fn replace(buffer: &mut Vec<u8>, text: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(text);
}

/// A module that comes with the server, run at once.
fn module<'py>(py: Python<'py>, source: &str, name: &CStr) -> PyResult<Bound<'py, PyModule>> {
    PyModule::from_code(py, &CString::new(source)?, c"<tabpy-rs>", name)
}

fn too_large(limit: usize, whose: &str) -> Failure {
    Failure::new(500, format!("Error processing {}", if whose == "script" { whose } else { "query" })).info(format!(
        "The {whose}'s answer is larger than {} MB, the limit of TABPY_MAX_RESPONSE_SIZE_MB. Return fewer or \
         shorter values, or raise that setting.",
        limit >> 20
    ))
}
