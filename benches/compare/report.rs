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
use crate::cold_start;
use crate::load::Measured;
use crate::server::package_folder;

/// What was measured of TabPy and of this server.
type Pair<T> = [Option<T>; 2];

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) cold_start: Option<Pair<Duration>>,
    pub(crate) rows: Vec<(&'static Case, Pair<Measured>)>,
    pub(crate) failures: Failures,
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
        let mut out = String::from("# TabPy and tabpy-rs side by side\n\n");
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
        if !self.rows.is_empty() {
            out.push_str(
                "\n| Case | requests/s: TabPy | tabpy-rs | times as many | p50 / p99 in ms: TabPy | tabpy-rs \
                 | peak memory in MiB: TabPy | tabpy-rs | part of TabPy's |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
            );
        }
        for (case, pair) in &self.rows {
            write_row(&mut out, case, pair)?;
        }
        for failure in &self.failures.0 {
            writeln!(out, "\nFailed: {failure}")?;
        }
        Ok(out)
    }
}

fn write_row(out: &mut String, case: &Case, pair: &Pair<Measured>) -> Result<()> {
    let [tabpy, ours] = pair.each_ref().map(Option::as_ref);
    let both = tabpy.zip(ours);
    let rate = |one: &Measured| number(one.timed.per_second);
    let times = |one: &Measured| {
        format!("{} / {}", milliseconds(one.timed.median), milliseconds(one.timed.percentile_99))
    };
    let memory = |one: &Measured| (one.peak_memory / (1024 * 1024)).to_string();
    let mut faster = cell(both, |(tabpy, ours)| number(ours.timed.per_second / tabpy.timed.per_second));
    if let Some(target) = case.target {
        write!(faster, " (target: {target})")?;
    }
    let smaller =
        cell(both, |(tabpy, ours)| format!("{:.2}", ours.peak_memory as f64 / tabpy.peak_memory as f64));
    let cells = [
        case.name.to_owned(),
        cell(tabpy, rate),
        cell(ours, rate),
        faster,
        cell(tabpy, times),
        cell(ours, times),
        cell(tabpy, memory),
        cell(ours, memory),
        smaller,
    ];
    writeln!(out, "| {} |", cells.join(" | "))?;
    Ok(())
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
    writeln!(
        out,
        "- Both started afresh for each case, as installed, with the load beside them on the same cores; closed loop on \
         kept-alive connections, {seconds} s each (at least 3 requests a connection), every answer compared with what must come"
    )?;
    writeln!(
        out,
        "- Tiny: `return _arg1[0] + 1`. Functions: the same, deployed. Rows: two columns in, `return _arg1`. Strings: one column of distinct ones, one of 40 that repeat. \
         Memory: proportional set size of all processes of the server, sampled while it warms up and at the end"
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
