//! Each hot function by itself, against the baseline that is kept in `benches/baseline`: `make bench-parts`.
//! A baseline is of one machine; on another one, keep its own first (BENCH_KEEP=1).

#[path = "shared/interpreter.rs"]
mod interpreter;

use std::ffi::CString;
use std::hint::black_box;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use tabpy_rs::python::{Asked, Interpreter, Source, json};
use tabpy_rs::wire::{Reply, Request, Task};
use tempfile::TempDir;

const ROWS: u32 = 10_000;

/// A name and the Python expression of a column.
const COLUMNS: &[(&str, &str)] = &[
    ("floats", "[random() * 1000 for _ in range(n)]"),
    ("short floats", "[randrange(10**6) / 100 for _ in range(n)]"),
    ("ints", "[randrange(10**6) for _ in range(n)]"),
    ("distinct strings", "[f'Customer {i}' for i in range(n)]"),
    ("repeated strings", "[f'Category {i % 100}' for i in range(n)]"),
    ("escaped strings", "[f'é中文{i}' for i in range(n)]"),
    ("rows as objects", "[{'name': f'row {i}', 'score': i / 7, 'ok': True} for i in range(n // 10)]"),
];

/// What is only written.
const ANSWERS: &[(&str, &str)] = &[
    ("numpy floats", "numpy.random.default_rng(1).random(n)"),
    ("numpy ints", "numpy.arange(n)"),
    ("numpy dates", "numpy.arange(n).astype('datetime64[s]')"),
    ("Series of strings", "pandas.Series([f'Category {i % 100}' for i in range(n)])"),
    ("Series of categories", "pandas.Series([f'Category {i % 100}' for i in range(n)]).astype('category')"),
    ("DataFrame", "pandas.DataFrame({'a': range(n), 'b': numpy.arange(n) / 7})"),
];

/// The interpreter of this process.
fn started() -> &'static Mutex<Interpreter> {
    static STARTED: OnceLock<(Mutex<Interpreter>, TempDir)> = OnceLock::new();
    let (interpreter, _) = STARTED.get_or_init(|| {
        let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
        let executable = environment.to_str().filter(|_| environment.exists());
        match interpreter::ready(executable.unwrap_or(env!("TABPY_LINKED_PYTHON")).to_owned(), &[]) {
            Ok((interpreter, folder)) => (Mutex::new(interpreter), folder),
            Err(error) => panic!("{error:#}"),
        }
    });
    interpreter
}

fn with_python<T>(run: impl FnOnce(Python<'_>, &Bound<'_, PyDict>) -> PyResult<T>) -> T {
    started();
    let outcome = Python::attach(|py| {
        let source = c"import numpy, pandas, random as source\nrandom = source.Random(1).random\nrandrange = source.Random(2).randrange\n";
        let names = PyModule::from_code(py, source, c"bench.py", c"bench")?.dict();
        names.set_item("n", ROWS)?;
        run(py, &names)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

fn evaluated<'py>(names: &Bound<'py, PyDict>, expression: &str) -> PyResult<Bound<'py, PyAny>> {
    names.py().eval(&CString::new(expression)?, Some(names), None)
}

fn written(value: &Bound<'_, PyAny>) -> Vec<u8> {
    let mut out = Vec::new();
    match json::write(value, &mut out, usize::MAX) {
        Ok(()) => out,
        Err(error) => panic!("{error:?}"),
    }
}

fn parse(criterion: &mut Criterion) {
    with_python(|py, names| {
        let mut group = criterion.benchmark_group("parse");
        for (name, expression) in COLUMNS {
            let body = written(&evaluated(names, expression)?);
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function(*name, |bencher| {
                // What a request made is freed after its answer.
                bencher.iter_batched(|| (), |()| json::parse(py, black_box(&body)), BatchSize::PerIteration);
            });
        }
        Ok(())
    });
}

fn write(criterion: &mut Criterion) {
    with_python(|_, names| {
        let mut group = criterion.benchmark_group("write");
        for (name, expression) in COLUMNS.iter().chain(ANSWERS) {
            let value = evaluated(names, expression)?;
            let mut out = written(&value);
            group.throughput(Throughput::Bytes(out.len() as u64));
            group.bench_function(*name, |bencher| {
                bencher.iter(|| {
                    out.clear();
                    json::write(black_box(&value), &mut out, usize::MAX).is_ok()
                });
            });
        }
        Ok(())
    });
}

/// A whole request without its way to the worker: what is left of a tiny one is the script's call.
fn script(criterion: &mut Criterion) {
    let mut interpreter = started().lock().unwrap_or_else(PoisonError::into_inner);
    let body = br#"{"script":"return _arg1[0] + 1","data":{"_arg1":[41.5]}}"#;
    let asked = Asked { generation: 0, only_if_pure: false, write_beside: false };
    let mut buffer = Vec::new();
    criterion.bench_function("script/tiny", |bencher| {
        bencher.iter(|| {
            buffer.clear();
            buffer.extend_from_slice(black_box(body));
            interpreter.evaluate(
                &mut buffer,
                Source::Buffer { start: 0, length: body.len(), read: &mut |_| None },
                &asked,
                || true,
                |_| true,
                |outcome, _| outcome.status,
            )
        });
    });
}

fn wire(criterion: &mut Criterion) {
    let request = Request::plain(Task::Evaluate, 7, 100);
    criterion.bench_function("wire/request", |bencher| {
        bencher.iter(|| Request::decode(&black_box(request).encode()));
    });
    let header = Reply::goodbye(7).encode();
    criterion.bench_function("wire/reply", |bencher| {
        bencher.iter(|| Reply::decode(black_box(&header)).map(|reply| reply.encode()));
    });
}

criterion_group! {
    name = parts;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = parse, write, script, wire
}
criterion_main!(parts);
