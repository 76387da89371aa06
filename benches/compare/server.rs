//! A server to be measured, started in an empty folder on a free port of loopback with the settings of an
//! installation out of the box, and ended when dropped. TabPy and this server write their logs: TabPy its
//! file, this server the standard error.

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

const PASSWORDS: &str = "user1 b8a63cf588cd2399da615042de4732f5b121c4d1042acfb91598a56d2dd3e1d7b9f785213262eddbbd00c7a8c9c3e89d7cb98f31d405cc644b1aeba92c3de40b\n";
const CREDENTIALS: &str = "user1:P@ssw0rd";

/// Says to a copy of this program what it is to do instead of measuring.
pub(crate) const ROLE: &str = "BENCH_ROLE";

/// TabPy's log without what it writes for each request.
const QUIET: &str = "[TabPy]\n[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=plain\n\
    [logger_root]\nlevel=WARNING\nhandlers=file\n[handler_file]\nclass=FileHandler\nlevel=WARNING\n\
    formatter=plain\nargs=('tabpy.log',)\n[formatter_plain]\nformat=%(asctime)s %(message)s\n";

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Product {
    TabPy,
    /// TabPy with its log turned down.
    Quiet,
    FastApi,
    Echo,
    Ours,
}

impl Product {
    pub(crate) const ALL: [Self; 5] = [Self::TabPy, Self::Quiet, Self::FastApi, Self::Echo, Self::Ours];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TabPy => "TabPy",
            Self::Quiet => "TabPy, quiet",
            Self::FastApi => "FastAPI",
            Self::Echo => "echo",
            Self::Ours => "tabpy-rs",
        }
    }

    fn program(self) -> Result<PathBuf> {
        Ok(match self {
            Self::TabPy | Self::Quiet => package_folder().join(".venv-tabpy/bin/tabpy"),
            Self::FastApi => package_folder().join(".venv-fastapi/bin/granian"),
            Self::Echo => std::env::current_exe()?,
            Self::Ours => PathBuf::from(env!("CARGO_BIN_EXE_tabpy-rs")),
        })
    }

    pub(crate) fn require(self) -> Result<()> {
        let program = self.program()?;
        ensure!(program.exists(), "{} is not there: start this by `make bench`", program.display());
        Ok(())
    }

    /// Whether it can ask for credentials.
    pub(crate) fn has_users(self) -> bool {
        matches!(self, Self::TabPy | Self::Quiet | Self::Ours)
    }

    /// Whether functions can be deployed to it.
    pub(crate) fn has_functions(self) -> bool {
        self.has_users()
    }

    /// Whether it cannot write numpy's arrays.
    pub(crate) fn wants_lists(self) -> bool {
        self != Self::Ours
    }

    fn configure(
        self,
        command: &mut Command,
        folder: &Path,
        address: SocketAddr,
        authenticated: bool,
    ) -> Result<()> {
        let port = address.port().to_string();
        match self {
            Self::TabPy | Self::Quiet | Self::Ours => {
                command.env("TABPY_PORT", &port).env("TABPY_STATE_PATH", folder);
                command.env("TABPY_QUERY_OBJECT_PATH", folder.join("query_objects"));
                if authenticated {
                    let passwords = folder.join("passwords.txt");
                    fs::write(&passwords, PASSWORDS)?;
                    command.env("TABPY_PWD_FILE", passwords);
                } else {
                    command.arg("--disable-auth-warning");
                }
            }
            Self::FastApi => {
                let cores = thread::available_parallelism()?.to_string();
                command.args(["--interface", "asgi", "--host", "127.0.0.1", "--port", &port]);
                command.args(["--workers", &cores, "--log-level", "warning", "--working-dir"]);
                command.arg(package_folder().join("benches")).arg("fastapi_app:app");
            }
            Self::Echo => {
                command.env(ROLE, Self::Echo.name()).env("PORT", &port);
            }
        }
        match self {
            Self::Quiet => {
                let file = folder.join("quiet.conf");
                fs::write(&file, QUIET)?;
                command.arg("--config").arg(file);
            }
            Self::Ours => {
                command.env("TABPY_HOST", address.ip().to_string());
                command.env("TABPY_PYTHON", package_folder().join(".venv"));
            }
            _ => {}
        }
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
    pub(crate) fn start(product: Product, authenticated: bool) -> Result<Self> {
        Self::start_with(product, authenticated, &[])
    }

    pub(crate) fn start_with(
        product: Product,
        authenticated: bool,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        Self::start_as(Command::new(product.program()?), product, authenticated, environment)
    }

    /// On so many of the machine's cores.
    pub(crate) fn start_on(product: Product, cores: usize) -> Result<Self> {
        let mut command = Command::new("taskset");
        command.arg("--cpu-list").arg(format!("0-{}", cores - 1)).arg(product.program()?);
        Self::start_as(command, product, false, &[])
    }

    fn start_as(
        mut command: Command,
        product: Product,
        authenticated: bool,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        command.current_dir(folder.path()).env_clear();
        for name in ["PATH", "HOME", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        product.configure(&mut command, folder.path(), address, authenticated)?;
        command.envs(environment.iter().copied());
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

    /// The bytes of a `POST /evaluate` as Tableau sends it.
    pub(crate) fn request(&self, body: &str) -> Vec<u8> {
        self.request_to("POST /evaluate", body)
    }

    /// The same with another method and path.
    pub(crate) fn request_to(&self, line: &str, body: &str) -> Vec<u8> {
        let Self { address, .. } = self;
        let authorization = self.authorization.as_deref().unwrap_or_default();
        let length = body.len();
        format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Type: application/json\r\n\
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
