//! Which Python environment scripts see: a venv's folder or an executable, of the minor version that
//! this program is linked to. The version is read from the files around the executable; only if they
//! do not say is Python asked, once, without its site packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{anyhow, bail};

use super::raw::Raw;
use super::sources::Sources;
use super::values::Value;

/// The interpreter that the build found.
const LINKED: &str = env!("TABPY_LINKED_PYTHON");
/// Its version: `3.11`.
pub const LINKED_VERSION: &str = env!("TABPY_LINKED_PYTHON_VERSION");

/// The executable beside whose environment scripts run.
pub(super) fn executable(
    sources: &Sources,
    raw: &Raw,
    warnings: &mut Vec<String>,
) -> anyhow::Result<PathBuf> {
    let own = Value::new(sources, "TABPY_PYTHON", &raw.tabpy_python);
    if let Some(path) = own.text() {
        return usable(Path::new(path)).map_err(|why| {
            anyhow!("TABPY_PYTHON = {path:?} (from {}) cannot be used: {why}", sources.origin("TABPY_PYTHON"))
        });
    }
    if let Some(path) = raw.virtual_env.as_deref() {
        match usable(Path::new(path)) {
            Ok(executable) => return Ok(executable),
            Err(why) => warnings.push(format!(
                "VIRTUAL_ENV = {path:?} is left aside, and scripts see the packages of {LINKED}: {why}"
            )),
        }
    }
    Ok(PathBuf::from(LINKED))
}

fn usable(path: &Path) -> anyhow::Result<PathBuf> {
    let executable = if path.is_dir() {
        let candidates = ["bin/python", "bin/python3"].map(|name| path.join(name));
        let found = candidates.into_iter().find(|candidate| candidate.is_file());
        found.ok_or_else(|| {
            anyhow!("the folder has no bin/python; it takes a venv's folder or a Python executable")
        })?
    } else if path.is_file() {
        path.to_owned()
    } else {
        bail!("there is nothing there; it takes a venv's folder or a Python executable")
    };
    // Workers have a working folder of their own. Links stay: the environment is found beside the link.
    let executable = std::path::absolute(executable)?;
    match version(&executable) {
        Some(version) if version == LINKED_VERSION => Ok(executable),
        Some(version) => bail!(
            "it is Python {version}, and this program is built for Python {LINKED_VERSION}; it takes an environment made \
             by Python {LINKED_VERSION}"
        ),
        None => bail!("it does not tell its version; it takes a venv's folder or a Python executable"),
    }
}

/// `3.11`, from the cheapest witness that knows.
fn version(executable: &Path) -> Option<String> {
    let folder = executable.parent()?;
    let named = |path: &Path| minor(path.file_name()?.to_str()?.strip_prefix("python")?);
    configured(&folder.join("../pyvenv.cfg"))
        .or_else(|| configured(&folder.join("pyvenv.cfg")))
        .or_else(|| named(&executable.canonicalize().ok()?))
        .or_else(|| asked(executable))
}

/// The version in a `pyvenv.cfg`: `version` by venv, `version_info` by virtualenv and uv.
fn configured(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once('='));
    let (_, version) =
        pairs.find(|(name, _)| ["version", "version_info"].contains(&name.trim().to_lowercase().as_str()))?;
    minor(version.trim())
}

/// `3.11` of `3.11.7` or `3.11`; nothing of `3` or of words.
fn minor(version: &str) -> Option<String> {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(major) && digits(minor)).then(|| format!("{major}.{minor}"))
}

fn asked(executable: &Path) -> Option<String> {
    let script = "import sys; print('%d.%d' % sys.version_info[:2])";
    // No variable of ours is any business of a program that may turn out not to be Python.
    let output = Command::new(executable).args(["-I", "-S", "-c", script]).env_clear().output().ok()?;
    minor(std::str::from_utf8(&output.stdout).ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venv(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        std::fs::write(folder.path().join("bin/python"), "").unwrap();
        std::fs::write(folder.path().join("pyvenv.cfg"), format!("home = /usr/bin\n{version}\n")).unwrap();
        folder
    }

    fn decide(python: Option<&Path>, virtual_env: Option<&Path>) -> (anyhow::Result<PathBuf>, Vec<String>) {
        let text = |path: Option<&Path>| path.map(|path| path.to_str().unwrap().to_owned());
        let raw = Raw { tabpy_python: text(python), virtual_env: text(virtual_env), ..Raw::default() };
        let mut warnings = Vec::new();
        (executable(&Sources::default(), &raw, &mut warnings), warnings)
    }

    #[test]
    fn a_venv_of_the_linked_version_is_taken_by_folder_or_executable() {
        for line in
            [format!("version = {LINKED_VERSION}.1"), format!("version_info = {LINKED_VERSION}.1.final.0")]
        {
            let folder = venv(&line);
            let executable = folder.path().join("bin/python");
            assert_eq!(decide(Some(folder.path()), None).0.unwrap(), executable);
            assert_eq!(decide(Some(&executable), None).0.unwrap(), executable);
            let (found, warnings) = decide(None, Some(folder.path()));
            assert_eq!((found.unwrap(), warnings), (executable, Vec::new()));
        }
    }

    #[test]
    fn another_version_is_an_error_for_our_setting_and_a_warning_for_the_shell_s() {
        let folder = venv("version = 2.7.18");
        let error = decide(Some(folder.path()), None).0.unwrap_err().to_string();
        assert!(
            error.contains("TABPY_PYTHON") && error.contains("2.7") && error.contains(LINKED_VERSION),
            "{error}"
        );
        let (executable, warnings) = decide(None, Some(folder.path()));
        assert_eq!(executable.unwrap(), Path::new(LINKED));
        assert!(warnings[0].contains("2.7") && warnings[0].contains(LINKED_VERSION), "{warnings:?}");
    }

    #[test]
    fn nothing_there_or_no_python_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = decide(Some(folder.path()), None).0.unwrap_err().to_string();
        assert!(error.contains("no bin/python"), "{error}");
        let error = decide(Some(&folder.path().join("gone")), None).0.unwrap_err().to_string();
        assert!(error.contains("nothing there"), "{error}");
    }

    #[test]
    fn the_linked_python_is_the_default_and_tells_its_version() {
        assert_eq!(decide(None, None).0.unwrap(), Path::new(LINKED));
        assert_eq!(version(Path::new(LINKED)).as_deref(), Some(LINKED_VERSION));
        assert_eq!(asked(Path::new(LINKED)).as_deref(), Some(LINKED_VERSION));
    }

    #[test]
    fn versions_in_names() {
        assert_eq!(minor("3.11.7").as_deref(), Some("3.11"));
        assert_eq!(minor("3.9").as_deref(), Some("3.9"));
        assert_eq!((minor("3"), minor("x.y"), minor("")), (None, None, None));
    }
}
