//! A proxy as a process of its own, set up by a file of deploy/ in which addresses and paths are replaced.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::processes;
use crate::support::wait_for;

pub(crate) struct Proxy {
    child: Child,
    folder: TempDir,
}

/// Where a program lies; nothing (and a note) where it is missing, which is a failure in CI.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin", "/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is missing: scripts/proxies.sh");
        eprintln!("SKIPPED: {name} is missing");
    }
    found
}

/// A file of deploy/ with other values; each of them has to be there.
pub(crate) fn deployed(name: &str, values: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap();
    values.iter().fold(text, |text, (value, other)| {
        assert!(text.contains(value), "{name} has no {value:?}");
        text.replace(value, other)
    })
}

impl Proxy {
    /// Writes the files, starts the program in their folder and waits until it listens on the ports.
    #[track_caller]
    pub(crate) fn start(program: &Path, arguments: &[&str], files: &[(&str, &str)], ports: &[u16]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tabpy-rs-proxy-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut proxy = Self { child, folder };
        let listens = wait_for(Duration::from_secs(15), || {
            if proxy.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()).then_some(true)
        });
        assert_eq!(listens, Some(true), "{}", proxy.log());
        proxy
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let family = processes::descendants(self.child.id());
        processes::signal(self.child.id(), Signal::TERM);
        if wait_for(Duration::from_secs(5), || self.child.try_wait().unwrap()).is_none() {
            let _gone = self.child.kill();
            let _status = self.child.wait();
        }
        family.into_iter().for_each(processes::Process::kill);
        if std::thread::panicking() {
            eprintln!("--- output of the proxy ---\n{}", self.log());
        }
    }
}
