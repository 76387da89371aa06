//! A real TabPy of a test's own. It ends with its handle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{Connection, Request, port, processes, wait_for};

/// TabPy imports for several seconds.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct TabPy {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl TabPy {
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tabpy-real-").tempdir().unwrap();
        let port = port::free();
        fs::create_dir(folder.path().join("state")).unwrap();
        let settings = format!(
            "[TabPy]\nTABPY_PORT = {port}\nTABPY_STATE_PATH = {0}/state\nTABPY_QUERY_OBJECT_PATH = {0}/objects\n",
            folder.path().display()
        );
        fs::write(folder.path().join("tabpy.conf"), settings).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program("tabpy"))
            .args(["--config", "tabpy.conf", "--disable-auth-warning"])
            .env_clear()
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let tabpy = Self { folder, port, child };
        let answers = wait_for(PATIENCE, || {
            drop(std::net::TcpStream::connect(("127.0.0.1", port)).ok()?);
            Some(Connection::open(port).send(&Request::get("/info")).status)
        });
        assert_eq!(answers, Some(200), "{}", fs::read_to_string(tabpy.folder.path().join("log")).unwrap());
        tabpy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

impl Drop for TabPy {
    fn drop(&mut self) {
        let family = processes::descendants(self.child.id());
        let _gone = self.child.kill();
        let _status = self.child.wait();
        family.into_iter().for_each(processes::Process::kill);
    }
}

/// What a script that uses TabPy's own tools prints.
#[track_caller]
pub fn run(script: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let ran = Command::new(program("python"))
        .arg(script)
        .args(arguments)
        .env_clear()
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{errors}");
    String::from_utf8(ran.stdout).unwrap()
}

fn program(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-tabpy/bin").join(name);
    assert!(program.exists(), "TabPy is not installed in .venv-tabpy: `make test` creates it");
    program
}
