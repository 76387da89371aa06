//! Deployed functions within a worker: which one a name means, and calling it. They are read from the
//! catalogue when a request first needs one after the catalogue has changed, loaded at their first call,
//! and kept until their object is gone. How one is loaded, and the words for failures, are functions.py's.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRecursionError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::script::Risk;
use crate::catalogue::{self, Content, Index, Kind, Trial};

/// Functions may query functions, but each level takes its part of the stack.
const MOST_LEVELS: usize = 64;

/// Aliases may lead to aliases.
const MOST_ALIASES: usize = 50;

thread_local! {
    static LEVEL: Cell<usize> = const { Cell::new(0) };
}

/// All functions that this worker may call. Threads of a script share it.
pub(super) struct Functions {
    catalogue: PathBuf,
    /// functions.py
    helpers: Py<PyModule>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest generation that a request has told of.
    newest: u64,
    index: Index,
    loaded: HashMap<Key, Arc<Loaded>>,
    /// What this request has called and loaded.
    risk: u8,
    has_loaded: bool,
}

/// An object, and the function within.
type Key = (String, Option<String>);

struct Loaded {
    function: Py<PyAny>,
    risk: u8,
    /// What it has set of its process when it was loaded, which is in force while it runs.
    settings: Option<Py<PyAny>>,
}

/// A function that a name stands for, and the version that was found.
struct Found {
    name: String,
    version: u32,
    content: Content,
}

/// What a call came to.
pub(super) enum Called<'py> {
    Returned {
        result: Bound<'py, PyAny>,
        name: String,
        version: u32,
    },
    /// `{"message", "info"}`, as the client or the script gets it.
    Failed {
        status: u16,
        failure: Bound<'py, PyAny>,
    },
}

/// What a request has done with functions.
pub(super) struct Used {
    pub(super) risk: Risk,
    pub(super) has_loaded: bool,
}

impl Functions {
    pub(super) fn new(catalogue: PathBuf, helpers: Py<PyModule>) -> Self {
        Self { catalogue, helpers, state: Mutex::default() }
    }

    /// A request begins that knows of this generation.
    pub(super) fn begin(&self, generation: u64) {
        let mut state = self.lock();
        state.newest = generation;
        state.risk = 0;
        state.has_loaded = false;
    }

    pub(super) fn used(&self) -> Used {
        let state = self.lock();
        Used { risk: Risk(state.risk), has_loaded: state.has_loaded }
    }

    /// Calls a function with arguments that nobody else holds.
    pub(super) fn call<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        version: u32,
        arguments: &Bound<'py, PyTuple>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Called<'py>> {
        let found = match self.find(py, name, version)? {
            Ok(found) => found,
            Err(failed) => return Ok(failed),
        };
        let helpers = self.helpers.bind(py);
        let loaded = match self.load(py, &found) {
            Ok(loaded) => loaded,
            Err(error) => {
                let failure =
                    helpers.call_method1(intern!(py, "not_loaded"), (&found.name, error.into_value(py)))?;
                return Ok(Called::Failed { status: 500, failure });
            }
        };
        let function = loaded.function.bind(py);
        if let Some(settings) = &loaded.settings {
            helpers.call_method1(intern!(py, "set_up"), (settings,))?;
        }
        match within_limits(|| function.call(arguments, named)) {
            Ok(result) => Ok(Called::Returned { result, name: found.name, version: found.version }),
            Err(error) => {
                let named = named.cloned().unwrap_or_else(|| PyDict::new(py));
                // With its traceback.
                let error = error.into_value(py);
                let told = (&found.name, function, arguments, named, error);
                let failure = helpers.call_method1(intern!(py, "raised"), told)?;
                Ok(Called::Failed { status: 500, failure })
            }
        }
    }

