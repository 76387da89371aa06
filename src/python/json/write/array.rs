//! numpy arrays: numbers, bools and dates straight from the array's memory, of any shape and any
//! strides; everything else through `tolist`, which a real ndarray is known to have. No Python code
//! runs while memory is read.
#![expect(unsafe_code, reason = "an array's memory is read through the buffer protocol")]

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

use super::beside::{MOST, Shared};
use super::calendar::{self, Unit};
use super::other::not_serializable;
use super::{Outcome, SAMPLE, WriteError, Writer, digits, number};

/// How an element lies in memory and what it is.
#[derive(Clone, Copy)]
enum Element {
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
    Date(Unit, i64),
    Span(Unit, i64),
}

/// numpy's NaT.
const MISSING: i64 = i64::MIN;

impl<'py> Writer<'_, 'py> {
    /// An ndarray. A subclass may mean something else by its memory (a mask, say): it is asked.
    pub(super) fn array(&mut self, array: &Bound<'py, PyAny>) -> Outcome {
        if self.known().ndarray.is(array) && self.memory(array, None)? {
            return Ok(());
        }
        let list = array.call_method0(intern!(self.py, "tolist"))?;
        self.value(&list)
    }

    /// Numbers with a mask beside them that says which are missing, both of one dimension.
    pub(super) fn masked(&mut self, numbers: &Bound<'py, PyAny>, mask: &Bound<'py, PyAny>) -> Outcome {
        let mask = mask.call_method0(intern!(self.py, "tolist"))?.extract::<Vec<bool>>()?;
        if self.memory(numbers, Some(&mask))? {
            return Ok(());
        }
        Err(not_serializable(numbers)?.into())
    }

    pub(super) fn numpy_scalar(
        &mut self,
        value: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, WriteError> {
        let py = self.py;
        let known = self.known();
        if known.datetime64.has(value) || known.timedelta64.has(value) {
            let array = py.import("numpy")?.call_method1("asarray", (value,))?;
            // The text is wanted as an object, since it may become a key.
            let written = self.apart(|writer| writer.array(&array))?;
            return Ok(crate::python::json::parse(py, &written)?);
        }
        if known.complex.has(value) {
            return Err(not_serializable(value)?.into());
        }
        let plain = value.call_method0(intern!(py, "item"))?;
        // A long double is its own item.
        if self.known().scalar.has(&plain) {
            return Ok(plain.call_method0(intern!(py, "__float__"))?);
        }
        Ok(plain)
    }

    /// Writes an ndarray from its memory. False, if its elements are not of a kind that can be.
    fn memory(&mut self, array: &Bound<'py, PyAny>, mask: Option<&[bool]>) -> Result<bool, WriteError> {
        let py = self.py;
        let dtype = array.getattr(intern!(py, "dtype"))?;
        let code: char = dtype.getattr(intern!(py, "kind"))?.extract()?;
        if !matches!(code, 'b' | 'i' | 'u' | 'f' | 'm' | 'M') {
            return Ok(false);
        }
        if !dtype.getattr(intern!(py, "isnative"))?.is_truthy()? {
            let native = dtype.call_method1("newbyteorder", ("=",))?;
            return self.memory(&array.call_method1("astype", (native,))?, mask);
        }
        let size: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
        let element = match code {
            'b' => Element::Bool,
            'i' => Element::Signed(size),
            'u' => Element::Unsigned(size),
            'f' if size <= 8 => Element::Float(size),
            'f' => return Ok(false),
            _ => {
                let data = py.import("numpy")?.call_method1("datetime_data", (dtype,))?;
                let (name, count): (String, i64) = data.extract()?;
                let Some((unit, each)) = Unit::named(&name) else { return Ok(false) };
                let each = each * count;
                let counts = array.call_method1("view", ("i8",))?;
                let element = if code == 'M' { Element::Date(unit, each) } else { Element::Span(unit, each) };
                self.view(&counts, element, None)?;
                return Ok(true);
            }
        };
        self.view(array, element, mask)?;
        Ok(true)
    }

    fn view(&mut self, array: &Bound<'py, PyAny>, element: Element, mask: Option<&[bool]>) -> Outcome {
        let view = View::of(array)?;
        let axes: Vec<Axis> = view.axes();
        let masked = mask.is_some_and(|mask| axes.len() != 1 || axes[0].length != mask.len());
        if view.0.itemsize as usize != element.size() || masked {
            return Err(PyValueError::new_err("The array changed while it was written").into());
        }
        // SAFETY: the view lives until the end of this function, and with it the memory that it
        // describes: its start, shape and strides are numpy's own and lead to elements of the
        // size just compared. No Python code runs meanwhile.
        unsafe { self.axis(view.0.buf.cast(), &axes, element, mask) }
    }

    /// # Safety
    /// `start` and the axes must describe readable memory that holds such elements. Nobody who needs the GIL for it may
    /// write to it meanwhile.
    unsafe fn axis(
        &mut self,
        start: *const u8,
        axes: &[Axis],
        element: Element,
        mask: Option<&[bool]>,
    ) -> Outcome {
        let Some((axis, inner)) = axes.split_first() else {
            // SAFETY: without an axis left, `start` is one element.
            return unsafe { write(self.out, start, element) };
        };
        // SAFETY: what the caller promises of all axes holds of the first; `write` and `axis` are told of
        // places in it. The usual numbers get loops of their own, in which their kind is no question.
        unsafe {
            match element {
                _ if !inner.is_empty() => self.rows(start, axis, inner, element),
                Element::Float(8) => {
                    self.row(start, axis, mask, |out, place| write(out, place, Element::Float(8)))
                }
                Element::Signed(8) => {
                    self.row(start, axis, mask, |out, place| write(out, place, Element::Signed(8)))
                }
                _ => self.row(start, axis, mask, |out, place| write(out, place, element)),
            }
        }
    }

    /// # Safety
    /// As for [`Self::axis`], of which this is the outermost of several.
    unsafe fn rows(&mut self, start: *const u8, axis: &Axis, inner: &[Axis], element: Element) -> Outcome {
        let before = self.written();
        self.out.push(b'[');
        for index in 0..axis.length {
            if index == SAMPLE {
                self.foresee(before, axis.length);
            }
            self.separate(index > 0)?;
            // SAFETY: `index` is inside the axis, so the sum stays inside the described memory.
            unsafe { self.axis(start.offset(index as isize * axis.stride), inner, element, None)? };
        }
        self.out.push(b']');
        Ok(())
    }

    /// # Safety
    /// `start` and the axis must describe memory that nobody writes to, of which `write` gets each place.
    #[inline]
    unsafe fn row(
        &mut self,
        start: *const u8,
        axis: &Axis,
        mask: Option<&[bool]>,
        write: impl Fn(&mut Vec<u8>, *const u8) -> Outcome + Sync,
    ) -> Outcome {
        let before = self.written();
        // SAFETY: as the caller promises.
        let memory = unsafe { Shared::new(start) };
        let write = |out: &mut Vec<u8>, index: usize| {
            if mask.is_some_and(|mask| mask[index]) {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            // SAFETY: `index` is inside the axis, so the sum stays inside the described memory.
            write(out, unsafe { memory.start().offset(index as isize * axis.stride) })
        };
        self.out.push(b'[');
        let mut index = 0;
        while index < axis.length {
            if index == SAMPLE {
                self.foresee(before, axis.length);
                let reached = self.beside(before, axis.length, &|mut range, out| {
                    range.all(|index| {
                        out.extend_from_slice(b", ");
                        write(out, index).is_ok() && out.len() < MOST
                    })
                })?;
                if reached > index {
                    index = reached;
                    continue;
                }
            }
            self.separate(index > 0)?;
            write(self.out, index)?;
            index += 1;
        }
        self.out.push(b']');
        Ok(())
    }
}

/// # Safety
/// `place` must be readable and hold such an element; it need not be aligned.
#[inline(always)]
unsafe fn write(out: &mut Vec<u8>, place: *const u8, element: Element) -> Outcome {
    // SAFETY: as the caller promises; every pattern of bits is a value of these types (a bool
    // is read as a byte).
    unsafe {
        match element {
            Element::Bool if *place != 0 => out.extend_from_slice(b"true"),
            Element::Bool => out.extend_from_slice(b"false"),
            Element::Signed(8) => digits::signed(out, place.cast::<i64>().read_unaligned()),
            Element::Signed(4) => digits::signed(out, place.cast::<i32>().read_unaligned().into()),
            Element::Signed(2) => digits::signed(out, place.cast::<i16>().read_unaligned().into()),
            Element::Signed(_) => digits::signed(out, place.cast::<i8>().read_unaligned().into()),
            Element::Unsigned(8) => digits::unsigned(out, place.cast::<u64>().read_unaligned()),
            Element::Unsigned(4) => digits::unsigned(out, place.cast::<u32>().read_unaligned().into()),
            Element::Unsigned(2) => digits::unsigned(out, place.cast::<u16>().read_unaligned().into()),
            Element::Unsigned(_) => digits::unsigned(out, (*place).into()),
            Element::Float(8) => number::float(out, place.cast::<f64>().read_unaligned()),
            Element::Float(4) => number::float(out, f64::from(place.cast::<f32>().read_unaligned())),
            Element::Float(_) => number::float(out, half(place.cast::<u16>().read_unaligned())),
            Element::Date(unit, each) => {
                let count = place.cast::<i64>().read_unaligned();
                return time(out, count, each, |out, count| calendar::date(out, unit, count));
            }
            Element::Span(unit, each) => {
                let count = place.cast::<i64>().read_unaligned();
                return time(out, count, each, |out, count| calendar::span(out, unit, count));
            }
        }
    }
    Ok(())
}

fn time(
    out: &mut Vec<u8>,
    count: i64,
    each: i64,
    write: impl FnOnce(&mut Vec<u8>, i64) -> Option<()>,
) -> Outcome {
    if count == MISSING {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    out.push(b'"');
    let written = count.checked_mul(each).and_then(|count| write(out, count));
    out.push(b'"');
    let message = "A date or duration of the array lies too far from 1970 to be written";
    written.ok_or_else(|| PyValueError::new_err(message).into())
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Signed(size) | Self::Unsigned(size) | Self::Float(size) => size,
            Self::Date(..) | Self::Span(..) => 8,
        }
    }
}

struct Axis {
    length: usize,
    stride: isize,
}

/// A hold on an array's memory. Boxed, because an exporter may point into it.
struct View(Box<ffi::Py_buffer>);

impl View {
    fn of(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `array` is alive and `view` is an empty buffer that stays where it is.
        let outcome = unsafe { ffi::PyObject_GetBuffer(array.as_ptr(), &mut *view, ffi::PyBUF_STRIDED_RO) };
        if outcome != 0 {
            return Err(PyErr::fetch(array.py()));
        }
        Ok(Self(view))
    }

    fn axes(&self) -> Vec<Axis> {
        // SAFETY: a filled buffer with strides has `ndim` lengths and `ndim` strides.
        (0..self.0.ndim as usize)
            .map(|axis| unsafe {
                Axis { length: *self.0.shape.add(axis) as usize, stride: *self.0.strides.add(axis) }
            })
            .collect()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: the buffer was filled, and is released once, by the thread that may call Python.
        unsafe { ffi::PyBuffer_Release(&mut *self.0) };
    }
}
