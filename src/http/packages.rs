//! Which Python packages scripts can import, as their folders say: no Python runs for that.

use std::path::Path;

/// Name and version, by name.
pub(super) fn installed(python: &Path) -> Vec<(String, String)> {
    let Some(prefix) = python.parent().and_then(Path::parent) else { return Vec::new() };
    let Ok(libraries) = std::fs::read_dir(prefix.join("lib")) else { return Vec::new() };
    let mut found: Vec<(String, String)> = libraries
        .flatten()
        .filter(|folder| folder.file_name().to_string_lossy().starts_with("python3"))
        .flat_map(|folder| ["site-packages", "dist-packages"].map(|name| folder.path().join(name)))
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| package(entry.file_name().to_str()?))
        .collect();
    found.sort_by_key(|(name, _)| name.to_lowercase());
    found.dedup();
    found
}

/// `scikit_learn-1.9.1.dist-info`
fn package(folder: &str) -> Option<(String, String)> {
    let (name, version) = folder.strip_suffix(".dist-info")?.rsplit_once('-')?;
    Some((name.replace('_', "-"), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_by_their_folders() {
        let prefix = tempfile::tempdir().unwrap();
        let packages = prefix.path().join("lib/python3.11/site-packages");
        for folder in ["scikit_learn-1.9.1.dist-info", "numpy-2.5.5.dist-info", "numpy", "broken.dist-info"] {
            std::fs::create_dir_all(packages.join(folder)).unwrap();
        }
        let found = installed(&prefix.path().join("bin/python"));
        let expected = [("numpy", "2.5.5"), ("scikit-learn", "1.9.1")];
        assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
        assert!(installed(Path::new("/nowhere/bin/python")).is_empty());
    }
}
