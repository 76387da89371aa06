//! A TabPy or one of ours, started in an empty folder on a free port of loopback with the settings
//! of an installation out of the box, and ended when dropped. Both write their log: TabPy its file,
//! this server the standard error.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::functions;

const PASSWORDS: &str = "user1 b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b\n";
const CREDENTIALS: &str = "user1:P@ssw0rd";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Product {
    TabPy,
    Ours,
}

impl Product {
    pub(crate) const BOTH: [Self; 2] = [Self::TabPy, Self::Ours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TabPy => "TabPy",
            Self::Ours => "tabpy-rs",
        }
    }

    fn program(self) -> PathBuf {
        match self {
            Self::TabPy => package_folder().join(".venv-tabpy/bin/tabpy"),
            Self::Ours => PathBuf::from(env!("CARGO_BIN_EXE_tabpy-rs")),
        }
    }

    pub(crate) fn require(self) -> Result<()> {
        let program = self.program();
        ensure!(program.exists(), "{} is not there: start this by `make bench`", program.display());
        Ok(())
    }
}

pub(crate) fn package_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    authorization: Option<String>,
    process: Child,
    started: Instant,
    folder: TempDir,
}

impl Server {
    /// With so many functions in the folder that this server publishes at its start.
    pub(crate) fn start(product: Product, authenticated: bool, functions: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let mut command = Command::new(product.program());
        command.current_dir(folder.path()).env_clear();
        for name in ["PATH", "HOME", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("TABPY_PORT", address.port().to_string()).env("TABPY_STATE_PATH", folder.path());
        if product == Product::Ours {
            command.env("TABPY_HOST", address.ip().to_string());
            command.env("TABPY_PYTHON", package_folder().join(".venv"));
            functions::write(&folder.path().join("functions"), functions)?;
        } else {
            command.env("TABPY_QUERY_OBJECT_PATH", folder.path().join("query_objects"));
        }
        if authenticated {
            let passwords = folder.path().join("passwords.txt");
            fs::write(&passwords, PASSWORDS)?;
            command.env("TABPY_PWD_FILE", passwords);
        } else {
            command.arg("--disable-auth-warning");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(folder.path().join("stderr.log"))?);
        // A group of its own, so that its workers end with it.
        command.process_group(0);
        let started = Instant::now();
        let process = command.spawn().with_context(|| format!("{} does not start", product.name()))?;
        let encoded = base64::engine::general_purpose::STANDARD.encode(CREDENTIALS);
        let authorization = authenticated.then(|| format!("Authorization: Basic {encoded}\r\n"));
        Ok(Self { address, authorization, process, started, folder })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The bytes of a `POST` as Tableau sends it.
    pub(crate) fn request(&self, path: &str, body: &str) -> Vec<u8> {
        let Self { address, .. } = self;
        let authorization = self.authorization.as_deref().unwrap_or_default();
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Type: application/json\r\n\
             TabPy-Client: Tableau Desktop 2025.1\r\nTabPy-User: analyst\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Time from the start of the process to the first good answer of `GET /info`.
    pub(crate) fn wait_until_it_answers(&mut self) -> Result<Duration> {
        let limit = Duration::from_secs(30);
        let mut last = "connection refused".to_owned();
        while self.started.elapsed() < limit {
            match self.ask_for_info() {
                Ok(status) if status == "HTTP/1.1 200" => return Ok(self.started.elapsed()),
                Ok(status) => last = status,
                Err(error) => last = error.to_string(),
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended ({status}); its standard error ends: {}", self.last_words());
            }
            thread::sleep(Duration::from_micros(500));
        }
        bail!(
            "no good answer to GET /info in {limit:?} ({last}); its standard error ends: {}",
            self.last_words()
        );
    }

    fn ask_for_info(&self) -> std::io::Result<String> {
        let authorization = self.authorization.as_deref().unwrap_or_default();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let request = format!("GET /info HTTP/1.1\r\nHost: {}\r\n{authorization}\r\n", self.address);
        stream.write_all(request.as_bytes())?;
        let mut status = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut status)?;
        Ok(String::from_utf8_lossy(&status).into_owned())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("stderr.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing is asked of it any more, and it must not run beside the next one.
        if let Some(group) = Pid::from_raw(self.process.id().cast_signed()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
