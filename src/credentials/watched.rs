//! The password file on the disk: reading it, saying why it cannot be read, and noticing that it has
//! changed. What its lines mean is `file`'s business.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{anyhow, bail};

use super::file::{self, Entry};

pub(super) struct Watched {
    path: PathBuf,
    /// What the file was when it was last looked at; `None` when there was none.
    stamp: Mutex<Option<Stamp>>,
}

/// What differs when a file was written, replaced, or given other rights.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    pub(super) fn open(path: PathBuf) -> anyhow::Result<(Self, Vec<Entry>)> {
        // Looked at before it is read: a write between the two is noticed the next time.
        let stamp = stamp(&path);
        let entries = read(&path)?;
        Ok((Self { path, stamp: Mutex::new(stamp) }, entries))
    }

    /// `None` when it is as it was.
    pub(super) fn read_if_changed(&self) -> Option<anyhow::Result<Vec<Entry>>> {
        let now = stamp(&self.path);
        let mut last = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == now {
            return None;
        }
        let entries = read(&self.path);
        // What a shortage kept from being read is read the next time; all else is told once.
        if entries.as_ref().err().is_none_or(|error| !error.is::<io::Error>()) {
            *last = now;
        }
        Some(entries)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some(Stamp {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

/// The users of a file that must hold some.
fn read(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = text(path)?;
    let name = path.display();
    let entries =
        file::entries(&text).map_err(|why| anyhow!("the password file {name} cannot be used: {why}"))?;
    if entries.is_empty() {
        bail!("the password file {name} holds no user: add one with tabpy-user add -u NAME -f {name}");
    }
    Ok(entries)
}

/// The text of a password file, or why it cannot be had and what to change.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => {
                anyhow!(
                    "the password file {name} of TABPY_PWD_FILE is not there: make it with tabpy-user add -u NAME -f {name}"
                )
            }
            io::ErrorKind::InvalidData => anyhow!("the password file {name} is not UTF-8 text"),
            io::ErrorKind::PermissionDenied => {
                let own = rustix::process::geteuid().as_raw();
                match fs::metadata(path) {
                    Ok(file) => anyhow!("the password file {name} cannot be read: {}", rights(own, &file)),
                    Err(_) => anyhow!(
                        "the password file {name} cannot be reached: this program runs as user id {own}, which may not \
                         enter its folder"
                    ),
                }
            }
            _ => anyhow::Error::new(error).context(format!("the password file {name} cannot be read")),
        }),
    }
}

fn rights(own: u32, file: &Metadata) -> String {
    format!(
        "this program runs as user id {own}; the file belongs to user id {} and has mode {:o}. Let user id {own} own it \
         (chown {own}), or let its group read it (chmod 640)",
        file.uid(),
        file.permissions().mode() & 0o777
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.txt");
        let error = |path: &Path| read(path).unwrap_err().to_string();
        assert!(error(&path).contains("tabpy-user add"));
        fs::write(&path, "# nobody\n").unwrap();
        assert!(error(&path).contains("holds no user"));
        fs::write(&path, "ann\n").unwrap();
        assert!(error(&path).contains("line 1"));
        fs::write(&path, b"ann \xff\n").unwrap();
        assert!(error(&path).contains("UTF-8"));
        assert!(error(folder.path()).contains("cannot be read"));
    }

    #[test]
    fn rights_name_who_runs_and_who_owns() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let file = fs::metadata(folder.path()).unwrap();
        let text = rights(4321, &file);
        for words in [
            "runs as user id 4321".to_owned(),
            format!("belongs to user id {}", file.uid()),
            "mode 700".to_owned(),
        ] {
            assert!(text.contains(&words), "{text}");
        }
    }

    #[test]
    fn a_change_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.txt");
        fs::write(&path, "ann aa\n").unwrap();
        let (watched, entries) = Watched::open(path.clone()).unwrap();
        assert_eq!(entries.len(), 1);
        assert!(watched.read_if_changed().is_none());
        fs::write(&path, "ann aa\nbob bb\n").unwrap();
        assert_eq!(watched.read_if_changed().unwrap().unwrap().len(), 2);
        fs::remove_file(&path).unwrap();
        assert!(watched.read_if_changed().unwrap().is_err());
        assert!(watched.read_if_changed().is_none());
        // What cannot be read for another reason may be readable the next time.
        fs::create_dir(&path).unwrap();
        assert!(watched.read_if_changed().unwrap().is_err());
        assert!(watched.read_if_changed().unwrap().is_err());
    }
}
