//! A user's script: compiled once per worker, called with a fresh set of globals every time. The
//! cache is bounded by the bytes of the scripts it holds; scripts are compared whole, never by hash.

use std::cell::OnceCell;
use std::collections::HashMap;

use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// Scripts of a view are few and short; this bounds what a program that generates scripts can pile up.
const CACHE_BYTES: usize = 8 << 20;

/// A compiled script, ready to become a function.
pub(super) struct Compiled {
    code: Py<PyAny>,
    /// Names that the script uses without importing them; and what stands behind them, once it has run. Finding that
    /// imports packages, which is not done beside other clients' requests.
    used: Vec<Py<PyString>>,
    provided: OnceCell<Vec<(Py<PyString>, Py<PyAny>)>>,
    /// Whether the script speaks of itself, as a recursive one does.
    names_itself: bool,
    pub(super) risk: Risk,
    /// Whether it computes its answer from its arguments and does nothing else; see pure.py.
    pub(super) pure: bool,
}

/// What a script may leave behind, judged by the names and operations in its code; the kinds are
/// state.py's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Risk(pub(super) u8);

impl Risk {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn is_beyond_repair(self) -> bool {
        const BEYOND_REPAIR: u8 = 8;
        self.0 & BEYOND_REPAIR != 0
    }

    /// Loading a function: the process, objects, random numbers, settings.
    pub(super) const LOADING: Self = Self(1 | OBJECTS | 4 | 16);

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn is_about_objects(self) -> bool {
        self.0 & OBJECTS != 0
    }

    /// Whether some of the code may run when the script is over.
    pub(super) fn runs_later(self) -> bool {
        self.0 & LATER != 0
    }
}

const OBJECTS: u8 = 2;
const LATER: u8 = 64;

/// Compiled scripts by their text and their number of arguments.
#[derive(Default)]
pub(super) struct Scripts {
    compiled: HashMap<Box<str>, Vec<(usize, Compiled)>>,
    bytes: usize,
}

impl Scripts {
    /// The compiled script, from the cache or anew.
    pub(super) fn get<'cache>(
        &'cache mut self,
        prelude: &Bound<'_, PyModule>,
        source: &Bound<'_, PyString>,
        arguments: usize,
    ) -> PyResult<&'cache Compiled> {
        let text = source.to_str()?;
        // Two look-ups, since a borrow that is returned from one branch spans the other.
        if !self.holds(text, arguments) {
            let compiled = compile(prelude, source, arguments)?;
            if self.bytes + text.len() > CACHE_BYTES {
                self.compiled.clear();
                self.bytes = 0;
            }
            self.bytes += text.len() + 1024;
            self.compiled.entry(text.into()).or_default().push((arguments, compiled));
        }
        self.compiled
            .get(text)
            .and_then(|variants| variants.iter().find(|(count, _)| *count == arguments))
            .map(|(_, compiled)| compiled)
            .ok_or_else(|| PySyntaxError::new_err("the script could not be kept"))
    }

    fn holds(&self, text: &str, arguments: usize) -> bool {
        self.compiled.get(text).is_some_and(|variants| variants.iter().any(|(count, _)| *count == arguments))
    }
}

impl Compiled {
    /// The script as a function over `globals`, which nobody else holds.
    pub(super) fn function<'py>(
        &self,
        prelude: &Bound<'py, PyModule>,
        globals: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = globals.py();
        if self.provided.get().is_none() {
            // Nobody else sets it.
            let _ = self.provided.set(self.provide(prelude)?);
        }
        for (name, object) in self.provided.get().into_iter().flatten() {
            globals.set_item(name, object)?;
        }
        let function = super::function::new(self.code.bind(py), globals)?;
        if self.names_itself {
            globals.set_item("_user_script", &function)?;
        }
        Ok(function)
    }

    fn provide(&self, prelude: &Bound<'_, PyModule>) -> PyResult<Vec<(Py<PyString>, Py<PyAny>)>> {
        let py = prelude.py();
        let mut provided = Vec::new();
        for name in &self.used {
            let object = prelude.getattr("provide")?.call1((name,))?;
            if !object.is_none() {
                provided.push((name.clone_ref(py), object.unbind()));
            }
        }
        Ok(provided)
    }
}

fn compile(
    prelude: &Bound<'_, PyModule>,
    source: &Bound<'_, PyString>,
    arguments: usize,
) -> PyResult<Compiled> {
    let py = prelude.py();
    let names = PyList::new(py, (1..=arguments).map(|number| format!("_arg{number}")))?;
    let made = prelude.getattr("compile_script")?.call1((source, names))?;
    let (code, used, names_itself, risk, pure): (Bound<'_, PyAny>, Vec<Py<PyString>>, bool, u8, bool) =
        made.cast::<PyTuple>()?.extract()?;
    Ok(Compiled {
        code: code.unbind(),
        used,
        provided: OnceCell::new(),
        names_itself,
        risk: Risk(risk),
        pure,
    })
}
