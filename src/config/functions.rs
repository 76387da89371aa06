//! Where deployed functions are kept and found, and how many and how large they may be.

use std::path::{Path, PathBuf};

use super::python::LINKED_VERSION;
use super::raw::Raw;
use super::sizing;
use super::sources::Sources;
use super::values::Value;
use crate::store::{Address, FILE, Location, Settings};

const FOLDER: &str = "functions";

/// `memory` is what there is for everything, in bytes.
pub(super) fn settings(
    sources: &Sources,
    raw: &Raw,
    state_path: &Path,
    memory: u64,
) -> anyhow::Result<Settings> {
    let value = |name, text| Value::new(sources, name, text);
    let versions = value("TABPY_FUNCTION_VERSIONS", &raw.tabpy_function_versions).integer(1, 1000)?;
    let path = raw.tabpy_functions_path.as_deref().map(str::trim);
    Ok(Settings {
        state_path: state_path.to_owned(),
        location: location(sources, raw, state_path)?,
        functions_path: std::path::absolute(path.map_or_else(|| PathBuf::from(FOLDER), PathBuf::from))?,
        functions_path_is_set: path.is_some(),
        max_function_bytes: value("TABPY_MAX_FUNCTION_SIZE_MB", &raw.tabpy_max_function_size_mb)
            .bytes(sizing::function_megabytes(memory), 1024 * 1024)?,
        versions: versions.map_or(5, |versions| u32::try_from(versions).unwrap_or(u32::MAX)),
        python: LINKED_VERSION,
    })
}

fn location(sources: &Sources, raw: &Raw, state_path: &Path) -> anyhow::Result<Location> {
    let connections = Value::new(sources, "TABPY_DATABASE_CONNECTIONS", &raw.tabpy_database_connections);
    let connections =
        connections.integer(1, 1000)?.map_or(4, |count| u32::try_from(count).unwrap_or(u32::MAX));
    let Some(url) = raw.database_url.as_deref() else { return Ok(Location::Sqlite(state_path.join(FILE))) };
    match Address::parse(url.trim()) {
        Some(address) => Ok(Location::Postgres { address, connections }),
        // The value is not repeated: it holds a password.
        None => anyhow::bail!(
            "DATABASE_URL (from {}) cannot be used: it takes postgres://USER:PASSWORD@HOST:PORT/DATABASE, with other \
             characters than letters and digits of user and password as %XX",
            sources.origin("DATABASE_URL")
        ),
    }
}
