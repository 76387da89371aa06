//! Places that are held open ahead of the workers that need them: finding some eighty of them takes a
//! worker a millisecond, and the fork server has the time. What a place leads to may change meanwhile,
//! so each is looked at again, and found anew where it is not the same any more.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use landlock::PathFd;

use super::places::{Right, around};

pub(super) struct Opened {
    places: Vec<Place>,
    hidden: Vec<PathBuf>,
}

struct Place {
    path: PathBuf,
    right: Right,
    /// What it led to.
    identity: Option<Identity>,
    /// Nothing, if it was not there, or if something in it is to stay closed.
    held: Option<Beneath>,
}

/// A file, or a folder with all that is in it, and what may be done there.
pub(super) struct Beneath {
    pub(super) descriptor: PathFd,
    pub(super) is_file: bool,
    pub(super) right: Right,
}

/// Which file a path leads to: its device and its number there.
type Identity = (u64, u64);

impl Opened {
    pub(super) fn ahead(places: Vec<(PathBuf, Right)>, hidden: &[PathBuf]) -> Self {
        let places = places.into_iter().map(|(path, right)| {
            let identity = identity(&path);
            let held = match &around(&path, hidden)[..] {
                // A folder that holds something hidden is listed for each worker, as more may have come to it.
                [all] if identity.is_some_and(|known| self::identity(all) == Some(known)) => {
                    Beneath::open(all, right)
                }
                _ => None,
            };
            Place { path, right, identity, held }
        });
        Self { places: places.collect(), hidden: hidden.to_vec() }
    }

    /// What the places are by now.
    pub(super) fn now(self) -> Vec<Beneath> {
        let Self { places, hidden } = self;
        let mut found = Vec::with_capacity(places.len());
        for Place { path, right, identity, held } in places {
            match (held, identity == self::identity(&path)) {
                (Some(held), true) => found.push(held),
                (None, true) if identity.is_none() => {}
                _ => found.extend(open(&path, right, &hidden)),
            }
        }
        found
    }
}

/// The place, or what lies in it but the hidden places.
pub(super) fn open(path: &Path, right: Right, hidden: &[PathBuf]) -> impl Iterator<Item = Beneath> {
    around(path, hidden).into_iter().filter_map(move |path| Beneath::open(&path, right))
}

impl Beneath {
    fn open(path: &Path, right: Right) -> Option<Self> {
        let is_file = !path.metadata().ok()?.is_dir();
        Some(Self { descriptor: PathFd::new(path).ok()?, is_file, right })
    }
}

fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    fn inode(beneath: &Beneath) -> u64 {
        rustix::fs::fstat(beneath.descriptor.as_fd()).unwrap().st_ino
    }

    #[test]
    fn what_has_changed_since_is_found_anew() {
        let top = tempfile::tempdir().unwrap();
        let path = |name: &str| top.path().join(name);
        for name in ["same", "replaced", "gone", "folder/shown", "folder/hidden"] {
            std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            std::fs::write(path(name), "").unwrap();
        }
        let names = ["same", "replaced", "gone", "new", "folder"];
        let places = names.map(|name| (path(name), Right::Read)).to_vec();
        let opened = Opened::ahead(places, &[path("folder/hidden").canonicalize().unwrap()]);
        std::fs::write(path("other"), "").unwrap();
        std::fs::rename(path("other"), path("replaced")).unwrap();
        std::fs::remove_file(path("gone")).unwrap();
        for name in ["new", "folder/later"] {
            std::fs::write(path(name), "").unwrap();
        }
        let mut now: Vec<u64> = opened.now().iter().map(inode).collect();
        let expected = ["same", "replaced", "new", "folder/shown", "folder/later"];
        let mut expected = expected.map(|name| identity(&path(name)).unwrap().1);
        now.sort_unstable();
        expected.sort_unstable();
        assert_eq!(now, expected);
    }
}
