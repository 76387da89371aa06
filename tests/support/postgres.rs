//! A PostgreSQL of a test's own, from Debian's packages: its folder, its port, a password. It refuses to
//! run as root, so there it runs as another user. It dies with its handle.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{port, processes, wait_for};

const USER: &str = "tabpy";

/// No log may ever show it.
pub const PASSWORD: &str = "s3cr3t-of-the-database";

/// The first start writes a folder of 40 MB, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Debian's `nobody`; any user does that is not root.
const NOBODY: u32 = 65534;

pub struct Postgres {
    folder: TempDir,
    port: u16,
    user: Option<u32>,
    server: Option<Child>,
    settings: Vec<String>,
}

impl Postgres {
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings as `name=value`, and files for them.
    #[track_caller]
    pub fn start_with(settings: &[&str]) -> Self {
        let mut postgres = Self::initialized();
        postgres.settings = settings.iter().map(ToString::to_string).collect();
        postgres.start_again();
        postgres
    }

    /// One that encrypts, with a certificate of its own making.
    #[track_caller]
    pub fn start_encrypted() -> Self {
        let mut postgres = Self::initialized();
        let (key, certificate) = (postgres.path("server.key"), postgres.path("server.crt"));
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=somebody-else",
            ])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl is missing").success());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        for path in [&key, &certificate] {
            chown(path, postgres.user, postgres.user).unwrap();
        }
        let authentication = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(postgres.path("data/pg_hba.conf"), authentication).unwrap();
        postgres.settings = vec![
            "ssl=on".into(),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ];
        postgres.start_again();
        postgres
    }

    fn initialized() -> Self {
        let user = rustix::process::getuid().is_root().then_some(NOBODY);
        let folder = tempfile::Builder::new().prefix("tabpy-postgres-").tempdir().unwrap();
        let port = port::free();
        let postgres = Self { folder, port, user, server: None, settings: Vec::new() };
        fs::write(postgres.path("password"), PASSWORD).unwrap();
        for path in [postgres.folder.path().to_owned(), postgres.path("password")] {
            chown(path, user, user).unwrap();
        }
        let made = postgres
            .command("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--username", USER])
            .arg("--pwfile")
            .arg(postgres.path("password"))
            .arg("--pgdata")
            .arg(postgres.path("data"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        postgres
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `DATABASE_URL` takes.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// As a server that was restarted: connections are cut, what was committed is there.
    #[track_caller]
    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("it does not run");
        // Fast shutdown.
        processes::signal(server.id(), Signal::INT);
        let ended = wait_for(PATIENCE, || server.try_wait().unwrap());
        assert!(ended.is_some(), "PostgreSQL did not stop");
    }

    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.path("data")).arg("-p").arg(self.port.to_string());
        let own = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=16MB",
            "max_connections=60",
        ];
        for setting in own.into_iter().map(str::to_owned).chain(self.settings.clone()) {
            command.arg("-c").arg(setting);
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().unwrap());
        let ready = wait_for(PATIENCE, || {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().unwrap());
            if ended.is_some() {
                return Some(false);
            }
            let asked = self
                .command("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            asked.unwrap().success().then_some(true)
        });
        assert_eq!(
            ready,
            Some(true),
            "PostgreSQL: {}",
            fs::read_to_string(self.path("log")).unwrap_or_default()
        );
    }

    /// It is there, and says nothing; as one behind a broken network. Or no longer so.
    pub fn hang(&self, hangs: bool) {
        let pid = self.server.as_ref().expect("it does not run").id();
        let signal = if hangs { Signal::STOP } else { Signal::CONT };
        let family = processes::descendants(pid);
        processes::signal(pid, signal);
        family.iter().for_each(|process| processes::signal(process.pid, signal));
    }

    /// What a statement gives, a line a row.
    #[track_caller]
    pub fn ask(&self, statement: &str) -> String {
        let asked = self.command("psql").args([&self.url(), "-XAtq", "-c", statement]).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap()
    }

    /// Whether all of the server's connections are.
    pub fn server_says_encrypted(&self) -> bool {
        let told = self.ask(
            "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'tabpy-rs'",
        );
        told.trim() == "t"
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir(self.folder.path());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Its children end with it: they notice that it is gone.
            let family = processes::descendants(server.id());
            let _gone = server.kill();
            let _status = server.wait();
            family.into_iter().for_each(processes::Process::kill);
        }
    }
}

/// Debian keeps each version's programs in a folder of their own, which is in nobody's PATH.
fn find(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(program)).collect();
    versions.sort();
    let elsewhere = ["/usr/local/bin", "/usr/bin"].map(|folder| Path::new(folder).join(program));
    versions
        .into_iter()
        .rev()
        .chain(elsewhere)
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is missing: it is in Debian's package postgresql"))
}
