//! `tabpy-user`: parses its command line, makes one call, and says how it went by its exit code.

use std::process::ExitCode;

use tabpy_rs::cli::User;
use tabpy_rs::credentials::cli::run;

fn main() -> ExitCode {
    match run(User::from_command_line(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tabpy-user: {error:#}");
            ExitCode::FAILURE
        }
    }
}
