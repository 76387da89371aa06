use pyo3::prelude::*;
use pyo3::types::PyList;

use super::*;
use crate::python::json;

/// Runs with an interpreter in which nobody else makes floats meanwhile.
fn with_python<T>(run: impl FnOnce(Python<'_>) -> T) -> T {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| crate::python::interpreter::start(env!("TABPY_LINKED_PYTHON")).unwrap());
    Python::attach(run)
}

/// A list of so many floats, from a document.
fn list(py: Python<'_>, count: u32) -> Bound<'_, PyList> {
    let numbers: Vec<String> = (0..count).map(|number| format!("{:?}", f64::from(number) / 8.0)).collect();
    let parsed = json::parse(py, format!("[{}]", numbers.join(", ")).as_bytes()).unwrap();
    parsed.cast_into().unwrap()
}

fn sum(list: &Bound<'_, PyList>) -> f64 {
    list.iter().map(|float| float.extract::<f64>().unwrap()).sum()
}

/// Nothing of what was made here is alive any more, and all of its memory is given back.
fn assert_gone(py: Python<'_>) {
    // CPython keeps a hundred floats for the next ones, until its collector runs.
    py.import("gc").unwrap().call_method0("collect").unwrap();
    trim();
    let chunks = lock();
    assert_eq!((chunks.empty.len(), chunks.begun, chunks.bare.len()), (0, None, chunks.fresh));
}

fn is_ours(float: &Bound<'_, PyAny>) -> bool {
    super::is_ours(float.as_ptr().cast())
}

fn expected(count: u32) -> f64 {
    (0..count).map(|number| f64::from(number) / 8.0).sum()
}

const MANY: u32 = 200_000;

#[test]
fn floats_of_large_documents_are_floats() {
    with_python(|py| {
        let list = list(py, MANY);
        assert!(FITS && list.iter().all(|float| is_ours(&float)));
        assert_eq!(sum(&list).to_bits(), expected(MANY).to_bits());
        // Python makes new ones of them, and takes room that it finds in its own lists.
        let doubled: Vec<f64> =
            list.iter().map(|float| float.add(&float).unwrap().extract().unwrap()).collect();
        assert_eq!(doubled.iter().sum::<f64>().to_bits(), (expected(MANY) * 2.0).to_bits());
        let one = list.get_item(17).unwrap();
        drop(list);
        assert_eq!(one.extract::<f64>().unwrap(), 17.0 / 8.0);
        // SAFETY: it is alive.
        assert_eq!(unsafe { ffi::Py_REFCNT(one.as_ptr()) }, 1);
    });
}

#[test]
fn small_documents_leave_the_memory_alone() {
    with_python(|py| assert!(!is_ours(&list(py, 100).get_item(3).unwrap())));
}

#[test]
fn memory_is_used_again_when_all_in_it_is_gone() {
    with_python(|py| {
        keep(64 << 20);
        drop(list(py, MANY));
        let used = lock().fresh;
        for _ in 0..8 {
            drop(list(py, MANY));
        }
        // Those that CPython keeps are in one chunk or two.
        assert!(lock().fresh <= used + 2 && keeps(), "{} {used}", lock().fresh);
        assert_gone(py);
        assert!(list(py, MANY).iter().all(|float| is_ours(&float)));
        assert!(lock().fresh <= used + 2);
    });
}

#[test]
fn what_lives_on_keeps_its_value_and_only_its_own_chunk() {
    with_python(|py| {
        let kept: Vec<_> = (0..12).map(|_| list(py, MANY).get_item(100_000).unwrap()).collect();
        assert!(kept.iter().all(|float| is_ours(float) && float.extract::<f64>().unwrap() == 12_500.0));
        // Of the three chunks of each list, two were used again.
        assert!(lock().fresh < 12 + 6, "{}", lock().fresh);
        drop(kept);
        assert_gone(py);
    });
}

#[test]
fn a_list_is_emptied_of_what_nobody_else_holds() {
    with_python(|py| {
        let (first, last) = (list(py, MANY), list(py, MANY));
        let kept = [first.get_item(7).unwrap(), first.get_item(150_000).unwrap()];
        let both = (last.clone(), last);
        first.append("a text").unwrap();
        first.append(1.5).unwrap();
        empty(&first);
        empty(&both.0);
        drop(first);
        assert_eq!(kept.map(|float| float.extract::<f64>().unwrap()), [7.0 / 8.0, 150_000.0 / 8.0]);
        // Who holds the list finds it whole.
        assert_eq!(sum(&both.1).to_bits(), expected(MANY).to_bits());
        drop(both);
        assert_gone(py);
    });
}

#[test]
fn two_documents_at_once_do_not_share_a_chunk() {
    with_python(|py| {
        let made = {
            let (mut first, mut second) = (Floats::for_input(1 << 20), Floats::for_input(1 << 20));
            let mut made = Vec::new();
            for number in 0..100_000 {
                made.push((first.make(f64::from(number)), number));
                made.push((second.make(-f64::from(number)), -number));
            }
            made
        };
        for (float, number) in made {
            // SAFETY: each is a float that nobody else owns.
            unsafe {
                assert_eq!(ffi::PyFloat_AS_DOUBLE(float), f64::from(number));
                ffi::Py_DECREF(float);
            }
        }
        assert_gone(py);
    });
}

#[test]
fn a_document_that_is_none_leaves_nothing_alive() {
    with_python(|py| {
        // It has floats of its own, which would come from that list.
        py.import("json").unwrap();
        let numbers = "0.5, ".repeat(200_000);
        for _ in 0..3 {
            json::parse(py, format!("[{numbers}").as_bytes()).unwrap_err();
        }
        assert_gone(py);
    });
}

#[test]
fn what_traces_memory_is_left_alone_and_may_end_at_any_time() {
    with_python(|py| {
        let tracemalloc = py.import("tracemalloc").unwrap();
        let start = || tracemalloc.call_method0("start").unwrap();
        let stop = || tracemalloc.call_method0("stop").unwrap();
        start();
        let traced = list(py, MANY);
        assert!(!is_ours(&traced.get_item(5).unwrap()));
        stop();
        let ours = list(py, MANY);
        assert!(is_ours(&ours.get_item(5).unwrap()));
        start();
        drop(ours);
        drop(traced);
        let traced = list(py, MANY);
        stop();
        assert_eq!(sum(&traced).to_bits(), expected(MANY).to_bits());
        drop(traced);
        assert!(is_ours(&list(py, MANY).get_item(5).unwrap()));
    });
}
