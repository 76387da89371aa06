//! Changes a password file so that nobody ever sees half of it: under a lock, into a new file beside
//! it, renamed over the old one. The file ends up readable by its owner alone, and with the owner it
//! had. What changes in the text is the caller's business.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::watched;

/// What a file was before others lost their right to read it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tightened {
    pub(super) mode: u32,
    pub(super) owner: u32,
}

/// Puts what `change` makes of the file's text in its place. `change` gets `None` when there is no
/// file, and returns `None` to leave all as it is.
pub(super) fn edit(
    path: &Path,
    change: impl FnOnce(Option<&str>) -> anyhow::Result<Option<String>>,
) -> anyhow::Result<Option<Tightened>> {
    let path = real(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    // The folder is locked and not the file: that one is replaced, and a lock file would stay behind.
    let lock = File::open(folder).with_context(|| format!("cannot open the folder {}", folder.display()))?;
    lock.lock().with_context(|| format!("cannot lock the folder {}", folder.display()))?;

    let text = if path.exists() { Some(watched::text(&path)?) } else { None };
    let Some(text) = change(text.as_deref())? else { return Ok(None) };
    let failed = || format!("cannot write {}; it is as it was", path.display());
    let mut new = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    new.write_all(text.as_bytes()).with_context(failed)?;
    let tightened = keep_rights(new.as_file(), &path).with_context(failed)?;
    new.as_file().sync_all().with_context(failed)?;
    new.persist(&path).with_context(failed)?;
    // The rename itself must outlive a power cut; a file system that cannot promise that is no error.
    let _ = lock.sync_all();
    Ok(tightened)
}

/// The file itself, where a link to it was named: the link stays.
fn real(path: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(path) = path.canonicalize() {
        return Ok(path);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| anyhow!("{} is no name of a file", path.display()))?;
    let folder =
        folder.canonicalize().with_context(|| format!("cannot find the folder {}", folder.display()))?;
    Ok(folder.join(name))
}

/// Mode 600, or stricter if the old file is; and the old file's owner.
fn keep_rights(new: &File, path: &Path) -> anyhow::Result<Option<Tightened>> {
    let Ok(old) = fs::metadata(path) else {
        new.set_permissions(fs::Permissions::from_mode(0o600))?;
        return Ok(None);
    };
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
        let given = fchown(new, Some(old.uid()), Some(old.gid()));
        // Another group reads nothing at mode 600; another owner could lock the server out.
        if own.uid() != old.uid() {
            given.with_context(|| {
                format!("it belongs to user id {}: run this as that user or as root", old.uid())
            })?;
        }
    }
    new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o600))?;
    let mode = old.mode() & 0o777;
    Ok((mode & 0o044 != 0).then_some(Tightened { mode, owner: old.uid() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_for_its_owner_alone_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.txt");
        edit(&path, |text| Ok(text.is_none().then(|| "a".to_owned()))).unwrap();
        edit(&path, |text| Ok(Some(format!("{}b", text.unwrap())))).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("ab", 0o600));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn stricter_rights_stay_and_looser_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.txt");
        for (old, new) in [(0o644, 0o600), (0o400, 0o400)] {
            fs::write(&path, "a").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(old)).unwrap();
            let tightened = edit(&path, |_| Ok(Some("b".to_owned()))).unwrap();
            assert_eq!(mode(&path), new);
            assert_eq!(tightened.map(|tightened| tightened.mode), (old == 0o644).then_some(old));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_link_stays_a_link_and_a_refusal_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("p.txt"), folder.path().join("l.txt"));
        fs::write(&path, "a").unwrap();
        std::os::unix::fs::symlink("p.txt", &link).unwrap();
        edit(&link, |_| Ok(Some("b".to_owned()))).unwrap();
        assert!(link.is_symlink());
        assert!(edit(&path, |_| Err(anyhow!("no"))).is_err());
        edit(&path, |_| Ok(None)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
        assert!(edit(&folder.path().join("gone/p.txt"), |_| Ok(None)).is_err());
    }
}
