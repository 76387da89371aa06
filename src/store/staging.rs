//! The folder into which TabPy's client writes an archive before it says where that is. Whoever can write
//! there could be anybody with an account on the machine, so what is read is reached from the folder's
//! own descriptor, name by name, through no link, and read only once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use super::object::Object;

/// Below the state path.
const FOLDER: &str = "staging";

/// More files than this are not an archive.
const MOST_FILES: usize = 1000;

const DEEPEST: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not there.
    Missing,
    /// It is more than this many bytes.
    TooLarge,
    /// It is not to be read; why.
    Invalid(String),
}

/// The folder itself.
pub fn folder(state_path: &Path) -> PathBuf {
    state_path.join(FOLDER)
}

/// The path below the staging folder, if it is one.
pub(super) fn below(state_path: &Path, src_path: &str) -> Result<PathBuf, Refused> {
    let outside = || Refused::Invalid(format!("{src_path} is not below {}", folder(state_path).display()));
    let path = Path::new(src_path);
    let own;
    let below = match path.strip_prefix(folder(state_path)) {
        Ok(below) => below,
        // The state path may have been given through a link.
        Err(_) => {
            let known = path.ancestors().find(|ancestor| ancestor.ends_with(FOLDER)).ok_or_else(outside)?;
            if known.canonicalize().ok() != folder(state_path).canonicalize().ok()
                || known.canonicalize().is_err()
            {
                return Err(outside());
            }
            own = path.strip_prefix(known).map_err(|_| outside())?.to_owned();
            &own
        }
    };
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || src_path.contains("..") || below.as_os_str().is_empty() {
        return Err(outside());
    }
    Ok(below.to_owned())
}

/// All files in that folder. At most `most` bytes.
pub(super) fn read(state_path: &Path, below: &Path, most: usize) -> Result<Object, Refused> {
    let mut folder = open(CWD, &self::folder(state_path), OFlags::DIRECTORY)?;
    for part in below.components() {
        folder = open(&folder, Path::new(part.as_os_str()), OFlags::DIRECTORY)?;
    }
    files(folder, most)
}

/// The same of a folder that is the server's own.
pub(super) fn read_folder(folder: &Path, most: usize) -> Result<Object, Refused> {
    files(open(CWD, folder, OFlags::DIRECTORY)?, most)
}

fn files(folder: OwnedFd, most: usize) -> Result<Object, Refused> {
    let mut files = BTreeMap::new();
    let mut left = most;
    gather(folder, "", 0, &mut left, &mut files)?;
    Object::of_files(files).ok_or_else(|| Refused::Invalid("there is no pickle_archive in it".to_owned()))
}

/// Removes what lies there for a function. Nothing comes of it if that cannot be done.
pub(super) fn clear(state_path: &Path, name: &str) {
    let endpoints = open(CWD, &folder(state_path).join("endpoints"), OFlags::DIRECTORY);
    if let Ok(endpoints) = endpoints {
        let _ = crate::temporary::remove(endpoints.as_fd(), Path::new(name));
    }
}

fn gather(
    folder: OwnedFd,
    prefix: &str,
    depth: usize,
    left: &mut usize,
    files: &mut BTreeMap<String, Bytes>,
) -> Result<(), Refused> {
    if depth > DEEPEST {
        return Err(Refused::Invalid(format!("its folders are more than {DEEPEST} deep")));
    }
    for entry in Dir::read_from(&folder).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        let Ok(name) = entry.file_name().to_str() else {
            return Err(Refused::Invalid("a file's name in it is not UTF-8".to_owned()));
        };
        if name == "." || name == ".." {
            continue;
        }
        // Neither a link is followed, nor a pipe waited for.
        let file = open(&folder, Path::new(name), OFlags::NONBLOCK)?;
        let path = format!("{prefix}{name}");
        match FileType::from_raw_mode(fstat(&file).map_err(trouble)?.st_mode) {
            FileType::Directory => gather(file, &format!("{path}/"), depth + 1, left, files)?,
            FileType::RegularFile => {
                let content = whole(file, &path, *left)?;
                *left -= content.len();
                files.insert(path, content);
            }
            _ => return Err(neither(&path)),
        }
        if files.len() > MOST_FILES {
            return Err(Refused::Invalid(format!("it holds more than {MOST_FILES} files")));
        }
    }
    Ok(())
}

/// A file's content, if nobody has changed it meanwhile.
fn whole(file: OwnedFd, path: &str, most: usize) -> Result<Bytes, Refused> {
    let changed = || Refused::Invalid(format!("{path} in it was changed while it was read; deploy it again"));
    let before = settled(&file)?.ok_or_else(changed)?;
    if before.st_nlink > 1 {
        return Err(Refused::Invalid(format!("{path} in it is a link")));
    }
    if u64::try_from(before.st_size).unwrap_or_default() > most as u64 {
        return Err(Refused::TooLarge);
    }
    let mut content = Vec::with_capacity(usize::try_from(before.st_size).unwrap_or_default());
    let mut file = File::from(file);
    let limit = (most as u64).saturating_add(1);
    (&mut file).take(limit).read_to_end(&mut content).map_err(|error| Refused::Invalid(error.to_string()))?;
    if content.len() > most {
        return Err(Refused::TooLarge);
    }
    if stamp(&before) != stamp(&fstat(&file).map_err(trouble)?) {
        return Err(changed());
    }
    Ok(content.into())
}

/// What differs once a file was written to or linked; nobody but the kernel sets its last time.
fn stamp(about: &Stat) -> impl PartialEq + use<> {
    (about.st_size, about.st_ctime, about.st_ctime_nsec, about.st_nlink)
}

