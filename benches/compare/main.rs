//! `make bench`: the same requests to a real TabPy and to this server, in one run on one machine,
//! so that the ratios hold where the times do not. Each case starts both servers afresh, one after
//! the other, and checks every answer. It prints a table; a full run also keeps it under
//! `benches/runs`. BENCH_ONLY=text runs the cases whose name has the text, BENCH_SECONDS=n sets how
//! long each one is measured.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench speaks to the terminal")]

mod case;
mod cold_start;
mod functions;
mod load;
mod memory;
mod report;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::case::{CASES, Case};
use crate::load::{Exchange, Load, Measured};
use crate::report::Report;
use crate::server::{Product, Server};

const DEFAULT_SECONDS: f64 = 5.0;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False if a case failed: the table is printed all the same.
fn run() -> Result<bool> {
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let seconds = match std::env::var("BENCH_SECONDS") {
        Ok(text) => text.parse().context("BENCH_SECONDS must be a number of seconds")?,
        Err(_) => DEFAULT_SECONDS,
    };
    for product in Product::BOTH {
        product.require()?;
    }

    let mut report = Report::default();
    if cold_start::NAME.contains(&only) {
        eprintln!("{}", cold_start::NAME);
        report.cold_start =
            Some(Product::BOTH.map(|product| report.failures.keep(cold_start::measure(product))));
    }
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        eprintln!("{}", case.name);
        let measured = Product::BOTH.map(|product| {
            let outcome = measure(case, product, Duration::from_secs_f64(seconds));
            report.failures.keep(outcome.with_context(|| format!("{}, {}", case.name, product.name())))
        });
        report.rows.push((case, measured));
    }

    let text = report.markdown(seconds)?;
    println!("{text}");
    let complete = report.failures.is_empty();
    if complete && only.is_empty() && seconds >= DEFAULT_SECONDS {
        println!("kept in {}", report::keep(&text)?.display());
    }
    Ok(complete)
}

/// Memory is sampled while the server warms up, so that reading it does not slow what is timed.
fn measure(case: &Case, product: Product, time: Duration) -> Result<Measured> {
    let mut server = Server::start(product, case.authenticated, case.functions)?;
    server.wait_until_it_answers()?;
    functions::deploy(&server, product, case.functions).context("while deploying functions")?;
    let request = server.request(case.content.path(), &case.content.body());
    let exchange = Exchange { address: server.address, request: &request, answer: &case.content.answer() };
    let warm_up = Load { connections: case.connections, time: Duration::from_millis(700), least: 2 };
    let (warmed, peak) = memory::peak_during(server.id(), || load::run(&exchange, &warm_up));
    warmed.context("while warming up")?;
    let timed = load::run(&exchange, &Load { connections: case.connections, time, least: 3 })?;
    Ok(Measured { timed, peak_memory: peak.max(memory::of_tree(server.id())) })
}
