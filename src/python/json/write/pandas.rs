//! pandas: a DataFrame as an object of columns, Series, Index and extension arrays as lists. A
//! column of numbers or dates is written from its memory, a categorical one from its codes, any
//! other through an array of objects.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Outcome, Writer};

impl<'py> Writer<'_, 'py> {
    /// A DataFrame, Series, Index or extension array.
    pub(super) fn column(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        let py = self.py;
        let known = self.known();
        if known.frame.has(value) {
            return self.frame(value);
        }
        if known.extension.has(value) {
            return self.extension(value);
        }
        let dtype = value.getattr(intern!(py, "dtype"))?;
        if known.dtype.has(&dtype) {
            let array = value.call_method0(intern!(py, "to_numpy"))?;
            return self.value(&array);
        }
        let array = value.getattr(intern!(py, "array"))?;
        self.extension(&array)
    }

    /// As `to_dict(orient='list')`: of columns with one name the last is written.
    fn frame(&mut self, frame: &Bound<'py, PyAny>) -> Outcome {
        let columns = PyDict::new(self.py);
        for column in frame.call_method0(intern!(self.py, "items"))?.try_iter()? {
            let (name, column): (Bound<'py, PyAny>, Bound<'py, PyAny>) = column?.extract()?;
            columns.set_item(name, column)?;
        }
        self.value(&columns)
    }

    fn extension(&mut self, array: &Bound<'py, PyAny>) -> Outcome {
        let py = self.py;
        let known = self.known();
        if known.categorical.has(array) {
            return self.categorical(array);
        }
        let masked = [&known.masked_integers, &known.masked_floats, &known.masked_booleans];
        if masked.iter().any(|kind| kind.has(array)) {
            let mask = array.call_method0(intern!(py, "isna"))?;
            let numbers = PyDict::new(py);
            numbers.set_item("dtype", array.getattr("dtype")?.getattr("numpy_dtype")?)?;
            numbers.set_item("na_value", 0)?;
            let numbers = array.call_method("to_numpy", (), Some(&numbers))?;
            return self.masked(&numbers, &mask);
        }
        let objects = py.import("numpy")?.call_method1("asarray", (array, "object"))?;
        self.value(&objects)
    }

    /// Each category is written once and copied by its code; the code of a missing value is -1.
    fn categorical(&mut self, array: &Bound<'py, PyAny>) -> Outcome {
        let mut categories = Vec::new();
        for category in array.getattr(intern!(self.py, "categories"))?.try_iter()? {
            let category = category?;
            categories.push(self.apart(|writer| writer.value(&category))?);
        }
        let codes = array.getattr(intern!(self.py, "codes"))?.call_method0(intern!(self.py, "tolist"))?;
        self.out.push(b'[');
        for (index, code) in codes.extract::<Vec<isize>>()?.into_iter().enumerate() {
            self.separate(index > 0)?;
            let category = usize::try_from(code).ok().and_then(|code| categories.get(code));
            self.out.extend_from_slice(category.map_or(b"null", Vec::as_slice));
        }
        self.out.push(b']');
        Ok(())
    }
}
