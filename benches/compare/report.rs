//! The table that a reader sees, with what was compared and where. Times are of one machine on one
//! day; the ratios are what is claimed.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::case::Case;
use crate::load::{Measured, Timed};
use crate::server::package_folder;
use crate::{cold_start, replacement};

/// What was measured of two servers, this one last.
type Pair<T> = [Option<T>; 2];

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) cold_start: Option<Pair<Duration>>,
    pub(crate) replacement: Option<Duration>,
    pub(crate) rows: Vec<Row>,
    /// By the number of connections: the echo and this server.
    pub(crate) curve: Vec<(usize, Pair<Timed>)>,
    /// By the number of cores: TabPy and this server.
    pub(crate) cores: Vec<(usize, Pair<Timed>)>,
    pub(crate) failures: Failures,
}

pub(crate) struct Row {
    pub(crate) case: &'static Case,
    /// In the order of [`Product::ALL`].
    pub(crate) servers: [Option<Measured>; 5],
    pub(crate) alone: Option<f64>,
}

/// Why cells of the table are empty.
#[derive(Default)]
pub(crate) struct Failures(Vec<String>);

impl Failures {
    pub(crate) fn keep<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.0.push(format!("{error:#}"))).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Report {
    pub(crate) fn markdown(&self, seconds: f64) -> Result<String> {
        let mut out = String::from("# tabpy-rs beside others\n\n");
        write_circumstances(&mut out, seconds)?;
        if let Some(pair) = &self.cold_start {
            let [tabpy, ours] = pair.map(|time| cell(time, milliseconds));
            let target = milliseconds(cold_start::TARGET);
            let (name, runs) = (cold_start::NAME, cold_start::RUNS);
            writeln!(
                out,
                "\n{name}, median of {runs}: TabPy {tabpy} ms, tabpy-rs {ours} ms (target: under {target} ms)."
            )?;
        }
        if let Some(time) = self.replacement {
            let (time, target) = (milliseconds(time), milliseconds(replacement::TARGET));
            let (name, runs) = (replacement::NAME, replacement::RUNS);
            writeln!(out, "\nUntil {name}, median of {runs}: {time} ms (target: under {target} ms).")?;
        }
        self.write_rates(&mut out)?;
        self.write_times(&mut out)?;
        self.write_curve(&mut out)?;
        self.write_cores(&mut out)?;
        for failure in &self.failures.0 {
            writeln!(out, "\nFailed: {failure}")?;
        }
        Ok(out)
    }

    fn write_rates(&self, out: &mut String) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let columns = [
            "Requests a second",
            "TabPy",
            "TabPy, quiet",
            "FastAPI",
            "tabpy-rs",
            "x TabPy",
            "x quiet",
            "x FastAPI",
        ];
        write_head(out, &[&columns[..], &["echo", "of it", "alone", "of it"]].concat())?;
        for row in &self.rows {
            let [tabpy, quiet, fastapi, echo, ours] =
                row.servers.each_ref().map(|one| one.as_ref().map(|one| one.timed.per_second));
            let times = |other: Option<f64>| cell(ours.zip(other), |(ours, other)| number(ours / other));
            let target = |target: Option<f64>| {
                target.map_or_else(String::new, |target| format!(" (target: {target})"))
            };
            let rate = |rate| cell(rate, number);
            let cells = [
                row.case.name.to_owned(),
                rate(tabpy),
                rate(quiet),
                rate(fastapi),
                rate(ours),
                times(tabpy) + &target(row.case.target),
                times(quiet),
                times(fastapi),
                rate(echo),
                times(echo) + &target(row.case.echo_target),
                rate(row.alone),
                times(row.alone),
            ];
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    fn write_times(&self, out: &mut String) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let columns = [
            "p50 / p99 in ms, peak memory in MiB",
            "TabPy",
            "FastAPI",
            "tabpy-rs",
            "TabPy",
            "FastAPI",
            "tabpy-rs",
            "part of TabPy's",
        ];
        write_head(out, &columns)?;
        for row in &self.rows {
            let [tabpy, _, fastapi, _, ours] = row.servers.each_ref().map(Option::as_ref);
            let times = |one: Option<&Measured>| cell(one, |one| latency(&one.timed));
            let memory = |one: Option<&Measured>| cell(one, |one| (one.peak_memory >> 20).to_string());
            let part = cell(ours.zip(tabpy), |(ours, tabpy)| {
                format!("{:.2}", ours.peak_memory as f64 / tabpy.peak_memory as f64)
            });
            let cells = [
                row.case.name.to_owned(),
                times(tabpy),
                times(fastapi),
                times(ours),
                memory(tabpy),
                memory(fastapi),
                memory(ours),
                part,
            ];
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    fn write_curve(&self, out: &mut String) -> Result<()> {
        if self.curve.is_empty() {
            return Ok(());
        }
        write_head(
            out,
            &[
                "Tiny calls, connections",
                "tabpy-rs, requests a second",
                "p50 / p99 in ms",
                "echo, requests a second",
                "p50 / p99 in ms",
            ],
        )?;
        for (connections, [echo, ours]) in &self.curve {
            let rate = |one: &Option<Timed>| cell(one.as_ref(), |one| number(one.per_second));
            let times = |one: &Option<Timed>| cell(one.as_ref(), latency);
            writeln!(
                out,
                "| {connections} | {} | {} | {} | {} |",
                rate(ours),
                times(ours),
                rate(echo),
                times(echo)
            )?;
        }
        Ok(())
    }

    fn write_cores(&self, out: &mut String) -> Result<()> {
        if self.cores.is_empty() {
            return Ok(());
        }
        write_head(out, &["Tiny calls, 32 connections, cores for the server", "TabPy", "tabpy-rs"])?;
        for (cores, pair) in &self.cores {
            let [tabpy, ours] = pair.each_ref().map(|one| cell(one.as_ref(), |one| number(one.per_second)));
            writeln!(out, "| {cores} | {tabpy} | {ours} |")?;
        }
        Ok(())
    }
}

fn write_head(out: &mut String, columns: &[&str]) -> Result<()> {
    writeln!(out, "\n| {} |\n|---{}|", columns.join(" | "), "|--:".repeat(columns.len() - 1))?;
    Ok(())
}

fn latency(timed: &Timed) -> String {
    format!("{} / {}", milliseconds(timed.median), milliseconds(timed.percentile_99))
}

fn write_circumstances(out: &mut String, seconds: f64) -> Result<()> {
    let cores = thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let tabpy_version = "import importlib.metadata as m, platform as p; print(m.version('tabpy'), 'on Python', p.python_version())";
    writeln!(
        out,
        "- {}, {}, {cores} cores, Linux {}",
        line_of("date", &["+%F"]),
        processor(),
        kernel.trim()
    )?;
    writeln!(
        out,
        "- TabPy {}; tabpy-rs {} ({}) on {}",
        line_of(package_folder().join(".venv-tabpy/bin/python"), &["-c", tabpy_version]),
        env!("CARGO_PKG_VERSION"),
        line_of("git", &["describe", "--always", "--dirty"]),
        line_of(package_folder().join(".venv/bin/python"), &["--version"])
    )?;
    let fastapi = "import importlib.metadata as m; print('FastAPI', m.version('fastapi'), 'under granian', m.version('granian'))";
    writeln!(
        out,
        "- {}, one process a core, `benches/fastapi_app.py`; quiet: TabPy with its log at WARNING; echo: actix-web that sends \
         each body back; alone: parse, call and write in one process that nobody asks",
        line_of(package_folder().join(".venv-fastapi/bin/python"), &["-c", fastapi])
    )?;
    writeln!(
        out,
        "- All started afresh for each case, as installed, with the load beside them on the same cores; closed loop on \
         kept-alive connections, {seconds} s each (at least 3 requests a connection), every answer compared with what must come"
    )?;
    writeln!(
        out,
        "- Tiny: `return _arg1[0] + 1`; a function does the same. Two columns of numbers or one of strings in, `return _arg1`. The array: \
         `numpy.arange(n) / 7`, for the others with `.tolist()`. Memory: proportional set size of all processes of the \
         server, sampled while it warms up and at the end"
    )?;
    Ok(())
}

/// Keeps the report beside those of other days and machines.
pub(crate) fn keep(text: &str) -> Result<PathBuf> {
    let folder = package_folder().join("benches/runs");
    fs::create_dir_all(&folder)?;
    let mut slug = String::new();
    for part in processor().to_lowercase().split(|letter: char| !letter.is_ascii_alphanumeric()) {
        if !part.is_empty() {
            slug.push('-');
            slug.push_str(part);
        }
    }
    let file = folder.join(format!("{}{slug}.md", line_of("date", &["+%F"])));
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, model)| model.to_owned())
}

/// What a command prints, or a question mark: a report without a version is better than none.
fn line_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(package_folder()).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    text.map_or_else(|| "?".to_owned(), |text| String::from_utf8_lossy(&text).trim().to_owned())
}

fn cell<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

/// Three significant digits at least.
fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn milliseconds(time: Duration) -> String {
    number(time.as_secs_f64() * 1000.0)
}
