//! Values that are not of exactly Python's basic types: subclasses as simplejson writes them, then
//! the conversions that TabPy lacks. The order is simplejson's where it knows the type. Every
//! conversion goes by the value's type, and what fits none of them is Python's TypeError.
#![expect(unsafe_code, reason = "the kind of a value is asked of its type, without running its code")]

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use super::{Known, Outcome, WriteError, Writer, calendar, number};

/// What a value is written as.
enum Shape<'py> {
    Written,
    Array,
    Column,
    Mapping,
    Items,
    Fields(Bound<'py, PyAny>),
    Plain(Bound<'py, PyAny>),
}

impl<'py> Writer<'_, 'py> {
    pub(super) fn known(&mut self) -> &Known<'py> {
        self.known.get_or_insert_with(|| Known::load(self.py))
    }

    pub(super) fn other(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        match self.shape(value)? {
            Shape::Written => Ok(()),
            Shape::Array => self.within(value, |writer| writer.array(value)),
            Shape::Column => self.within(value, |writer| writer.column(value)),
            Shape::Mapping => self.mapping(value),
            Shape::Items => self.within(value, |writer| writer.iterate(value)),
            Shape::Fields(fields) => self.within(value, |writer| writer.mapping(&fields)),
            // An enumeration's value may be anything, itself included.
            Shape::Plain(plain) => self.within(value, |writer| writer.value(&plain)),
        }
    }

    /// What a value is written as. Its frame is gone before what the value holds is written, so
    /// that a deep value needs less of the stack.
    fn shape(&mut self, value: &Bound<'py, PyAny>) -> Result<Shape<'py>, WriteError> {
        if self.subclass(value)? {
            return Ok(Shape::Written);
        }
        let known = self.known();
        if known.ndarray.has(value) {
            return Ok(Shape::Array);
        }
        if known.is_column(value) {
            return Ok(Shape::Column);
        }
        if let Some(fields) = fields(value)? {
            return Ok(Shape::Fields(fields));
        }
        let pointer = value.as_ptr();
        // SAFETY: `value` is alive, and only its type is looked at.
        let (sequence, mapping) = unsafe {
            let sequence = ffi::PyList_Check(pointer) != 0 || ffi::PyTuple_Check(pointer) != 0;
            (sequence, ffi::PyDict_Check(pointer) != 0)
        };
        if sequence {
            return Ok(Shape::Items);
        }
        if mapping {
            return Ok(Shape::Mapping);
        }
        if self.known().decimal.has(value) {
            self.decimal(value)?;
            return Ok(Shape::Written);
        }
        if let Some(plain) = self.scalar(value)? {
            return Ok(Shape::Plain(plain));
        }
        if self.is_iterable(value) {
            return Ok(Shape::Items);
        }
        Err(not_serializable(value)?.into())
    }

    /// Writes an instance of a subclass of str, bytes, int or float. False, if it is none.
    fn subclass(&mut self, value: &Bound<'py, PyAny>) -> Result<bool, WriteError> {
        let pointer = value.as_ptr();
        // SAFETY: `value` is alive for all of these calls; the results of the two conversions are
        // new references, or null with an exception set.
        unsafe {
            if ffi::PyUnicode_Check(pointer) != 0 {
                self.text(pointer)?;
            } else if ffi::PyBytes_Check(pointer) != 0 {
                self.bytes(value)?;
            } else if ffi::PyLong_Check(pointer) != 0 {
                let plain = Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_Long(pointer))?;
                self.int(plain.as_ptr())?;
            } else if ffi::PyFloat_Check(pointer) == 0 {
                return Ok(false);
            } else if self.known().float64.is(value) {
                number::float(self.out, ffi::PyFloat_AS_DOUBLE(pointer));
            } else {
                let plain = Bound::from_owned_ptr_or_err(self.py, ffi::PyNumber_Float(pointer))?;
                number::float(self.out, ffi::PyFloat_AS_DOUBLE(plain.as_ptr()));
            }
        }
        Ok(true)
    }

    /// A dict or an instance of a subclass, whose `items` then counts.
    fn mapping(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        // SAFETY: `value` is a dict that is alive.
        if unsafe { ffi::PyDict_CheckExact(value.as_ptr()) } != 0 {
            return self.value(value);
        }
        self.within(value, |writer| writer.items(value))
    }

    fn items(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        // SAFETY: `value` is an instance of a subclass of dict; the results are a size, and a new
        // list or null with an exception set.
        let items = unsafe {
            if ffi::PyDict_Size(value.as_ptr()) == 0 {
                self.out.extend_from_slice(b"{}");
                return Ok(());
            }
            Bound::from_owned_ptr_or_err(self.py, ffi::PyMapping_Items(value.as_ptr()))?
        };
        self.out.push(b'{');
        for (index, item) in items.try_iter()?.enumerate() {
            let item = item?;
            let pair = item.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
            let Some(pair) = pair else {
                return Err(PyValueError::new_err("items must return 2-tuples").into());
            };
            self.separate(index > 0)?;
            self.pair(&pair.get_item(0)?, &pair.get_item(1)?)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes what iterating yields, one after the other, so that an endless iterator ends at the limit.
    pub(super) fn iterate(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        self.out.push(b'[');
        for (index, item) in value.try_iter()?.enumerate() {
            self.separate(index > 0)?;
            self.value(&item?)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn is_iterable(&mut self, value: &Bound<'py, PyAny>) -> bool {
        let pointer = value.as_ptr();
        // SAFETY: `value` is alive, and only its type is looked at.
        let by_python = unsafe {
            ffi::PyAnySet_Check(pointer) != 0
                || ffi::PyRange_Check(pointer) != 0
                || ffi::PyDictKeys_Check(pointer) != 0
                || ffi::PyDictValues_Check(pointer) != 0
                || ffi::PyDictItems_Check(pointer) != 0
                || ffi::PyIter_Check(pointer) != 0
        };
        let known = self.known();
        by_python || known.deque.has(value) || known.array.has(value)
    }

    /// Bytes, which must be UTF-8 text.
    pub(super) fn bytes(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        // SAFETY: `value` is a bytes object that is alive, so its data and size go together; the
        // result is a new str or null with an exception set.
        let text = unsafe {
            let data = ffi::PyBytes_AsString(value.as_ptr());
            let size = ffi::PyBytes_Size(value.as_ptr());
            Bound::from_owned_ptr_or_err(self.py, ffi::PyUnicode_DecodeUTF8(data, size, std::ptr::null()))?
        };
        self.text(text.as_ptr())
    }

    /// A Decimal as its text, trailing zeros and all; null, if it is no number. A subclass may choose the text as
    /// long as that ends where the number does.
    fn decimal(&mut self, value: &Bound<'py, PyAny>) -> Outcome {
        let mut text = value.str()?;
        let of_a_number = |character: char| matches!(character, '0'..='9' | '.' | '+' | '-' | 'E' | 'e');
        let begins_as_one =
            |text: &str| text.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit());
        if begins_as_one(&text.to_cow()?) && !text.to_cow()?.chars().all(of_a_number) {
            text = self.known().decimal.text_of(value)?;
        }
        let text = text.to_cow()?;
        self.out.extend_from_slice(if begins_as_one(&text) { text.as_bytes() } else { b"null" });
        Ok(())
    }

    /// The plain value of an object that stands for one: a date's ISO 8601 text, a numpy scalar's
    /// number, None for a missing value. None, if the object is of no such type.
    pub(super) fn scalar(
        &mut self,
        value: &Bound<'py, PyAny>,
    ) -> Result<Option<Bound<'py, PyAny>>, WriteError> {
        let py = self.py;
        let known = self.known();
        let plain = if known.is_missing(value) {
            py.None().into_bound(py)
        } else if known.date.has(value) || known.time.has(value) || known.timedelta_of_pandas.has(value) {
            let text = value.call_method0(intern!(py, "isoformat"))?;
            text.cast_into::<PyString>().map_err(PyErr::from)?.into_any()
        } else if known.timedelta.has(value) {
            let part = |name: &str| value.getattr(name)?.extract::<i64>();
            let (days, seconds) = (part("days")?, part("seconds")?);
            let mut text = Vec::new();
            calendar::duration(&mut text, days, seconds, part("microseconds")?, 6);
            PyString::from_bytes(py, &text)?.into_any()
        } else if known.scalar.has(value) {
            return self.numpy_scalar(value).map(Some);
        } else if known.enumeration.has(value) {
            value.getattr(intern!(py, "value"))?
        } else if [&known.uuid, &known.path, &known.period, &known.interval]
            .iter()
            .any(|kind| kind.has(value))
        {
            value.str()?.into_any()
        } else {
            return Ok(None);
        };
        Ok(Some(plain))
    }
}

/// What `_asdict` gives, for whatever has it: a namedtuple, above all.
fn fields<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    let Some(method) = value.getattr_opt(intern!(py, "_asdict"))? else { return Ok(None) };
    if !method.is_callable() {
        return Ok(None);
    }
    let fields = match method.call0() {
        Ok(fields) => fields,
        // simplejson takes this for a method that wants arguments: one of another meaning.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => return Ok(None),
        Err(error) => return Err(error),
    };
    if fields.is_instance_of::<PyDict>() {
        return Ok(Some(fields));
    }
    let kind = fields.get_type().name()?;
    Err(PyTypeError::new_err(format!("_asdict() must return a dict, not {kind}")))
}

pub(super) fn not_serializable(value: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let kind = value.getattr("__class__")?.getattr("__name__")?;
    Ok(PyTypeError::new_err(format!("Object of type {kind} is not JSON serializable")))
}