    /// The failure of a query whose arguments are no arguments, where the function is there.
    pub(super) fn refuse<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        version: u32,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Called<'py>> {
        match self.find(py, name, version)? {
            Ok(found) => {
                let text = format!(
                    "Query parameter needs to be a dictionary or a list. Given value is of type {}",
                    data.get_type().str()?
                );
                let failure =
                    self.helpers.bind(py).call_method1(intern!(py, "failed"), (found.name, text))?;
                Ok(Called::Failed { status: 500, failure })
            }
            Err(failed) => Ok(failed),
        }
    }

    /// The failure of a query whose result is no JSON.
    pub(super) fn unwritten<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        error: &PyErr,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.helpers.bind(py).call_method1(intern!(py, "unwritten"), (name, error.value(py)))
    }

    /// Loads an object, which need not be in the index, and gives what is told of its functions.
    pub(super) fn try_out<'py>(&self, py: Python<'py>, trial: &Trial) -> PyResult<Bound<'py, PyAny>> {
        let folder = catalogue::object(&self.catalogue, &trial.object);
        let kind = match trial.kind {
            Kind::Archive => "archive",
            Kind::Source => "source",
        };
        let arguments = (folder, kind, trial.function.as_deref(), trial.python.as_deref());
        let functions = self.helpers.bind(py).call_method1("try_out", arguments)?;
        let tried = PyDict::new(py);
        tried.set_item("functions", functions)?;
        Ok(tried.into_any())
    }

    /// The function behind a name, or how it is told that there is none.
    fn find<'py>(&self, py: Python<'py>, name: &str, version: u32) -> PyResult<Result<Found, Called<'py>>> {
        let helpers = self.helpers.bind(py);
        let failed = |name: &str, text: String| {
            let failure = helpers.call_method1(intern!(py, "failed"), (name, text))?;
            Ok(Err(Called::Failed { status: 500, failure }))
        };
        if let Err(error) = self.refresh(py) {
            return failed(name, format!("deployed functions cannot be read: {error}"));
        }
        let state = self.lock();
        let (mut target, mut wanted) = (name.to_owned(), version);
        for _ in 0..=MOST_ALIASES {
            let function = state.index.functions.get(&target);
            let version = function.map(|function| if wanted == 0 { function.current } else { wanted });
            let entry = function.zip(version).and_then(|(function, version)| function.versions.get(&version));
            match (entry, version) {
                (Some(entry), Some(version)) => match &entry.content {
                    Content::Alias { target: next } => {
                        (target, wanted) = (next.clone(), 0);
                    }
                    content => {
                        return Ok(Ok(Found { name: target, version, content: content.clone() }));
                    }
                },
                _ => {
                    let kept = function.map(|function| {
                        function.versions.keys().map(u32::to_string).collect::<Vec<_>>().join(", ")
                    });
                    drop(state);
                    let failure = helpers.call_method1(intern!(py, "missing"), (target, wanted, kept))?;
                    return Ok(Err(Called::Failed { status: 404, failure }));
                }
            }
        }
        drop(state);
        failed(
            name,
            format!(
                "'{name}' is an alias that leads back to itself, or through more than {MOST_ALIASES} others"
            ),
        )
    }

    /// Reads the index where it is older than what the request knows of.
    fn refresh(&self, py: Python<'_>) -> Result<(), String> {
        let gone: Vec<Arc<Loaded>>;
        let mut forgotten = Vec::new();
        {
            let mut state = self.lock();
            if state.newest <= state.index.generation {
                return Ok(());
            }
            let path = self.catalogue.join(catalogue::INDEX);
            let text = std::fs::read(path).map_err(|error| error.to_string())?;
            state.index = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            let versions = state.index.functions.values().flat_map(|function| function.versions.values());
            let kept: HashSet<String> =
                versions.filter_map(|version| version.object()).map(str::to_owned).collect();
            let dropped = state.loaded.extract_if(|(object, _), _| !kept.contains(object));
            let dropped: Vec<_> = dropped.collect();
            forgotten.extend(dropped.iter().map(|((object, _), _)| object.clone()));
            gone = dropped.into_iter().map(|(_, loaded)| loaded).collect();
        }
        // What a function holds may run code when it goes.
        drop(gone);
        for object in forgotten {
            let folder = catalogue::object(&self.catalogue, &object);
            // Nothing that it does can fail but for want of memory, which the next script will tell.
            let _ = self.helpers.bind(py).call_method1(intern!(py, "forget"), (folder,));
        }
        Ok(())
    }

    fn load(&self, py: Python<'_>, found: &Found) -> PyResult<Arc<Loaded>> {
        let (object, kind, function, python) = match &found.content {
            Content::Archive { object, python } => (object, "archive", None, python.as_deref()),
            Content::Source { object, function } => (object, "source", Some(function.clone()), None),
            Content::Alias { target } => (target, "alias", None, None),
        };
        let key = (object.clone(), function);
        {
            let mut state = self.lock();
            if let Some(loaded) = state.loaded.get(&key).map(Arc::clone) {
                state.risk |= loaded.risk;
                return Ok(loaded);
            }
            // Also one that fails to load may have left something behind.
            state.has_loaded = true;
        }
        let folder = catalogue::object(&self.catalogue, object);
        let arguments = (folder, kind, key.1.as_deref(), python);
        let made = self.helpers.bind(py).call_method1(intern!(py, "load"), arguments)?;
        let (function, risk, settings): (Py<PyAny>, u8, Option<Py<PyAny>>) = made.extract()?;
        let loaded = Arc::new(Loaded { function, risk, settings });
        let kept = {
            let mut state = self.lock();
            state.risk |= risk;
            Arc::clone(state.loaded.entry(key).or_insert_with(|| Arc::clone(&loaded)))
        };
        // Another thread may have been faster; what then goes runs code of its own, and not under the lock.
        drop(loaded);
        Ok(kept)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No Python runs while it is held, so no thread that waits for it keeps the interpreter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls a function, unless too many are being called already, each by the one before.
fn within_limits<'py>(call: impl FnOnce() -> PyResult<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let level = LEVEL.get();
    if level == MOST_LEVELS {
        return Err(PyRecursionError::new_err(format!(
            "functions query each other more than {MOST_LEVELS} levels deep"
        )));
    }
    LEVEL.set(level + 1);
    let outcome = call();
    LEVEL.set(level);
    outcome
}
