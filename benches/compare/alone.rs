//! What a worker could reach if nobody asked: parse, call and write in a process of its own, over and over.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use tabpy_rs::python::{Asked, Source};

use crate::interpreter;
use crate::server::{ROLE, package_folder};

pub(crate) const NAME: &str = "alone";

/// Requests a second, of a process that is started for it.
pub(crate) fn measure(body: &str, time: Duration) -> Result<f64> {
    let mut process = Command::new(std::env::current_exe()?)
        .env(ROLE, NAME)
        .env("BENCH_SECONDS", time.as_secs_f64().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    process.stdin.take().context("no standard input")?.write_all(body.as_bytes())?;
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "parse, call and write in one process failed");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The process: a body from standard input, requests a second to standard output.
pub(crate) fn run(time: Duration) -> Result<f64> {
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    let python = package_folder().join(".venv/bin/python").display().to_string();
    let (mut interpreter, _folder) = interpreter::ready(python, &["numpy"])?;
    let asked = Asked { generation: 0, only_if_pure: false, write_beside: false };
    let mut buffer = Vec::new();
    let mut evaluate = || {
        buffer.clear();
        buffer.extend_from_slice(&body);
        let source = Source::Buffer { start: 0, length: body.len(), read: &mut |_| None };
        interpreter.evaluate(&mut buffer, source, &asked, || true, |_| true, |outcome, _| outcome.status).0
    };
    for _ in 0..3 {
        ensure!(evaluate() == 200, "the script fails");
    }
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < time || count < 3 {
        evaluate();
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
