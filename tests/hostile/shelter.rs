//! Keeps the machine safe from the tests: each server lives in a mount namespace where everything
//! is read-only but its own folder, and `/tmp`, `/var/tmp` and `/dev/shm` are its own. A script
//! that the server fails to hold can so hurt nothing but its test. Without it no script is sent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounts, then becomes the command: the process stays the same.
const ENTER: &str = "set -e
folder=$1; closed=$2; kept=$3; shift 3
if [ -n \"$closed\" ]; then
    IFS=:
    for path in $kept; do
        mkdir -p \"$folder/kept$path\"
        mount --rbind \"$path\" \"$folder/kept$path\"
    done
    mount -t tmpfs -o size=1m,mode=755 tmpfs \"$closed\"
    for path in $kept; do
        mkdir -p \"$path\"
        mount --rbind \"$folder/kept$path\" \"$path\"
        mount -o remount,bind,ro \"$path\"
        umount -l \"$folder/kept$path\"
    done
    unset IFS
    rm -r \"$folder/kept\"
fi
name=${folder##*/}
mkdir -p \"$folder/private/$name\"
chmod 1777 \"$folder/private\"
mount --bind \"$folder\" \"$folder/private/$name\"
mount --rbind \"$folder/private\" /tmp
mount -t tmpfs -o size=1g,mode=1777 tmpfs /dev/shm
mount -t tmpfs -o size=1g,mode=1777 tmpfs /var/tmp
mount -o remount,bind,ro /
cd \"$folder\"
exec \"$@\"";

/// The words before the server's command. The folder has to be one of `/tmp`. For another user than the tests' own
/// what lies in a folder that is closed to others is laid open to be read.
pub fn wrapper(folder: &Path, for_another: bool) -> Vec<String> {
    assert_eq!(folder.parent(), Some(Path::new("/tmp")), "the shelter hides /tmp and keeps one folder of it");
    let mut words = vec!["unshare"];
    if !rustix::process::geteuid().is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"]);
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let (closed, kept) = if for_another { closed_to_others() } else { Default::default() };
    words.extend([folder.display().to_string(), closed, kept]);
    words
}

/// The folder above Python that others may not enter, and what is needed of it; nothing where there is none.
fn closed_to_others() -> (String, String) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = "import sys; print(sys.base_prefix)";
    let output = Command::new(project.join(".venv/bin/python")).args(["-c", script]).output().unwrap();
    let python = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let is_closed = |folder: &&Path| fs::metadata(folder).unwrap().permissions().mode() & 0o001 == 0;
    let Some(closed) = [&*python, project].into_iter().flat_map(Path::ancestors).filter(is_closed).last()
    else {
        return Default::default();
    };
    let kept = [&*python, project].into_iter().filter(|path| path.starts_with(closed));
    let kept: Vec<String> = kept.map(|path| path.display().to_string()).collect();
    (closed.display().to_string(), kept.join(":"))
}

/// Fails unless the server sees the machine read-only and has a `/tmp` of its own. This is asked
/// before the first script.
#[track_caller]
pub fn assert_sheltered(front: u32) {
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let theirs = fs::read_link(format!("/proc/{front}/ns/mnt")).unwrap();
    assert_ne!(own, theirs, "the server shares the machine's mounts: its scripts could hurt the machine");
    let mounts = fs::read_to_string(format!("/proc/{front}/mountinfo")).unwrap();
    let options = |place: &str| {
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        fields.filter(|fields| fields[4] == place).map(|fields| fields[5].to_owned()).next_back()
    };
    let root = options("/").unwrap_or_default();
    assert!(root.split(',').any(|option| option == "ro"), "the machine's files are writable: {root}");
    for place in ["/tmp", "/var/tmp", "/dev/shm"] {
        assert!(options(place).is_some(), "{place} is the machine's own");
    }
}

/// The places that every script of this server may write to, as they look from outside.
pub fn shared_places(front: u32, folder: &Path) -> Vec<PathBuf> {
    let root = PathBuf::from(format!("/proc/{front}/root"));
    vec![folder.join("private"), root.join("var/tmp"), root.join("dev/shm")]
}
