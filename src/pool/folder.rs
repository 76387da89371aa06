//! The folder for temporary files of each worker, all of them below one that is this server's own and
//! locked while it lives. A worker's goes with its handle; what a server left behind that was killed
//! goes when the next one starts.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::temporary;

const PREFIX: &str = "tabpy-rs-";

/// The fork server's, among those of the workers.
const FORK_SERVER: &str = "fork-server";

/// That of deployed functions, for all workers to read.
const CATALOGUE: &str = "catalogue";

/// The folder of this server; clones share it.
#[derive(Debug, Clone)]
pub struct Folders {
    path: Arc<Path>,
    _locked: Arc<OwnedFd>,
    /// Names of folders that nobody needs any more.
    unneeded: Sender<PathBuf>,
}

/// One worker's.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    unneeded: Sender<PathBuf>,
}

impl Folders {
    /// Makes the folder, and removes those of servers that are gone.
    pub fn create() -> anyhow::Result<Self> {
        let place = std::env::temp_dir();
        let place = place.canonicalize().unwrap_or(place);
        let why = || {
            format!(
                "scripts need temporary files, but {} takes none; TMPDIR names another folder",
                place.display()
            )
        };
        let (path, locked) = create_locked(&place).with_context(why)?;
        for name in [FORK_SERVER, CATALOGUE] {
            temporary::create(&path.join(name)).with_context(why)?;
        }
        let locked = Arc::new(locked);
        let (unneeded, names) = mpsc::channel::<PathBuf>();
        let parent = Arc::clone(&locked);
        std::thread::Builder::new().name("folders".to_owned()).spawn(move || {
            remove_leftovers(&place);
            for name in names {
                if let Err(error) = temporary::remove(parent.as_fd(), &name) {
                    tracing::warn!(folder = %name.display(), "temporary files of scripts could not be removed: {error}");
                }
            }
        })?;
        Ok(Self { path: path.into(), _locked: locked, unneeded })
    }

    /// The folder of deployed functions; see [`crate::catalogue`].
    pub fn catalogue(&self) -> PathBuf {
        self.path.join(CATALOGUE)
    }

    pub(super) fn fork_server(&self) -> PathBuf {
        self.path.join(FORK_SERVER)
    }

    pub(super) fn worker(&self, number: u64) -> io::Result<Folder> {
        let path = self.path.join(number.to_string());
        temporary::create(&path)?;
        Ok(Folder { path, unneeded: self.unneeded.clone() })
    }

    /// Removes everything; no worker may be alive.
    pub fn remove(&self) {
        let Some((place, name)) = self.path.parent().zip(self.path.file_name()) else { return };
        let removed =
            temporary::open(place).and_then(|place| temporary::remove(place.as_fd(), Path::new(name)));
        if let Err(error) = removed {
            tracing::warn!(folder = %self.path.display(), "temporary files of scripts could not be removed: {error}");
        }
    }
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Removing takes its time, and the thread that does it ends only with the server.
        if let Some(name) = self.path.file_name() {
            let _ = self.unneeded.send(PathBuf::from(name));
        }
    }
}

/// The environment that leads programs to a folder for all they want to write.
pub(super) fn environment(folder: &Path) -> [(&'static str, String); 8] {
    let text = folder.to_string_lossy();
    [
        ("HOME", text.to_string()),
        ("TMPDIR", text.to_string()),
        ("JOBLIB_TEMP_FOLDER", text.to_string()),
        ("MPLCONFIGDIR", format!("{text}/.config/matplotlib")),
        ("NUMBA_CACHE_DIR", format!("{text}/.cache/numba")),
        ("XDG_CACHE_HOME", format!("{text}/.cache")),
        ("XDG_CONFIG_HOME", format!("{text}/.config")),
        ("XDG_DATA_HOME", format!("{text}/.local/share")),
    ]
}

/// A server that is just starting may take a new folder for a leftover until it is locked; then there is
/// another one.
fn create_locked(place: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let mut random = [0; 6];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = place.join(format!("{PREFIX}{}-{random}", std::process::id()));
        temporary::create(&path)?;
        if let Some(folder) = lock(&path)? {
            return Ok((path, folder));
        }
    }
    Err(io::Error::other("its folders are removed as fast as they are made"))
}

/// The folder, if nobody has begun to remove it.
fn lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let folder = match temporary::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        folder => folder?,
    };
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    // Who removed it may have let go of it since.
    Ok(path.exists().then_some(folder))
}

fn remove_leftovers(place: &Path) {
    let Ok(entries) = std::fs::read_dir(place) else { return };
    let Ok(parent) = temporary::open(place) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = entry.path();
        if !name.to_str().is_some_and(is_ours) {
            continue;
        }
        let own = entry.metadata().is_ok_and(|about| about.uid() == rustix::process::getuid().as_raw());
        let Some(folder) = own.then(|| temporary::open(&path).ok()).flatten() else { continue };
        if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            // It is looked at again at the next start if this fails.
            let _ = temporary::remove(parent.as_fd(), Path::new(&name));
        }
    }
}

/// Whether a name is of the form that [`create_locked`] gives.
fn is_ours(name: &str) -> bool {
    let Some((pid, random)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    pid.parse::<u32>().is_ok() && random.len() == 12 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_go_but_not_what_a_living_server_holds_or_what_is_not_ours() {
        let place = tempfile::tempdir().unwrap();
        let (held, lock) = create_locked(place.path()).unwrap();
        let (left, gone) = create_locked(place.path()).unwrap();
        drop(gone);
        std::fs::create_dir_all(left.join("7/deep")).unwrap();
        for name in ["tabpy-rs-mine", "tabpy-rs-12-0123456789ag", "tabpy-rs"] {
            std::fs::create_dir(place.path().join(name)).unwrap();
        }
        remove_leftovers(place.path());
        assert!(held.exists() && !left.exists());
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 4);
        drop(lock);
    }

    #[test]
    fn servers_that_start_together_leave_each_other_their_folders() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let (path, _lock) = create_locked(place.path()).unwrap();
                        remove_leftovers(place.path());
                        assert!(path.exists());
                    }
                });
            }
        });
    }
}
