//! How long a platform or an operator waits for a server: from the start of its process to the
//! first `200` of `GET /info`, with files already in the page cache.

use std::time::Duration;

use anyhow::Result;

use crate::server::{Product, Server};

pub(crate) const NAME: &str = "/info from a cold start";
pub(crate) const RUNS: usize = 5;
pub(crate) const TARGET: Duration = Duration::from_millis(15);

/// The median.
pub(crate) fn measure(product: Product) -> Result<Duration> {
    let mut times = [Duration::ZERO; RUNS];
    // Once untimed, for the page cache.
    Server::start(product, false)?.wait_until_it_answers()?;
    for time in &mut times {
        *time = Server::start(product, false)?.wait_until_it_answers()?;
    }
    times.sort_unstable();
    Ok(times[RUNS / 2])
}
