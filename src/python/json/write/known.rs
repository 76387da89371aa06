//! The types that the writer knows beside Python's own, taken from modules that are loaded already:
//! a value of a type whose module was never imported can't exist, and a script that imports
//! nothing pays nothing. Types are compared as types; having a method of some name proves nothing.
#![expect(unsafe_code, reason = "the type of an object is compared without asking its class")]

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

/// A type, if its module is loaded and has it.
#[derive(Default)]
pub(crate) struct Type<'py>(Option<Bound<'py, PyType>>);

impl Type<'_> {
    /// Whether the value is of this type or of a subclass. `__class__` and `__instancecheck__`
    /// have no say.
    #[inline]
    pub(super) fn has(&self, value: &Bound<'_, PyAny>) -> bool {
        let Some(kind) = &self.0 else { return false };
        // SAFETY: both are type objects that are alive, and no Python code runs.
        unsafe { ffi::PyType_IsSubtype(ffi::Py_TYPE(value.as_ptr()), kind.as_type_ptr()) != 0 }
    }

    /// The value's text as this type makes it, whatever a subclass would say.
    pub(super) fn text_of<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let Some(kind) = &self.0 else { return value.str() };
        let text = kind.as_any().getattr(intern!(value.py(), "__str__"))?.call1((value,))?;
        Ok(text.unbind().into_bound(value.py()).cast_into()?)
    }

    /// Whether the value is of this very type.
    #[inline]
    pub(super) fn is(&self, value: &Bound<'_, PyAny>) -> bool {
        self.0.as_ref().is_some_and(|kind| value.get_type_ptr() == kind.as_type_ptr())
    }
}

macro_rules! known {
    ($($field:ident: $module:literal $name:literal;)+) => {
        /// What is loaded now. Made once for each answer that holds such a value.
        #[derive(Default)]
        pub(crate) struct Known<'py> {
            $(pub(super) $field: Type<'py>,)+
            missing: [Option<Bound<'py, PyAny>>; 2],
        }

        impl<'py> Known<'py> {
            pub(crate) fn load(py: Python<'py>) -> Self {
                let mut modules = Modules { loaded: loaded(py), last: None };
                let missing = [intern!(py, "NaT"), intern!(py, "NA")]
                    .map(|name| modules.find(intern!(py, "pandas"), name));
                Self {
                    $($field: Type(
                        modules
                            .find(intern!(py, $module), intern!(py, $name))
                            .and_then(|found| found.cast_into().ok())
                    ),)+
                    missing,
                }
            }
        }
    };
}

known! {
    decimal: "decimal" "Decimal";
    date: "datetime" "date";
    time: "datetime" "time";
    timedelta: "datetime" "timedelta";
    uuid: "uuid" "UUID";
    path: "pathlib" "PurePath";
    enumeration: "enum" "Enum";
    deque: "collections" "deque";
    array: "array" "array";
    ndarray: "numpy" "ndarray";
    scalar: "numpy" "generic";
    float64: "numpy" "float64";
    floating: "numpy" "floating";
    complex: "numpy" "complexfloating";
    datetime64: "numpy" "datetime64";
    timedelta64: "numpy" "timedelta64";
    dtype: "numpy" "dtype";
    frame: "pandas" "DataFrame";
    series: "pandas" "Series";
    index: "pandas" "Index";
    categorical: "pandas" "Categorical";
    timedelta_of_pandas: "pandas" "Timedelta";
    period: "pandas" "Period";
    interval: "pandas" "Interval";
    extension: "pandas.api.extensions" "ExtensionArray";
    masked_integers: "pandas.arrays" "IntegerArray";
    masked_floats: "pandas.arrays" "FloatingArray";
    masked_booleans: "pandas.arrays" "BooleanArray";
}

impl Known<'_> {
    /// Whether the value is one of pandas' two signs of a missing value.
    pub(super) fn is_missing(&self, value: &Bound<'_, PyAny>) -> bool {
        self.missing.iter().flatten().any(|missing| missing.is(value))
    }

    pub(crate) fn is_frame(&self, value: &Bound<'_, PyAny>) -> bool {
        self.frame.has(value)
    }

    /// Whether the value is a float of numpy's.
    pub(crate) fn is_float(&self, value: &Bound<'_, PyAny>) -> bool {
        self.floating.has(value)
    }

    /// Whether the value is a column, or a table, of numpy or pandas.
    pub(crate) fn is_column(&self, value: &Bound<'_, PyAny>) -> bool {
        [&self.ndarray, &self.frame, &self.series, &self.index, &self.extension]
            .iter()
            .any(|kind| kind.has(value))
    }
}

fn loaded(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    // SAFETY: the interpreter runs; the result is borrowed, or null, and a reference is taken.
    let modules = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyImport_GetModuleDict()) };
    modules?.cast_into().ok()
}

struct Modules<'py> {
    loaded: Option<Bound<'py, PyDict>>,
    /// The module that was asked for last, and what there was.
    last: Option<(Bound<'py, PyString>, Option<Bound<'py, PyAny>>)>,
}

impl<'py> Modules<'py> {
    fn find(
        &mut self,
        module: &Bound<'py, PyString>,
        name: &Bound<'py, PyString>,
    ) -> Option<Bound<'py, PyAny>> {
        if !self.last.as_ref().is_some_and(|(last, _)| last.is(module)) {
            let found = self.loaded.as_ref()?.get_item(module).ok().flatten();
            self.last = Some((module.clone(), found));
        }
        self.last.as_ref()?.1.as_ref()?.getattr_opt(name).ok().flatten()
    }
}
