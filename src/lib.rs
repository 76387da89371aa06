//! tabpy-rs: a drop-in for Tableau's TabPy. A quiet front, a small pool, a worker behind a wire,
//! Python behind one door; ARCHITECTURE.md is the map.

pub mod catalogue;
pub mod cli;
pub mod config;
pub mod connect;
mod control;
pub mod credentials;
pub mod deploy;
mod descriptors;
pub mod failure;
mod given;
pub mod healthcheck;
mod heap;
pub mod http;
mod large_pages;
pub mod mapping;
pub mod memory;
pub mod metrics;
pub mod orphans;
pub mod pool;
mod priority;
pub mod python;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod temporary;
mod ticks;
mod web;
pub mod wire;
pub mod worker;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// What the linked Python's script makes of the input; both go through JSON.
    pub(crate) fn python<I: serde::Serialize, O: serde::de::DeserializeOwned>(script: &str, input: &I) -> O {
        let mut command = Command::new(env!("TABPY_LINKED_PYTHON"));
        command.args(["-I", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&serde_json::to_vec(input).unwrap()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