/// How a file is once another change would bear another time; `None` if it keeps being changed.
fn settled(file: &OwnedFd) -> Result<Option<Stat>, Refused> {
    /// The kernel's clock for files goes in steps of up to ten milliseconds.
    const STEP: Duration = Duration::from_millis(50);
    const STEPS: usize = 20;
    for _ in 0..STEPS {
        let about = fstat(file).map_err(trouble)?;
        let seconds = u64::try_from(about.st_ctime).unwrap_or_default();
        let nanoseconds = u32::try_from(about.st_ctime_nsec).unwrap_or_default();
        let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        if changed.elapsed().is_ok_and(|passed| passed > STEP) {
            return Ok(Some(about));
        }
        // The clock of a file system elsewhere may be another one.
        std::thread::sleep(STEP);
        if stamp(&about) == stamp(&fstat(file).map_err(trouble)?) {
            return Ok(Some(about));
        }
    }
    Ok(None)
}

fn open(folder: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Refused> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, path, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOENT => Refused::Missing,
        // A socket is no file that can be opened.
        Errno::NXIO => neither(&path.display().to_string()),
        Errno::LOOP => Refused::Invalid(format!("{} in it is a link", path.display())),
        // With O_DIRECTORY, a link is no folder.
        Errno::NOTDIR => Refused::Invalid(format!("{} in it is no folder", path.display())),
        other => trouble(other),
    })
}

fn neither(path: &str) -> Refused {
    Refused::Invalid(format!("{path} in it is neither a file nor a folder"))
}

fn trouble(error: Errno) -> Refused {
    Refused::Invalid(std::io::Error::from(error).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn invalid(outcome: Result<Object, Refused>, words: &str) {
        match outcome {
            Err(Refused::Invalid(why)) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_lies_below_the_staging_folder_is_taken() {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(state.path().join("staging/endpoints/add/1")).unwrap();
        let text = |path: &str| state.path().join(path).display().to_string();
        let below = |path: &str| below(state.path(), path);
        assert_eq!(below(&text("staging/endpoints/add/1")), Ok(PathBuf::from("endpoints/add/1")));
        for path in [
            "staging",
            "staging/",
            "staging/../state.ini",
            "staging/endpoints/../../x",
            "other/staging/x",
            "x",
        ] {
            assert!(below(&text(path)).is_err(), "{path}");
        }
        for path in ["/etc", "/etc/passwd", "staging/endpoints", "/staging/x", "", "~/staging/x"] {
            assert!(below(path).is_err(), "{path}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(state.path(), elsewhere.path().join("state")).unwrap();
        let through = elsewhere.path().join("state/staging/endpoints/add/1").display().to_string();
        assert_eq!(below(&through), Ok(PathBuf::from("endpoints/add/1")));
    }

    #[test]
    fn an_archive_is_read_with_what_lies_beside_it_and_through_no_link() {
        let state = tempfile::tempdir().unwrap();
        let place = state.path().join("staging/endpoints/add/1");
        fs::create_dir_all(place.join("more")).unwrap();
        let read = |most| super::read(state.path(), Path::new("endpoints/add/1"), most);
        invalid(read(100), "no pickle_archive");
        fs::write(place.join("pickle_archive"), "12345").unwrap();
        fs::write(place.join("more/data"), "678").unwrap();
        let object = read(8).unwrap();
        assert_eq!(object.files().keys().collect::<Vec<_>>(), ["more/data", "pickle_archive"]);
        assert_eq!(object.size(), 8);
        assert_eq!(read(7).unwrap_err(), Refused::TooLarge);
        assert_eq!(super::read(state.path(), Path::new("endpoints/add/2"), 9).unwrap_err(), Refused::Missing);

        fs::hard_link(place.join("more/data"), state.path().join("other")).unwrap();
        invalid(read(100), "is a link");
        fs::remove_file(state.path().join("other")).unwrap();
        rustix::fs::mkfifoat(CWD, place.join("pipe"), Mode::RWXU).unwrap();
        invalid(read(100), "pipe in it is neither a file nor a folder");
        fs::remove_file(place.join("pipe")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(place.join("socket")).unwrap();
        invalid(read(100), "socket in it is neither a file nor a folder");
        drop(socket);
        fs::remove_file(place.join("socket")).unwrap();
        symlink("/etc/passwd", place.join("link")).unwrap();
        invalid(read(100), "link in it is a link");
        fs::remove_file(place.join("link")).unwrap();
        fs::rename(&place, state.path().join("elsewhere")).unwrap();
        symlink(state.path().join("elsewhere"), &place).unwrap();
        invalid(read(100), "no folder");
    }

    #[test]
    fn an_archive_that_is_changed_while_it_is_read_is_refused() {
        use std::os::unix::fs::FileExt as _;
        use std::sync::atomic::{AtomicBool, Ordering};
        let state = tempfile::tempdir().unwrap();
        let place = state.path().join("staging/endpoints/add/1");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("pickle_archive"), "aaaa").unwrap();
        let read = || super::read(state.path(), Path::new("endpoints/add/1"), 100);
        let (begun, stopping) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let file = File::options().write(true).open(place.join("pickle_archive")).unwrap();
                while !stopping.load(Ordering::Relaxed) {
                    file.write_at(b"b", 3).unwrap();
                    begun.store(true, Ordering::Relaxed);
                }
            });
            while !begun.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            // The other thread may stand still just then.
            let outcome = (0..1000).map(|_| read()).find(Result::is_err);
            stopping.store(true, Ordering::Relaxed);
            invalid(outcome.unwrap(), "changed while it was read");
        });
        assert_eq!(read().unwrap().files()["pickle_archive"], "aaab");
    }
}
