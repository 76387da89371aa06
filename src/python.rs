//! The door to Python: bytes in, bytes out. Nothing outside this folder names pyo3. An [`Interpreter`]
//! evaluates one request at a time on the thread that started it; it never times anything, since a
//! script that takes too long is ended from outside, with its process.

// Open to the benches, which measure them without a server.
pub mod interpreter;
pub mod json;

mod arena;
mod arguments;
mod exception;
mod floats;
mod fork;
mod function;
mod functions;
mod modules;
mod outcome;
mod query;
mod script;
mod uuid;

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::failure::Failure;
use crate::mapping;
use crate::wire::{Confinement, LONG, PART, Setup};
use arguments::Call;
use exception::Stage;
pub use fork::{Side, fork, is_alone};
use functions::{Functions, TabPy};
pub use outcome::{Aftermath, Outcome};
pub use query::Wanted;
use script::{Risk, Scripts};

/// What a worker's interpreter finds changed around it since it was started.
pub struct Surroundings<'a> {
    /// Modules that could not be imported earlier.
    pub import: &'a [String],
    /// The folder for temporary files that it was started with, and its own.
    pub old_folder: &'a Path,
    pub folder: &'a Path,
    pub confinement: &'a Confinement,
}

/// How a body is to be evaluated.
pub struct Asked {
    /// The newest generation of deployed functions.
    pub generation: u64,
    pub only_if_pure: bool,
    /// Whether a long answer may be written by two threads.
    pub write_beside: bool,
}

