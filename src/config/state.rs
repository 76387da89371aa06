//! The state path, and what TabPy's `state.ini` in it says about the service: its name, its headers
//! for browsers, and the path its routes lie under. Nothing is created or written here.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::ini::{Names, Section};
use super::raw::Raw;
use super::{AccessControl, Service};

/// Where `state.ini` and what is kept between starts lie.
pub(super) fn path(raw: &Raw) -> anyhow::Result<PathBuf> {
    let home = raw.home.as_deref().map(Path::new);
    let path = match (raw.tabpy_state_path.as_deref().map(str::trim), raw.xdg_state_home.as_deref(), home) {
        (Some("~"), _, Some(home)) => home.to_owned(),
        (Some(path), _, Some(home)) if path.starts_with("~/") => home.join(&path[2..]),
        (Some(path), _, _) => PathBuf::from(path),
        // The rule of that variable: a relative path in it counts for nothing.
        (None, Some(folder), _) if Path::new(folder).is_absolute() => Path::new(folder).join("tabpy-rs"),
        (None, _, Some(home)) => home.join(".local/state/tabpy-rs"),
        // Not the temporary folder, where somebody else may have been before.
        (None, _, None) => PathBuf::from("tabpy-state"),
    };
    let path =
        std::path::absolute(&path).with_context(|| format!("cannot tell where {} lies", path.display()))?;
    Ok(real(&path))
}

/// Without links and dots as far as it exists, as TabPy shows it in `/info`.
fn real(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// What `state.ini` says, or the defaults when there is none.
pub(super) fn service(state_path: PathBuf) -> anyhow::Result<Service> {
    let file = state_path.join("state.ini");
    let section = match std::fs::read_to_string(&file) {
        Ok(text) => parse(&text).map_err(|why| anyhow!("cannot read {}: {why}", file.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Section::default(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let value = |name: &str| match section.resolve(name, &|_| None) {
        Ok(value) => value,
        // A lone % in a description is no reason not to start.
        Err(_) => section.values.get(name).cloned().unwrap_or_default(),
    };
    let or = |name: &str, default: &str| {
        if section.values.contains_key(name) { value(name) } else { default.to_owned() }
    };
    let header = |name: &str| {
        let value = value(name);
        if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Ok(value)
        } else {
            Err(anyhow!("{name} in {} cannot be used: it takes one line of plain ASCII", file.display()))
        }
    };
    Ok(Service {
        name: or("Name", "TabPy Server"),
        description: value("Description"),
        creation_time: or("Creation Time", "0"),
        subdirectory: subdirectory(&value("Subdirectory"), &file)?,
        access_control: AccessControl {
            allow_origin: header("Access-Control-Allow-Origin")?,
            allow_headers: header("Access-Control-Allow-Headers")?,
            allow_methods: header("Access-Control-Allow-Methods")?,
        },
        state_path,
    })
}

fn parse(text: &str) -> Result<Section, String> {
    Section::parse(text, "Service Info", Names::AsWritten)?
        .ok_or_else(|| "it has no [Service Info] section".to_owned())
}

/// `x` and `/x/` become `/x`; empty stays empty.
fn subdirectory(text: &str, file: &Path) -> anyhow::Result<String> {
    let text = text.trim_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !text.bytes().all(plain)
        || text.split('/').any(|part| part == "." || part == "..")
        || text.contains("//")
    {
        bail!(
            "Subdirectory = {text:?} in {} cannot be used: it takes letters, digits, - . _ ~ and /, such as analytics/tabpy",
            file.display()
        );
    }
    Ok(if text.is_empty() { String::new() } else { format!("/{text}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(state_path: Option<&str>, xdg: Option<&str>, home: Option<&str>) -> Raw {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Raw { tabpy_state_path: own(state_path), xdg_state_home: own(xdg), home: own(home), ..Raw::default() }
    }

    fn read(text: &str) -> anyhow::Result<Service> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.ini"), text).unwrap();
        service(folder.path().to_owned())
    }

    #[test]
    fn the_state_path_has_four_defaults() {
        let path = |a, b, c| super::path(&raw(a, b, c)).unwrap();
        assert_eq!(path(Some("/gone/a"), Some("/gone/x"), Some("/gone/h")), Path::new("/gone/a"));
        assert_eq!(path(Some("~/a"), None, Some("/gone/h")), Path::new("/gone/h/a"));
        assert_eq!(path(None, Some("/gone/x"), Some("/gone/h")), Path::new("/gone/x/tabpy-rs"));
        assert_eq!(path(None, Some("x"), Some("/gone/h")), Path::new("/gone/h/.local/state/tabpy-rs"));
        assert_eq!(path(None, None, None), real(&std::path::absolute("tabpy-state").unwrap()));
        assert!(path(Some("state"), None, None).is_absolute());
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let service = service(PathBuf::from("/gone")).unwrap();
        assert_eq!((service.name.as_str(), service.creation_time.as_str()), ("TabPy Server", "0"));
        assert_eq!((service.description.as_str(), service.subdirectory.as_str()), ("", ""));
        assert_eq!(service.access_control, AccessControl::default());
    }

    #[test]
    fn a_file_of_tabpy_is_read() {
        let service = read(
            "[Service Info]\nName = Ours\nDescription = 5% off\nCreation Time = 1700000000\nSubdirectory = a/b/\n\
             Access-Control-Allow-Origin = *\nAccess-Control-Allow-Headers = X-A, X-B\nAccess-Control-Allow-Methods\n\n\
             [Query Objects Service Versions]\nadd = {\"version\": 1}\n\n[Meta]\nRevision Number = 1\n",
        )
        .unwrap();
        assert_eq!((service.name.as_str(), service.description.as_str()), ("Ours", "5% off"));
        assert_eq!((service.creation_time.as_str(), service.subdirectory.as_str()), ("1700000000", "/a/b"));
        assert_eq!(service.access_control.allow_origin, "*");
        assert_eq!(service.access_control.allow_headers, "X-A, X-B");
        assert_eq!(service.access_control.allow_methods, "");
    }

    #[test]
    fn what_cannot_be_served_stops_the_start() {
        for (text, words) in [
            ("[Meta]\nx = 1\n", "no [Service Info]"),
            ("[Service Info]\nSubdirectory = a b\n", "Subdirectory"),
            ("[Service Info]\nSubdirectory = {x}\n", "Subdirectory"),
            ("[Service Info]\nSubdirectory = ../x\n", "Subdirectory"),
            ("[Service Info]\nAccess-Control-Allow-Origin = a\n  b\n", "Access-Control-Allow-Origin"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("state.ini"), "{error}");
        }
    }
}
