//! Prints how long JSON takes each way, beside Python's `json.loads` and `simplejson.dumps` on the
//! same bodies in the same process: `cargo bench --bench json`. The best of some runs counts.
//! BENCH_ONLY=text measures those whose name has the text.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::ffi::CString;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyModule};
use tabpy_rs::python::{interpreter, json};

const RUNS: u32 = 7;

/// What the names below speak of; BENCH_ROWS sets another number.
const ROWS: u32 = 1_000_000;

/// As in a worker.
const KEPT_BYTES: usize = 64 << 20;

/// A body's name and the Python expression of what it holds.
const BODIES: &[(&str, &str)] = &[
    ("tiny", "{'script': 'return _arg1', 'data': {'_arg1': [1, 2.5, 'a']}}"),
    (
        "1 M x 2 floats",
        "{'_arg1': [random() for _ in range(n)], '_arg2': [random() * 1000 for _ in range(n)]}",
    ),
    ("1 M x 2 short floats", "{'_arg1': [randrange(10**6) / 100 for _ in range(n)], '_arg2': [0.5] * n}"),
    ("1 M x 2 ints", "{'_arg1': [randrange(10**6) for _ in range(n)], '_arg2': list(range(n))}"),
    ("1 M distinct strings", "{'_arg1': [f'Customer {i}' for i in range(n)]}"),
    ("1 M repeated strings", "{'_arg1': [f'Category {i % 100}' for i in range(n)]}"),
    ("1 M escaped strings", "{'_arg1': [f'é中文{i}' for i in range(n)]}"),
    (
        "100 k rows as objects",
        "[{'name': f'row {i}', 'score': i / 7, 'group': i % 10, 'ok': True} for i in range(n // 10)]",
    ),
];

/// What is only written; simplejson gets it as lists.
const ANSWERS: &[(&str, &str)] = &[
    ("numpy, 1 M floats", "numpy.random.default_rng(1).random(n)"),
    ("numpy, 1 M ints", "numpy.arange(n)"),
    ("numpy, 3 floats", "numpy.array([1.5, 2.5, 3.5])"),
    ("Series, 1 M strings", "pandas.Series([f'Category {i % 100}' for i in range(n)])"),
    ("Series, 1 M Int64", "pandas.Series(numpy.arange(n), dtype='Int64')"),
    ("Series, 1 M categories", "pandas.Series([f'Category {i % 100}' for i in range(n)]).astype('category')"),
    ("1 M numpy floats", "list(numpy.random.default_rng(1).random(n))"),
];

fn main() -> anyhow::Result<()> {
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let rows = match std::env::var("BENCH_ROWS") {
        Ok(text) => text.parse().context("BENCH_ROWS must be a number")?,
        Err(_) => ROWS,
    };
    run(&only, rows)
}

fn run(only: &str, rows: u32) -> anyhow::Result<()> {
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let executable = environment.to_str().filter(|_| environment.exists());
    interpreter::start(executable.unwrap_or(env!("TABPY_LINKED_PYTHON")))?;
    interpreter::keep_memory(KEPT_BYTES);
    Python::attach(|py| {
        let source = c"import json, numpy, pandas, simplejson\nfrom random import random, randrange\n";
        let names = PyModule::from_code(py, source, c"bench.py", c"bench")?.dict();
        names.set_item("n", rows)?;
        // Short runs are repeated more often, for the same time in all.
        let runs = RUNS * (ROWS / rows.max(1)).clamp(1, 100);
        let loads = py.import("json")?.getattr("loads")?;
        let dumps = py.import("simplejson")?.getattr("dumps")?;
        let ignore = PyDict::new(py);
        ignore.set_item("ignore_nan", true)?;

        println!("microseconds              json.loads     parse  ratio      dumps     write  ratio");
        for (name, expression) in BODIES.iter().filter(|(name, _)| name.contains(only)) {
            let value = evaluated(py, &names, expression)?;
            let body: String = dumps.call((&value,), Some(&ignore))?.extract()?;
            drop(value);
            let python = best(runs, || loads.call1((body.as_str(),)))?;
            let ours = best(runs, || json::parse(py, body.as_bytes()))?;
            let value = json::parse(py, body.as_bytes())?;
            println!(
                "{name:24} {} {}",
                compared(python, ours),
                written(runs, &value, &value, &dumps, &ignore)?
            );
        }
        for (name, expression) in ANSWERS.iter().filter(|(name, _)| name.contains(only)) {
            let value = evaluated(py, &names, expression)?;
            let list = if value.is_instance_of::<PyList>() {
                value.clone()
            } else {
                value.call_method0("tolist")?
            };
            println!("{name:24} {:28} {}", "", written(runs, &value, &list, &dumps, &ignore)?);
        }
        Ok(())
    })
}

fn evaluated<'py>(
    py: Python<'py>,
    names: &Bound<'py, PyDict>,
    expression: &str,
) -> anyhow::Result<Bound<'py, PyAny>> {
    Ok(py.eval(&CString::new(expression)?, Some(names), None)?)
}

fn written(
    runs: u32,
    value: &Bound<'_, PyAny>,
    list: &Bound<'_, PyAny>,
    dumps: &Bound<'_, PyAny>,
    ignore: &Bound<'_, PyDict>,
) -> anyhow::Result<String> {
    let python = best(runs, || dumps.call((list,), Some(ignore)))?;
    let ours = best(runs, || {
        let mut out = Vec::new();
        json::write(value, &mut out, usize::MAX).map(|()| out).map_err(|error| anyhow!("{error:?}"))
    })?;
    Ok(compared(python, ours))
}

fn compared(python: Duration, ours: Duration) -> String {
    let (python, ours) = (python.as_secs_f64() * 1e6, ours.as_secs_f64() * 1e6);
    format!("{python:10.1} {ours:9.1} {:6.1}", python / ours)
}

/// The shortest of some runs. What a run makes is dropped outside its time, as the server does.
fn best<T, E>(runs: u32, mut run: impl FnMut() -> Result<T, E>) -> anyhow::Result<Duration>
where
    anyhow::Error: From<E>,
{
    (0..runs)
        .map(|_| {
            let start = Instant::now();
            let made = black_box(run()?);
            let taken = start.elapsed();
            drop(made);
            Ok(taken)
        })
        .collect::<anyhow::Result<Vec<_>>>()?
        .into_iter()
        .min()
        .context("no runs")
}
