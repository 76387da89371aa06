//! What scripts are kept from, as the operator wants it. Paths become absolute here, and one that
//! would open what is to stay closed is a warning; what the kernel can hold of it is not known here.

use std::path::{Path, PathBuf};

use super::raw::Raw;
use super::sources::Sources;
use super::values::Value;
use crate::wire::Confinement;

/// `hidden` stays closed; the settings' own files are added to it.
pub(super) fn confinement(
    sources: &Sources,
    raw: &Raw,
    hidden: Vec<PathBuf>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Confinement> {
    let value = |name, text| Value::new(sources, name, text);
    let confine = value("TABPY_CONFINE", &raw.tabpy_confine);
    let on = match confine.text().map(str::to_lowercase).as_deref() {
        None | Some("auto") => true,
        Some("off") => false,
        Some(_) => return Err(confine.wrong("auto or off")),
    };
    let mut hidden: Vec<PathBuf> =
        hidden.iter().chain(&sources.files).map(|path| absolute(path)).collect::<anyhow::Result<_>>()?;
    hidden.sort();
    hidden.dedup();
    let read = paths("TABPY_SCRIPT_READ", &raw.tabpy_script_read)?;
    let write = paths("TABPY_SCRIPT_WRITE", &raw.tabpy_script_write)?;
    let network = value("TABPY_SCRIPT_NETWORK", &raw.tabpy_script_network).boolean(true)?;
    for (name, paths) in [("TABPY_SCRIPT_READ", &read), ("TABPY_SCRIPT_WRITE", &write)] {
        for path in paths {
            warnings.extend(doubt(name, path, &hidden, on));
        }
    }
    if !on && !network {
        warnings.push("TABPY_SCRIPT_NETWORK=false has no effect while TABPY_CONFINE is off".to_owned());
    }
    Ok(Confinement { on, read, write, network, hidden, server: std::process::id() })
}

fn paths(name: &'static str, text: &Option<String>) -> anyhow::Result<Vec<PathBuf>> {
    let parts = text.as_deref().unwrap_or_default().split([':', ',']).map(str::trim);
    let paths = parts.filter(|part| !part.is_empty()).map(|part| absolute(Path::new(part)));
    paths.collect::<anyhow::Result<_>>().map_err(|error| error.context(name))
}

/// Links are followed where there are any, so that a path has one form.
fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    Ok(path.canonicalize().or_else(|_| std::path::absolute(path))?)
}

/// What the operator probably did not mean.
fn doubt(name: &str, path: &Path, hidden: &[PathBuf], on: bool) -> Option<String> {
    let shown = path.display();
    if !on {
        return Some(format!("{name}: {shown} has no effect while TABPY_CONFINE is off"));
    }
    if !path.exists() {
        return Some(format!(
            "{name}: there is no {shown}, so scripts will not see it before the next start"
        ));
    }
    if let Some(secret) = hidden.iter().find(|secret| path.starts_with(secret)) {
        return Some(format!(
            "{name}: {shown} opens {} to scripts, which is the server's own; name another place",
            secret.display()
        ));
    }
    let secret = hidden.iter().find(|secret| secret.starts_with(path) && secret.exists())?;
    Some(format!(
        "{name}: {shown} holds {}, which stays closed to scripts; they cannot list the folders above it, or \
         see files that are new in them. Name the folders that scripts need instead",
        secret.display()
    ))
}
