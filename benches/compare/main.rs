//! `make bench`: the same requests to a real TabPy, to what a user might write instead and to this server, and
//! what the machine allows at most, all in one run on one machine, so that the ratios hold where the times do
//! not. Each case starts the servers afresh, one after the other, and checks every answer. It prints tables; a
//! full run also keeps them under `benches/runs`. BENCH_ONLY=text runs the parts whose name has the text,
//! BENCH_SECONDS=n sets how long each one is measured.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench speaks to the terminal")]

mod alone;
mod case;
mod cold_start;
mod echo;
mod functions;
#[path = "../shared/interpreter.rs"]
mod interpreter;
mod load;
mod memory;
mod replacement;
mod report;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::case::{CASES, CURVE, Case, Content};
use crate::load::{Exchange, Load, Measured, Timed};
use crate::report::{Report, Row};
use crate::server::{Product, ROLE, Server};

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
    let seconds = match std::env::var("BENCH_SECONDS") {
        Ok(text) => text.parse().context("BENCH_SECONDS must be a number of seconds")?,
        Err(_) => DEFAULT_SECONDS,
    };
    let time = Duration::from_secs_f64(seconds);
    if let Ok(role) = std::env::var(ROLE) {
        play(&role, time)?;
        return Ok(true);
    }
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    for product in Product::ALL {
        product.require()?;
    }

    let mut report = Report::default();
    if cold_start::NAME.contains(&only) {
        eprintln!("{}", cold_start::NAME);
        report.cold_start = Some(
            [Product::TabPy, Product::Ours].map(|product| report.failures.keep(cold_start::measure(product))),
        );
    }
    if replacement::NAME.contains(&only) {
        eprintln!("{}", replacement::NAME);
        report.replacement = report.failures.keep(replacement::measure());
    }
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        eprintln!("{}", case.name);
        let servers = Product::ALL.map(|product| {
            if case.authenticated && !product.has_users() || case.functions > 0 && !product.has_functions() {
                return None;
            }
            let outcome = measure(case, product, time);
            report.failures.keep(outcome.with_context(|| format!("{}, {}", case.name, product.name())))
        });
        let scripts = Some(case).filter(|case| case.functions == 0);
        let alone =
            scripts.and_then(|case| report.failures.keep(alone::measure(&case.content.body(false), time)));
        report.rows.push(Row { case, servers, alone });
    }
    for connections in CURVE.into_iter().filter(|_| "curve".contains(&only)) {
        eprintln!("curve, {connections} connections");
        let pair = [Product::Echo, Product::Ours].map(|product| {
            report.failures.keep(measure_tiny(Server::start(product, false), product, connections, time))
        });
        report.curve.push((connections, pair));
    }
    let cores = std::thread::available_parallelism()?.get();
    for cores in (1..=cores).filter(|_| "cores".contains(&only)) {
        eprintln!("{cores} cores");
        let pair = [Product::TabPy, Product::Ours].map(|product| {
            report.failures.keep(measure_tiny(Server::start_on(product, cores), product, 32, time))
        });
        report.cores.push((cores, pair));
    }

    let text = report.markdown(seconds)?;
    println!("{text}");
    let complete = report.failures.is_empty();
    if complete && only.is_empty() && seconds >= DEFAULT_SECONDS {
        println!("kept in {}", report::keep(&text)?.display());
    }
    Ok(complete)
}

/// What a copy of this program does that was started for it.
fn play(role: &str, time: Duration) -> Result<()> {
    if role == alone::NAME {
        println!("{}", alone::run(time)?);
        return Ok(());
    }
    if role == Product::Echo.name() {
        return echo::serve(std::env::var("PORT")?.parse()?);
    }
    bail!("{ROLE} is set, which is for the bench itself")
}

/// Memory is sampled while the server warms up, so that reading it does not slow what is timed.
fn measure(case: &Case, product: Product, time: Duration) -> Result<Measured> {
    let mut server = Server::start(product, case.authenticated)?;
    server.wait_until_it_answers()?;
    let body = case.content.body(product.wants_lists());
    functions::deploy(&server, product, case.functions).context("while deploying functions")?;
    let request = server.request_to(&format!("POST {}", case.content.path()), &body);
    let answer = if product == Product::Echo { body } else { case.content.answer() };
    let exchange = Exchange { address: server.address, request: &request, answer: &answer };
    let warm_up = Load { connections: case.connections, time: Duration::from_millis(700), least: 2 };
    let (warmed, peak) = memory::peak_during(server.id(), || load::run(&exchange, &warm_up));
    warmed.context("while warming up")?;
    let timed = load::run(&exchange, &Load { connections: case.connections, time, least: 3 })?;
    Ok(Measured { timed, peak_memory: peak.max(memory::of_tree(server.id())) })
}

fn measure_tiny(
    server: Result<Server>,
    product: Product,
    connections: usize,
    time: Duration,
) -> Result<Timed> {
    let mut server = server?;
    server.wait_until_it_answers()?;
    let body = Content::Tiny.body(false);
    let request = server.request(&body);
    let answer = if product == Product::Echo { body } else { Content::Tiny.answer() };
    let exchange = Exchange { address: server.address, request: &request, answer: &answer };
    load::run(&exchange, &Load { connections, time: Duration::from_millis(700), least: 2 })?;
    load::run(&exchange, &Load { connections, time, least: 3 })
}
