//! `tabpy-rs`: parses its command line and makes one call.

use std::process::ExitCode;

use tabpy_rs::cli::{Cli, Command};
use tabpy_rs::{connect, deploy, healthcheck, startup, worker};

fn main() -> ExitCode {
    let outcome = match Cli::from_command_line() {
        Command::Serve(arguments) => return startup::serve(&arguments),
        Command::Worker => worker::run(),
        Command::ForkServer => worker::run_forker(),
        Command::Healthcheck { port, arguments } => healthcheck::run(port, &arguments),
        Command::Connect(order) => return connect::run(&order),
        Command::Doctor(examination) => return connect::examine(&examination),
        Command::Deploy(deployment) => deploy::run(&deployment),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tabpy-rs: {error:#}");
            ExitCode::FAILURE
        }
    }
}
