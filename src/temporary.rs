//! Folders of temporary files, and how one gets rid of what scripts leave in them. Whoever empties one
//! may be allowed more than the script that filled it, so nothing here follows a link, trusts a path
//! to mean the same twice, or recurses into folders that may be nested a million deep.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Makes a folder that is nobody else's.
pub fn create(folder: &Path) -> io::Result<()> {
    Ok(fs::mkdir(folder, Mode::RWXU)?)
}

/// A handle to a folder, which must not be a link.
pub fn open(folder: &Path) -> io::Result<OwnedFd> {
    Ok(fs::openat(CWD, folder, FOLDER, Mode::empty())?)
}

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What tells that a folder is as it was: the kernel changes the time with every entry that comes or goes, and
/// lets nobody else set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    folder: (u64, u64),
    changed: (i64, i64),
}

/// Looks at a folder without opening it.
pub fn look(folder: &Path) -> io::Result<Look> {
    let found = fs::statat(CWD, folder, AtFlags::SYMLINK_NOFOLLOW)?;
    if !FileType::from_raw_mode(found.st_mode).is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Look {
        folder: (found.st_dev as u64, found.st_ino as u64),
        changed: (found.st_ctime as i64, found.st_ctime_nsec as i64),
    })
}

impl Look {
    /// Whether the folder last changed so long ago that another change would bear another time.
    pub fn is_settled(&self) -> bool {
        /// The kernel's clock for files goes in steps of up to ten milliseconds.
        const STEP: Duration = Duration::from_millis(50);
        let (seconds, nanoseconds) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
        let changed = changed.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        changed.and_then(|changed| changed.elapsed().ok()).is_some_and(|passed| passed > STEP)
    }
}

/// Empties a folder and says whether anything was in it; an error when that takes longer than
/// `patience`, or cannot be removed.
pub fn empty(folder: BorrowedFd<'_>, patience: Duration) -> io::Result<bool> {
    let mut removed = 0;
    let began = Instant::now();
    loop {
        let mut found = false;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            found = true;
            removed += 1;
            if began.elapsed() > patience {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let outcome = match entry.file_type() {
                FileType::Directory => remove_level(folder, name, &mut removed),
                _ => fs::unlinkat(folder, name, AtFlags::empty()),
            };
            match outcome {
                // Somebody was faster, or has put another thing in its place: the next round tells.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::NOTEMPTY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !found {
            return Ok(removed > 0);
        }
    }
}

/// Removes a folder and all that is in it, also what processes that are just ending still write.
pub fn remove(parent: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    const TRIES: usize = 100;
    /// A process that goes on writing would have one remove for ever.
    const PATIENCE: Duration = Duration::from_secs(30);
    for _ in 0..TRIES {
        let folder = match open_up(parent, name, Mode::RWXU) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        empty(folder.as_fd(), PATIENCE)?;
        match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY) => std::thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::NOTEMPTY.into())
}

/// Removes a folder within `top`. Folders in it move up into `top`, where their turn comes.
fn remove_level(top: BorrowedFd<'_>, name: &CStr, removed: &mut usize) -> Result<(), Errno> {
    let folder = open_up(top, name, Mode::RWXU)?;
    for child in Dir::read_from(&folder)? {
        let child = child?;
        if is_dots(child.file_name()) {
            continue;
        }
        *removed += 1;
        if child.file_type() == FileType::Directory {
            // A folder that moves is written to: its `..` changes.
            drop(open_up(&folder, child.file_name(), Mode::RWXU)?);
            fs::renameat(&folder, child.file_name(), top, free_name(top, *removed))?;
        } else {
            fs::unlinkat(&folder, child.file_name(), AtFlags::empty())?;
        }
    }
    fs::unlinkat(top, name, AtFlags::REMOVEDIR)
}

/// Opens a folder; one with which its owner may not do what is `needed` is opened up first.
pub fn open_up(
    parent: impl AsFd,
    name: impl rustix::path::Arg + Copy,
    needed: Mode,
) -> Result<OwnedFd, Errno> {
    let found = fs::openat(&parent, name, FOLDER | OFlags::PATH, Mode::empty())?;
    let mode = Mode::from_raw_mode(fs::fstat(&found)?.st_mode);
    if !mode.contains(needed) {
        // By way of the handle, so that it is this folder whatever its name means by now.
        fs::chmod(format!("/proc/self/fd/{}", found.as_raw_fd()), mode | needed)?;
    }
    fs::openat(&found, c".", FOLDER, Mode::empty())
}

fn free_name(top: BorrowedFd<'_>, number: usize) -> String {
    let taken = |name: &String| fs::statat(top, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let mut names = (number..).map(|number| format!(".moved-{number}"));
    names.find(|name| !taken(name)).unwrap_or_default()
}

fn is_dots(name: &CStr) -> bool {
    name == c"." || name == c".."
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_is_emptied_of_files_links_and_nested_folders() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let inside = folder.path().join("a/b/.moved-3/c");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join("file"), "x").unwrap();
        std::fs::write(folder.path().join(".moved-1"), "x").unwrap();
        symlink(outside.path(), folder.path().join("a/link")).unwrap();
        symlink(outside.path(), folder.path().join("link")).unwrap();
        std::fs::set_permissions(&inside, Permissions::from_mode(0o000)).unwrap();
        let handle = open(folder.path()).unwrap();
        assert!(empty(handle.as_fd(), Duration::MAX).unwrap());
        assert!(!empty(handle.as_fd(), Duration::ZERO).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn folders_too_deep_for_any_path_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = open(folder.path()).unwrap();
        for _ in 0..1500 {
            fs::mkdirat(&deep, "d", Mode::RWXU).unwrap();
            deep = fs::openat(&deep, "d", FOLDER, Mode::empty()).unwrap();
        }
        remove(open(folder.path()).unwrap().as_fd(), Path::new("d")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_place_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        symlink(outside.path(), folder.path().join("link")).unwrap();
        assert!(remove(open(folder.path()).unwrap().as_fd(), Path::new("link")).is_err());
        assert!(open(&folder.path().join("link")).is_err());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn a_folder_that_was_written_to_looks_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        while !look(folder.path()).unwrap().is_settled() {
            std::thread::yield_now();
        }
        let before = look(folder.path()).unwrap();
        assert_eq!(look(folder.path()).unwrap(), before);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_ne!(look(folder.path()).unwrap(), before);
        std::fs::remove_file(&file).unwrap();
        let after = look(folder.path()).unwrap();
        assert!(after != before && !after.is_settled());
        assert!(look(&file).is_err());
    }

    #[test]
    fn more_than_there_is_time_for_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..20 {
            std::fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert!(empty(open(folder.path()).unwrap().as_fd(), Duration::ZERO).is_err());
    }
}
