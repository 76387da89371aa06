//! What scripts keep in files: in their worker's folder for temporary ones, and in those that have no
//! name, which stay as long as somebody has them open. Only sizes are read, and no link is followed.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};

/// A file takes this much of a disk whatever it holds, so that a million empty ones count.
const LEAST: u64 = 4096;

/// What `statfs` says of a file system that lies in memory.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// Bytes on a disk, and in memory that no process's own figures show.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) struct Kept {
    pub(super) disk: u64,
    pub(super) memory: u64,
}

/// What lies in the folder and what the processes hold open; counting ends where it is more than `most`.
pub(super) fn kept(folder: &Path, tree: &[i32], most: u64) -> Kept {
    let mut kept = Kept::default();
    if let Ok(folder) = openat(CWD, folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        let in_memory = rustix::fs::fstatfs(&folder).is_ok_and(|about| about.f_type == TMPFS);
        let size = below(folder.as_fd(), most);
        kept.disk = size;
        kept.memory = if in_memory { size } else { 0 };
    }
    let mut counted = HashSet::new();
    for pid in tree {
        nameless(*pid, &mut counted, &mut kept);
    }
    kept
}

/// Bytes of all that lies in a folder.
fn below(top: BorrowedFd<'_>, most: u64) -> u64 {
    let mut size = 0;
    let mut folders = vec![PathBuf::from(".")];
    while let Some(path) = folders.pop() {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let held = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        // Gone meanwhile, closed to its owner, or too deep for any path.
        let Ok(folder) = openat2(top, &path, flags, Mode::empty(), held) else { continue };
        let Ok(entries) = Dir::read_from(&folder) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let about = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW);
            let blocks = about.map_or(0, |about| u64::try_from(about.st_blocks).unwrap_or(0));
            size += LEAST.max(blocks << 9);
            if size > most {
                return size;
            }
            if entry.file_type() == FileType::Directory {
                folders.push(path.join(std::ffi::OsStr::new(&*name.to_string_lossy())));
            }
        }
    }
    size
}

/// Adds files that are open but have no name any more, or never had one.
fn nameless(pid: i32, counted: &mut HashSet<(u64, u64)>, kept: &mut Kept) {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    for descriptor in descriptors.flatten() {
        let path = descriptor.path();
        let Ok(about) = fs::metadata(&path) else { continue };
        if about.nlink() > 0 || !about.is_file() || !counted.insert((about.dev(), about.ino())) {
            continue;
        }
        let size = about.blocks() << 9;
        kept.disk += size;
        let target = fs::read_link(&path).unwrap_or_default();
        if target.to_string_lossy().starts_with("/memfd:") {
            kept.memory += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_what_has_no_name_count() {
        let folder = tempfile::tempdir().unwrap();
        let this = [i32::try_from(std::process::id()).unwrap()];
        let of = |most| below(fs::File::open(folder.path()).unwrap().as_fd(), most);
        assert_eq!(of(u64::MAX), 0);
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/empty"), "").unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        assert!((4 * LEAST..5 * 4 * LEAST).contains(&of(u64::MAX)), "{}", of(u64::MAX));
        fs::write(folder.path().join("a/large"), vec![1; 1 << 20]).unwrap();
        assert!(of(u64::MAX) >= 1 << 20);
        assert!(of(LEAST) <= (1 << 20) + 16 * LEAST);
        let before = kept(folder.path(), &this, u64::MAX).disk;
        let nameless = tempfile::tempfile_in(folder.path()).unwrap();
        nameless.set_len(1 << 20).unwrap();
        rustix::io::pwrite(&nameless, &vec![1; 1 << 20], 0).unwrap();
        assert!(kept(folder.path(), &this, u64::MAX).disk >= before + (1 << 20));
    }
}