/// Where a body is.
pub enum Source<'a> {
    /// The buffer holds it from `start` on, or the beginning of it, and `read` gives the rest.
    Buffer { start: usize, length: usize, read: &'a mut json::Read<'a> },
    /// Another process puts it in its place, and `told` says how much of it is there.
    Memory { place: mapping::Place<'a>, told: &'a mut json::Told<'a> },
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
        Python::attach(|py| Self::prepare(py, setup)).context("Python did not get ready for scripts")
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

    /// Evaluates the body of a `POST /evaluate`, writes the answer to `buffer`, where the body may have been, and hands
    /// that to `reply` before the arguments are freed and the process is put right, which takes its time. Says, too, what that has come to. With `only_if_pure`, a script that is not is declined; else
    /// the first such script of the process is `confessed` before it can do anything, and not run if nobody hears,
    /// and a long answer goes to `part` as it is written, up to its last part.
    pub fn evaluate<R>(
        &mut self,
        buffer: &mut Vec<u8>,
        source: Source<'_>,
        asked: &Asked,
        confess: impl FnOnce() -> bool,
        mut part: impl FnMut(&[u8]) -> bool,
        reply: impl FnOnce(Outcome, &[u8]) -> R,
    ) -> (R, Aftermath) {
        self.functions.begin(asked.generation);
        Python::attach(|py| {
            let prelude = self.prelude.clone_ref(py);
            let prelude = prelude.bind(py);
            let parsed = interpreter::without_collector(|| {
                let mut coming = match source {
                    Source::Buffer { start, length, read } => json::Coming::new(buffer, start, length, read),
                    Source::Memory { place, told } => json::Coming::in_memory(place, told),
                };
                json::parse_coming(py, &mut coming)
            });
            buffer.clear();
            let answer = buffer;
            let input = match parsed {
                Ok(input) => input,
                Err(error) => {
                    let described = exception::describe(prelude, &error, None, Stage::Running);
                    let outcome = Outcome { pure: true, ..Outcome::of(described.status) };
                    return (reply(outcome, &described.body), Aftermath::Untouched);
                }
            };
            let call = match Call::read(&input) {
                Ok(call) => call,
                Err(failure) => {
                    let outcome = Outcome { pure: true, ..Outcome::of(failure.status) };
                    return (reply(outcome, &failure.body()), Aftermath::Untouched);
                }
            };
            let rows_in = call.rows();
            let mut first = None;
            let mut part = |bytes: &[u8]| {
                first = first.or(bytes.first().copied());
                part(bytes)
            };
            let (mut outcome, risk) = self.run(prelude, &call, asked, confess, &mut part, answer);
            if outcome.status != 200 {
                first = None;
            }
            // Columns are for table extensions, which take any number of rows.
            outcome.fit(rows_in, first.or(answer.first().copied()) == Some(b'{'));
            let finished = self.finish(py, outcome, answer, risk, reply);
            drop(input);
            call.let_go();
            finished
        })
    }

    fn run(
        &mut self,
        prelude: &Bound<'_, PyModule>,
        call: &Call<'_>,
        asked: &Asked,
        confess: impl FnOnce() -> bool,
        part: &mut dyn FnMut(&[u8]) -> bool,
        answer: &mut Vec<u8>,
    ) -> (Outcome, Risk) {
        let Asked { only_if_pure, write_beside, .. } = *asked;
        let running = |error| Trouble::Raised(error, Stage::Running);
        let script = self
            .scripts
            .get(prelude, &call.script, call.arguments.len())
            .map_err(|error| Trouble::Raised(error, Stage::Compiling));
        // A script that does not compile does nothing.
        let (risk, pure) = script.as_ref().map_or((Risk::NONE, true), |script| (script.risk, script.pure));
        let first = self.innocent && !pure;
        let may_run = if only_if_pure { self.innocent && pure } else { !first || confess() };
        if !may_run {
            return (Outcome { declined: true, ..Outcome::of(500) }, risk);
        }
        self.innocent &= pure;
        let base_globals = self.base_globals.bind(prelude.py());
        let limit = self.max_response_bytes;
        let written = script.and_then(|script| {
            let globals = base_globals.copy().map_err(running)?;
            let function = script.function(prelude, &globals).map_err(running)?;
            let result = call.invoke(&function, &self.tabpy).map_err(running)?;
            let rows = json::rows(&result);
            let written = if only_if_pure {
                json::write(&result, answer, limit)
            } else {
                json::write_in_parts(
                    &result,
                    answer,
                    json::Parts { first: LONG, length: PART, beside: write_beside, take: part },
                    limit,
                )
            };
            written.map_err(|error| match error {
                json::WriteError::Python(error) => running(error),
                json::WriteError::TooLarge => Trouble::TooLarge,
            })?;
            // A function that a script made global holds its globals, and they it.
            if globals.len() > base_globals.len() {
                globals.clear();
            }
            Ok(rows)
        });
        let outcome = match written {
            Ok(rows_out) => Outcome { rows_out, ..Outcome::of(200) },
            Err(Trouble::Raised(error, stage)) => {
                let described = exception::describe(prelude, &error, Some(&call.script), stage);
                replace(answer, &described.body);
                Outcome::of(described.status)
            }
            Err(Trouble::TooLarge) => {
                let failure = too_large(limit, "script");
                replace(answer, &failure.body());
                Outcome::of(failure.status)
            }
        };
        (Outcome { pure, ..outcome }, risk)
    }

    /// Replies, and then leaves the process as the next script may expect it.
    fn finish<R>(
        &self,
        py: Python<'_>,
        mut outcome: Outcome,
        answer: &[u8],
        risk: Risk,
        reply: impl FnOnce(Outcome, &[u8]) -> R,
    ) -> (R, Aftermath) {
        if outcome.declined || outcome.pure && self.innocent {
            return (reply(outcome, answer), Aftermath::Untouched);
        }
        let heard = self.flush(py);
        let whole = risk.and(self.functions.used().risk);
        // Told with the reply, so that another worker is made at once; the rest is looked into afterwards.
        outcome.last = !heard || whole.is_beyond_repair() || whole != Risk::NONE && self.has_company(py);
        let last = outcome.last;
        let replied = reply(outcome, answer);
        let right = !last && self.is_right(py, risk);
        (replied, if right { Aftermath::PutRight } else { Aftermath::Spoilt })
    }

    /// Sends what was printed on its way before the answer; says whether that worked.
    fn flush(&self, py: Python<'_>) -> bool {
        let mut heard = true;
        for (name, stream) in [c"stdout", c"stderr"].iter().zip(&self.standard_output) {
            let stream = stream.bind(py);
            // A script may have closed it, or the descriptor below.
            heard &= stream.call_method0("flush").is_ok();
            interpreter::set_system_object(py, name, stream);
        }
        heard
    }

    /// Leaves the process as the next script may expect it, if it can be.
    fn is_right(&self, py: Python<'_>, risk: Risk) -> bool {
        interpreter::restore_collector();
        // Libraries leave threads and processes behind without the script's naming any.
        if self.has_company(py) {
            return false;
        }
        let used = self.functions.used();
        let whole = risk.and(used.risk).and(if used.has_loaded { Risk::LOADING } else { Risk::NONE });
        if whole == Risk::NONE {
            return true;
        }
        let Some(state) = &self.state else { return false };
        // Where the script itself may have changed modules, nobody can say who it was.
        let accept = used.has_loaded && !risk.and(used.risk).is_about_objects();
        let restored = state.bind(py).call_method1("restore", (whole.0, accept));
        restored.and_then(|restored| restored.extract()).unwrap_or(false)
    }

    /// Whether there are threads or child processes.
    fn has_company(&self, py: Python<'_>) -> bool {
        let threads = self.thread_count.bind(py).call0().and_then(|count| count.extract::<usize>());
        !matches!(threads, Ok(0)) || has_children()
    }
}

/// Whether this process has children, ended ones included.
fn has_children() -> bool {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD))
}

/// What keeps a script from an answer.
enum Trouble {
    Raised(PyErr, Stage),
    TooLarge,
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
