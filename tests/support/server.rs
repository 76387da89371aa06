//! A server process of a test's own: its folder, its port, a clean environment, its output kept
//! in memory. It dies with its handle, together with every process that it started.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::processes::{self, Process};
use super::{Connection, PATIENCE, Request, Response, START_PATIENCE, port, wait_for};

/// How a command ended.
#[derive(Debug)]
pub struct Exit {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Clone)]
pub struct Builder {
    folder: Arc<TempDir>,
    port: u16,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    /// What the command begins with, in front of the server's own path.
    wrapper: Vec<String>,
    user: Option<u32>,
}

impl Builder {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("tabpy-test-").tempdir().unwrap();
        let port = port::free();
        let home = folder.path().display().to_string();
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv").display().to_string();
        let defaults = [
            ("HOME", home.clone()),
            ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
            ("TABPY_PYTHON", python),
            ("TABPY_STATE_PATH", format!("{home}/state")),
            ("TABPY_PORT", port.to_string()),
            // Two warm workers suffice, and a machine that runs many tests at once stays usable.
            ("TABPY_WORKERS", "2".into()),
        ];
        let environment = defaults.map(|(name, value)| (name.to_owned(), value)).to_vec();
        fs::create_dir(folder.path().join("state")).unwrap();
        Self {
            folder: Arc::new(folder),
            port,
            environment,
            arguments: Vec::new(),
            wrapper: Vec::new(),
            user: None,
        }
    }

    /// Sets a variable, in place of the bench's own if it has one.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self = self.without(name);
        self.environment.push((name.into(), value.to_string()));
        self
    }

    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    pub fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// A command that starts the server, given as its last arguments. `Server::pid` is then the
    /// command's own.
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Writes a file into the server's working folder.
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// An INI file given with `--config`.
    pub fn config(self, text: &str) -> Self {
        let path = self.folder.path().join("tabpy.conf");
        self.file("tabpy.conf", text).arg("--config").arg(path.display())
    }

    pub fn state_ini(self, text: &str) -> Self {
        self.file("state/state.ini", text)
    }

    pub fn password_file(self, text: &str) -> Self {
        let path = self.folder.path().join("passwords.txt").display().to_string();
        self.file("passwords.txt", text).env("TABPY_PWD_FILE", path)
    }

    /// Runs the server where the kernel lacks Landlock and user namespaces.
    pub fn on_an_older_kernel(self) -> Self {
        self.without_calls("landlock")
    }

    /// Runs the server where it cannot fork workers, and has to start them plainly.
    pub fn without_forking(self) -> Self {
        self.without_calls("pidfd")
    }

    /// Runs the server where memory cannot be taken out of the middle of a file.
    pub fn without_fallocate(self) -> Self {
        self.without_calls("fallocate")
    }

    fn without_calls(mut self, calls: &str) -> Self {
        self.wrapper = Self::without_calls_of(calls);
        self
    }

    /// The beginning of a command for a process that lacks these system calls.
    pub fn without_calls_of(calls: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Any Python does, but every user must be allowed to run it.
        let own = folder.join(".venv/bin/python").display().to_string();
        let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3".to_owned() } else { own };
        let script = folder.join("tests/support/without.py").display().to_string();
        vec![python, script, calls.to_owned()]
    }

    /// Runs the server as another user, whose own the folder becomes. For tests that run as root.
    pub fn user(mut self, user: u32) -> Self {
        self.give_to(user);
        self.user = Some(user);
        self
    }

    /// Makes the server's folder and what is in it another user's.
    pub fn give_to(&self, user: u32) {
        let entries = fs::read_dir(self.folder.path()).unwrap().flatten().map(|entry| entry.path());
        for path in entries.chain([self.folder.path().to_owned()]) {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let whole = self.wrapper.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_tabpy-rs")]);
        let whole: Vec<&str> = whole.chain(self.arguments.iter().map(String::as_str)).collect();
        let mut command = Command::new(whole[0]);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.args(&whole[1..]).env_clear().envs(self.environment.iter().cloned());
        command.current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end: for commands that answer and leave, and for settings that stop the start.
    #[track_caller]
    pub fn run(&self) -> Exit {
        let mut child = self.command().spawn().unwrap();
        let stdout = drain(child.stdout.take().unwrap());
        let stderr = drain(child.stderr.take().unwrap());
        let ended = wait_for(START_PATIENCE, || child.try_wait().unwrap());
        if ended.is_none() {
            let family = processes::descendants(child.id());
            child.kill().unwrap();
            child.wait().unwrap();
            family.into_iter().for_each(Process::kill);
        }
        let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
        let status = ended.unwrap_or_else(|| panic!("it kept running; stdout {stdout:?} stderr {stderr:?}"));
        Exit { code: status.code(), stdout, stderr }
    }

    /// For bad settings: the start has to fail.
    #[track_caller]
    pub fn try_start(&self) -> Exit {
        self.run()
    }

    /// Starts and waits until `/healthz` answers 200.
    #[track_caller]
    pub fn start(self) -> Server {
        self.start_under("")
    }

    /// The same for a server whose routes have a prefix.
    #[track_caller]
    pub fn start_under(self, prefix: &str) -> Server {
        let mut child = self.command().spawn().unwrap();
        let output = Output::default();
        output.follow(child.stdout.take().unwrap(), false);
        output.follow(child.stderr.take().unwrap(), true);
        let mut server = Server { child, output, settings: self, ended: None };
        server.await_probe(&format!("{prefix}/healthz"));
        server
    }
}

pub struct Server {
    child: Child,
    output: Output,
    settings: Builder,
    ended: Option<ExitStatus>,
}

impl Server {
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Open on loopback, all defaults.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    #[track_caller]
    pub fn ready(mut self) -> Self {
        self.await_probe("/readyz");
        self
    }

    #[track_caller]
    fn await_probe(&mut self, path: &str) {
        let started = wait_for(START_PATIENCE, || {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.ended = Some(status);
                return Some(false);
            }
            (self.probe(path)? == 200).then_some(true)
        });
        assert_eq!(
            started,
            Some(true),
            "{path} never was 200; exit {:?}; output:\n{}",
            self.ended,
            self.log()
        );
    }

    /// The status of a GET, or nothing while nobody listens.
    pub fn probe(&self, path: &str) -> Option<u16> {
        drop(std::net::TcpStream::connect(("127.0.0.1", self.port())).ok()?);
        Some(self.get(path).status)
    }

    pub fn port(&self) -> u16 {
        self.settings.port
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.settings.folder.path().join(name)
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.port())
    }

    pub fn send(&self, request: &Request) -> Response {
        self.connect().send(request)
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(&Request::get(path))
    }

    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Response {
        self.send(&Request::post(path, body))
    }

    pub fn evaluate(&self, script: &str, data: impl Into<Value>) -> Response {
        self.send(&Request::evaluate(script, &data.into()))
    }

    /// The answer to a script without arguments, which has to be a success.
    #[track_caller]
    pub fn value(&self, script: &str) -> String {
        let response = self.evaluate(script, Value::Object(serde_json::Map::new()));
        assert_eq!(response.status, 200, "{script:?} gave {}", response.text());
        response.text()
    }

    /// What must hold after any hostile act.
    #[track_caller]
    pub fn still_works(&self) {
        assert_eq!(self.get("/info").status, 200);
        self.evaluate("return 1", serde_json::json!({})).is(200, "1");
    }

    /// All output so far, a line each, standard output and error together.
    pub fn log(&self) -> String {
        self.output.text(|_| true)
    }

    pub fn stderr(&self) -> String {
        self.output.text(|is_error| is_error)
    }

    /// The first line of output that holds `pattern`.
    #[track_caller]
    pub fn wait_for_log(&self, pattern: &str) -> String {
        self.wait_for_line(pattern, |line| line.contains(pattern))
    }

    /// The first line that the test takes; `what` is for the failure's text.
    #[track_caller]
    pub fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let line = wait_for(PATIENCE, || self.log().lines().find(|line| wanted(line)).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no line with {what:?} in:\n{}", self.log()))
    }

    pub fn processes(&self) -> Vec<Process> {
        processes::descendants(self.pid())
    }

    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Waits for the end and gives the exit code (none if a signal ended it).
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        if self.ended.is_none() {
            self.ended = wait_for(PATIENCE, || self.child.try_wait().unwrap());
        }
        self.ended.unwrap_or_else(|| panic!("it kept running; output:\n{}", self.log())).code()
    }

    /// Stops in order and starts again with the same folder, port and settings.
    #[track_caller]
    pub fn restart(self) -> Self {
        let settings = self.settings.clone();
        self.shutdown();
        settings.start()
    }

    /// Starts once more with the same folder, port and settings, after it has ended.
    #[track_caller]
    pub fn start_again(&self) -> Self {
        assert!(self.ended.is_some(), "it still runs");
        self.settings.clone().start()
    }

    /// SIGTERM: it has to end with 0 and leave nothing behind.
    #[track_caller]
    pub fn shutdown(mut self) {
        let family = self.processes();
        self.signal(Signal::TERM);
        assert_eq!(self.wait(), Some(0), "output:\n{}", self.log());
        assert_gone(&family);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let family = self.processes();
        if self.ended.is_none() {
            let _ended = self.child.kill();
            let _status = self.child.wait();
        }
        family.into_iter().for_each(Process::kill);
        if std::thread::panicking() {
            eprintln!("--- output of the server ---\n{}", self.log());
        }
    }
}

#[track_caller]
pub fn assert_gone(family: &[Process]) {
    let gone = wait_for(PATIENCE, || family.iter().all(|process| !process.runs()).then_some(()));
    let left: Vec<String> =
        family.iter().filter(|process| process.runs()).map(|process| process.command_line()).collect();
    assert!(gone.is_some(), "left behind: {left:?}");
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<(bool, String)>>>);

impl Output {
    fn follow(&self, stream: impl Read + Send + 'static, is_error: bool) {
        let lines = Arc::clone(&self.0);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                lines.lock().unwrap().push((is_error, text));
                line.clear();
            }
        });
    }

    fn text(&self, wanted: impl Fn(bool) -> bool) -> String {
        let lines = self.0.lock().unwrap();
        let taken: Vec<&str> =
            lines.iter().filter(|(kind, _)| wanted(*kind)).map(|(_, line)| line.as_str()).collect();
        taken.join("\n")
    }
}

fn drain(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
