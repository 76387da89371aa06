//! Which files scripts need: the list of places to read and to write. A place that is to stay closed
//! may lie within one that is open; since the kernel can only be told what to open, the folders
//! around it are opened one by one.

use std::path::{Path, PathBuf};

use super::shared_memory;
use crate::wire::Confinement;

/// Programs, libraries and what describes the machine.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm",
    "/run/systemd/resolve",
    "/var/cache/fontconfig",
    "/var/lib/ca-certificates",
];

/// What programs look up in /etc; passwords and keys are not among it.
const ETC: &[&str] = &[
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "fonts",
    "freetds",
    "gai.conf",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "java",
    "krb5.conf",
    "krb5.conf.d",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "magic",
    "magic.mime",
    "matplotlibrc",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "odbc.ini",
    "odbcinst.ini",
    "OpenCL",
    "openmpi",
    "os-release",
    "passwd",
    "pki/ca-trust",
    "pki/tls/certs",
    "pki/tls/cert.pem",
    "pki/tls/openssl.cnf",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "python3.11",
    "R",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
    "vulkan",
];

/// Devices that hold nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// What scripts may do in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Read,
    Write,
    Device,
}

/// The places that all workers have in common.
pub(super) fn common(wanted: &Confinement, functions: &Path, python: &[PathBuf]) -> Vec<(PathBuf, Right)> {
    let etc = ETC.iter().map(|name| Path::new("/etc").join(name));
    let system = SYSTEM.iter().map(PathBuf::from).chain(etc);
    let read = system.chain(python.iter().cloned()).chain(wanted.read.iter().cloned());
    let read = read.chain([functions.to_owned()]).map(|place| (place, Right::Read));
    let write = wanted.write.iter().map(|place| (place.clone(), Right::Write));
    let devices = DEVICES.iter().map(|place| (PathBuf::from(place), Right::Device));
    read.chain(write).chain(devices).collect()
}

/// Those that a worker has for itself.
pub(super) fn own(folder: &Path) -> Vec<(PathBuf, Right)> {
    [folder, Path::new(shared_memory::PLACE)].map(|place| (place.to_owned(), Right::Write)).to_vec()
}

/// The place itself, or what lies in it but the hidden places.
pub(super) fn around(place: &Path, hidden: &[PathBuf]) -> Vec<PathBuf> {
    // Links count as what they lead to; what is not there needs no opening.
    let Ok(place) = place.canonicalize() else { return Vec::new() };
    let holds = |folder: &Path| hidden.iter().any(|hidden| hidden != folder && hidden.starts_with(folder));
    let mut open = Vec::new();
    let mut folders = vec![place.clone()];
    while let Some(folder) = folders.pop() {
        // A place that was asked for by its own name is open, whatever holds it.
        if folder != place && hidden.contains(&folder) {
            continue;
        }
        if !holds(&folder) {
            open.push(folder);
        } else if let Ok(entries) = std::fs::read_dir(&folder) {
            // A link leads elsewhere, and is followed only from where it leads.
            let real = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_symlink());
            folders.extend(entries.flatten().filter(real).map(|entry| entry.path()));
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_opened_around_what_is_hidden_in_it() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        for folder in ["app/state", "app/venv/lib", "data"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        for file in ["app/passwords", "app/read.me", "top.csv"] {
            std::fs::write(top.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(top.join("app/state"), top.join("data-link")).unwrap();
        let hidden = [top.join("app/state"), top.join("app/passwords")];
        let opened = |place: &str| {
            let mut found = around(&top.join(place), &hidden);
            found.sort();
            found
        };
        let expected = ["app/read.me", "app/venv", "data", "top.csv"].map(|name| top.join(name));
        assert_eq!(opened(""), expected);
        assert_eq!(opened("app/venv"), [top.join("app/venv")]);
        assert_eq!(opened("app/state"), [top.join("app/state")]);
        assert_eq!(opened("gone"), Vec::<PathBuf>::new());
    }
}
