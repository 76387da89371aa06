//! How many files and sockets the server may have open, and how many of them are for connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is asked for by nobody.
const ENOUGH: u64 = 65_536;

/// What a connection takes: the second one is for a look at whether its client is still there.
const CONNECTION: usize = 2;

/// Takes what the system lets this process have, which mostly begins with 1024. Gives how many there are.
pub(crate) fn ask() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    if limit.current.is_some_and(|now| now < wanted) {
        // What is refused leaves fewer.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH)
}

/// How many connections may be open at once, so that workers and files find descriptors; others wait until one is
/// closed.
pub(crate) fn for_connections(descriptors: u64, workers: usize) -> usize {
    const OWN: usize = 64;
    const WORKER: usize = 8;
    const LEAST: usize = 32;
    let all = usize::try_from(descriptors).unwrap_or(usize::MAX);
    (all.saturating_sub(OWN + WORKER * workers) / CONNECTION).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_find_descriptors_beside_all_connections() {
        assert_eq!(for_connections(1024, 8), 448);
        assert_eq!(for_connections(128, 8), 32);
        assert_eq!(for_connections(ENOUGH, 32), 32_608);
    }
}
