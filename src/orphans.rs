//! What the first process of a container owes the others: a process whose parent has ended becomes its
//! child, and has to be waited for. The server's own children have somebody who waits for them, and
//! are let be.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Children that this process has started.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A child of the server's own, from its start until it has been waited for.
#[derive(Debug)]
pub struct Own(u32);

impl Own {
    pub fn new(pid: u32) -> Self {
        OWN.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
        Self(pid)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        OWN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Waits for orphans from now on, if this is a process that gets any.
pub fn reap() -> std::io::Result<()> {
    if getpid() != Pid::INIT {
        return Ok(());
    }
    std::thread::Builder::new().name("orphans".to_owned()).spawn(|| {
        let mut seen = BTreeSet::new();
        loop {
            std::thread::sleep(PAUSE);
            seen = wait_for(&seen);
        }
    })?;
    Ok(())
}

/// Waits for those that had ended at the last look already; a child of the server's own may have ended before
/// it was known as one. Gives those that have ended by now.
fn wait_for(seen: &BTreeSet<u32>) -> BTreeSet<u32> {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let ended: BTreeSet<u32> =
        children().into_iter().filter(|pid| !own.contains(pid) && has_ended(*pid)).collect();
    for pid in ended.intersection(seen) {
        if let Some(orphan) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            let _ = waitpid(Some(orphan), WaitOptions::NOHANG);
        }
    }
    ended
}

fn children() -> Vec<u32> {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let lists =
        threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before the state may hold anything, also parentheses.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_has_ended_is_waited_for_but_not_the_servers_own() {
        let mut own = Command::new("true").spawn().unwrap();
        let orphan = Command::new("true").spawn().unwrap().id();
        let known = Own::new(own.id());
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while !(has_ended(own.id()) && has_ended(orphan)) {
            assert!(std::time::Instant::now() < until);
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = wait_for(&BTreeSet::new());
        assert!(seen.contains(&orphan) && !seen.contains(&own.id()));
        assert!(has_ended(orphan), "not at the first look");
        wait_for(&BTreeSet::from([orphan]));
        assert!(!has_ended(orphan));
        assert!(own.wait().unwrap().success());
        drop(known);
    }
}
