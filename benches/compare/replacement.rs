//! How long a worker that was killed is missing: from the moment it ends until another one, with the same
//! modules loaded, has answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::ask;
use crate::server::{Product, Server};

pub(crate) const NAME: &str = "an answer after the only worker was killed, pandas and scikit-learn loaded";
pub(crate) const RUNS: usize = 9;
pub(crate) const TARGET: Duration = Duration::from_millis(10);

const WHO: &str = r#"{"script":"import os\nreturn os.getpid()","data":{}}"#;

/// The median.
pub(crate) fn measure() -> Result<Duration> {
    let environment =
        [("TABPY_WORKERS", "1"), ("TABPY_MAX_WORKERS", "1"), ("TABPY_PRELOAD", "numpy,pandas,sklearn")];
    let mut server = Server::start_with(Product::Ours, false, &environment)?;
    server.wait_until_it_answers()?;
    let request = server.request(WHO);
    let mut pid: i32 = ask(server.address, &request)?.parse()?;
    let mut times = [Duration::ZERO; RUNS];
    for time in &mut times {
        let killed = Instant::now();
        kill_process(Pid::from_raw(pid).context("not a process")?, Signal::KILL)?;
        // A process that is about to end may still be given the request, which then ends with it.
        let next = loop {
            match ask(server.address, &request) {
                Ok(text) => break text.parse()?,
                Err(error) => ensure!(killed.elapsed() < Duration::from_secs(10), error),
            }
        };
        *time = killed.elapsed();
        ensure!(next != pid, "the dead worker answered");
        pid = next;
    }
    times.sort_unstable();
    Ok(times[RUNS / 2])
}
