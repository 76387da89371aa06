//! What a worker's process tree keeps in files: in its folder for temporary files, in a `/dev/shm` of its
//! own, and in files that have no name any more. Scripts arrange these places, so the walk follows no
//! link, trusts no path twice, and gives up where it would take too long.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

use crate::temporary;

/// The least that a file or a folder counts as, so that a limit in bytes is one in files, too.
const LEAST: u64 = 4096;

/// Folders within folders are looked into this deep.
const DEEPEST: usize = 100;

const SHARED_MEMORY: &str = "dev/shm";

/// `f_type` of a file system in memory.
const TMPFS: u64 = 0x0102_1994;

/// The places where a worker's files lie.
pub(super) struct Places {
    folder: OwnedFd,
    /// Where the worker has one of its own.
    shared_memory: Option<OwnedFd>,
    /// Whether the folder is in memory, too.
    in_memory: bool,
    devices: Vec<u64>,
}

/// Bytes kept in files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) files: u64,
    /// Those among them that are memory at the same time.
    pub(super) memory: u64,
    /// Whether there are folders too deep to look into.
    pub(super) too_deep: bool,
}

impl Places {
    /// The places of a worker that has not met a script yet.
    pub(super) fn of(folder: &Path, pid: i32) -> io::Result<Self> {
        let folder = temporary::open(folder)?;
        let in_memory = rustix::fs::fstatfs(&folder).is_ok_and(|about| about.f_type as u64 == TMPFS);
        let device = |folder: &OwnedFd| rustix::fs::fstat(folder).ok().map(|about| about.st_dev);
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let common = open_if_there(&Path::new("/").join(SHARED_MEMORY))?;
        let shared_memory = open_if_there(&root.join(SHARED_MEMORY))?;
        let shared_memory = shared_memory.filter(|own| device(own) != common.as_ref().and_then(device));
        let devices = [Some(&folder), shared_memory.as_ref()].into_iter().flatten().filter_map(device);
        Ok(Self { devices: devices.collect(), folder, shared_memory, in_memory })
    }

    /// What is there now; no more of it is looked at than is needed to tell that it is over `limit`.
    pub(super) fn measure(&self, tree: &[i32], limit: u64) -> Kept {
        let mut kept = Kept::default();
        let on_disk = walk(self.folder.as_fd(), limit, &mut kept.too_deep);
        kept.files = on_disk;
        if self.in_memory {
            kept.memory = on_disk;
        }
        if let Some(shared_memory) = &self.shared_memory {
            let bytes = walk(shared_memory.as_fd(), limit, &mut kept.too_deep);
            kept.files += bytes;
            kept.memory += bytes;
        }
        let mut seen = HashSet::new();
        for about in tree.iter().flat_map(|pid| nameless(*pid)) {
            if !seen.insert((about.st_dev, about.st_ino)) {
                continue;
            }
            let bytes = size(&about);
            let on_disk = self.devices.first() == Some(&about.st_dev);
            if self.devices.contains(&about.st_dev) {
                kept.files += bytes;
            }
            if !on_disk || self.in_memory {
                kept.memory += bytes;
            }
        }
        kept
    }
}

/// A handle to a folder. One that may not be looked at is nobody's; but a shortage must not be taken for that.
fn open_if_there(folder: &Path) -> io::Result<Option<OwnedFd>> {
    match temporary::open(folder) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Err(error),
            _ => Ok(None),
        },
    }
}

/// Bytes below a folder, which itself does not count.
fn walk(top: BorrowedFd<'_>, limit: u64, too_deep: &mut bool) -> u64 {
    let mut bytes = 0;
    let Ok(top) = top.try_clone_to_owned() else { return 0 };
    let mut folders = vec![(Rc::new(top), c".".to_owned(), 0)];
    while let Some((parent, name, depth)) = folders.pop() {
        // A folder that its owner may not list hides what is in it.
        let Ok(folder) = temporary::open_up(&*parent, name.as_c_str(), Mode::RUSR | Mode::XUSR) else {
            continue;
        };
        drop(parent);
        let folder = Rc::new(folder);
        let Ok(entries) = rustix::fs::Dir::read_from(&*folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(about) = rustix::fs::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            bytes += size(&about).max(LEAST);
            if bytes > limit {
                return bytes;
            }
            if FileType::from_raw_mode(about.st_mode) == FileType::Directory {
                if depth < DEEPEST {
                    folders.push((Rc::clone(&folder), name.to_owned(), depth + 1));
                } else {
                    *too_deep = true;
                }
            }
        }
    }
    bytes
}

/// The files that a process has open and that no folder holds.
fn nameless(pid: i32) -> Vec<Stat> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let about = descriptors.flatten().filter_map(|descriptor| rustix::fs::stat(descriptor.path()).ok());
    about
        .filter(|about| {
            about.st_nlink == 0 && FileType::from_raw_mode(about.st_mode) == FileType::RegularFile
        })
        .collect()
}

fn size(about: &Stat) -> u64 {
    /// The unit of `st_blocks`, whatever the file system's own is.
    const BLOCK: u64 = 512;
    u64::try_from(about.st_blocks).unwrap_or(0) * BLOCK
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_count_with_what_they_take_and_4_kb_at_least() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("large"), vec![1; 1 << 20]).unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), vec![1; 100_000]).unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        fs::File::create(folder.path().join("holes")).unwrap().set_len(1 << 40).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o300)).unwrap();
        let places = Places::of(folder.path(), 0).unwrap();
        let kept = places.measure(&[], u64::MAX);
        assert!((100_000 + 5 * LEAST..300_000).contains(&kept.files), "{kept:?}");
        assert!(!kept.too_deep);
        assert!(places.measure(&[], LEAST).files > LEAST);
    }

    #[test]
    fn a_file_without_a_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile_in(folder.path()).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let places = Places::of(folder.path(), 0).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(places.measure(&[], u64::MAX).files, 0);
        assert!(places.measure(&[own], u64::MAX).files >= 1 << 20);
    }

    #[test]
    fn folders_too_deep_are_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("d/".repeat(DEEPEST + 5))).unwrap();
        let places = Places::of(folder.path(), 0).unwrap();
        assert!(places.measure(&[], u64::MAX).too_deep);
    }
}
