//! The place of every hostile act: a server of its own with authentication on, a well-behaved
//! client that calls it all the while, and the checks of the goal after each act. It prints the
//! figures of each; it asserts bounds that only a broken server misses.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::footprint::{self, Footprint};
use crate::good_client::{Calls, GoodClient};
use crate::shelter;
use crate::support::processes::{self, Process};
use crate::support::{Builder, Connection, PATIENCE, Request, Response, Server, wait_for};

pub const USER: &str = "ada";
/// Looked for by scripts that pry; nothing else on the machine is called so.
pub const PASSWORD: &str = "countess-of-lovelace-1815";
/// Seconds that a script may take.
pub const DEADLINE: u64 = 3;

/// The same where scripts end by themselves, or are ended for something else, which takes time on a busy machine.
const AMPLE: u64 = 15;

/// By how much memory may stay grown: workers come and go, allocators keep a little.
const FRONT_ALLOWANCE: u64 = 64 * 1024;
const TREE_ALLOWANCE: u64 = 256 * 1024;

/// One hostile script. `MARK` in it becomes a name that nothing else has: what it leaves behind
/// under this name, as process, argument or file, is found.
#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub name: &'static str,
    pub script: &'static str,
    /// The statuses that may come.
    pub answers: &'static [u16],
    /// What an error has to say, in message or info.
    pub says: &'static str,
}

impl Act {
    pub const fn new(
        name: &'static str,
        answers: &'static [u16],
        says: &'static str,
        script: &'static str,
    ) -> Self {
        Self { name, script, answers, says }
    }
}

/// How many workers are kept, and how far the pool may grow.
#[derive(Clone, Copy, Debug)]
pub struct Workers(pub usize, pub usize);

pub const USUAL: Workers = Workers(2, 4);
pub const ONE: Workers = Workers(1, 1);

/// Tests that share a process take turns, since orphans of all of them land here.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Arena {
    server: Option<Server>,
    client: Option<GoodClient>,
    front: u32,
    workers: Workers,
    /// Seconds.
    deadline: u64,
    before: Footprint,
    acts: AtomicU32,
    _alone: MutexGuard<'static, ()>,
}

impl Arena {
    #[track_caller]
    pub fn start(workers: Workers, settings: impl FnOnce(Builder) -> Builder) -> Self {
        Self::enter(workers, settings, &[])
    }

    /// A server in a PID namespace, session and process group of its own, for acts that reach for
    /// every process there is. Nothing where the machine does not allow that.
    #[track_caller]
    pub fn walled(workers: Workers, settings: impl FnOnce(Builder) -> Builder) -> Option<Self> {
        let namespace: &[&str] = if rustix::process::geteuid().is_root() {
            &["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        } else {
            &["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
        };
        let tried =
            Command::new(namespace[0]).args(&namespace[1..]).args(["setsid", "--wait", "true"]).status();
        if !tried.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no PID namespace can be made here, and outside one this could hurt");
            return None;
        }
        // The shell is the namespace's first process, which no signal from within can end.
        let mut wrapper = vec!["setsid", "--wait"];
        wrapper.extend(namespace);
        wrapper.extend(["sh", "-c", "setsid \"$@\" & wait", "sh"]);
        Some(Self::enter(workers, settings, &wrapper))
    }

    #[track_caller]
    fn enter(workers: Workers, settings: impl FnOnce(Builder) -> Builder, wrapper: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        footprint::adopt_orphans();
        let mut builder = Server::builder();
        let temporary = builder.folder().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        builder = builder
            .env("TMPDIR", temporary.display())
            .env("TABPY_USERNAME", USER)
            .env("TABPY_PASSWORD", PASSWORD)
            .env("TABPY_WORKERS", workers.0)
            .env("TABPY_MAX_WORKERS", workers.1)
            .env("TABPY_EVALUATE_TIMEOUT", DEADLINE);
        // The whole suite runs once more with confinement switched off.
        if let Ok(confine) = std::env::var("HOSTILE_CONFINE") {
            builder = builder.env("TABPY_CONFINE", confine);
        }
        let user = other_user();
        let mut words = shelter::wrapper(builder.folder(), user.is_some());
        words.extend(wrapper.iter().map(ToString::to_string));
        // And once on a kernel without Landlock and user namespaces, and as an ordinary user.
        if is_on_an_older_kernel() {
            words.extend(Builder::without_calls_of("landlock"));
        }
        let builder = settings(builder);
        let deadline = builder.value("TABPY_EVALUATE_TIMEOUT").unwrap().parse().unwrap();
        if let Some(user) = user {
            builder.give_to(user);
            let user = user.to_string();
            words
                .extend(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"].map(str::to_owned));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let server = builder.under(&words).start().ready();
        let front = front_of(&server);
        shelter::assert_sheltered(front);
        let mut arena = Self {
            client: None,
            front,
            workers,
            deadline,
            before: Footprint::default(),
            acts: AtomicU32::new(0),
            server: Some(server),
            _alone: alone,
        };
        for _ in 0..4 * workers.0 {
            arena.evaluate("return int(pd.Series([1, 2]).sum())", json!({})).is(200, "3");
        }
        arena.before = Footprint::of(front, &arena.folder());
        arena.client = Some(GoodClient::start(arena.server().port(), USER, PASSWORD));
        arena.await_good_call();
        arena
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Ends the good client and gives the server away, for its end.
    pub fn take_server(&mut self) -> Server {
        drop(self.client.take());
        self.server.take().unwrap()
    }

    /// The server's own process, also where it was started by others.
    pub fn front(&self) -> u32 {
        self.front
    }

    pub fn before(&self) -> &Footprint {
        &self.before
    }

    pub fn now(&self) -> Footprint {
        Footprint::of(self.front, &self.folder())
    }

    pub fn folder(&self) -> std::path::PathBuf {
        self.server().path("").components().collect()
    }

    /// A name of at most 15 bytes that is a number of seconds, too.
    pub fn marker(&self) -> String {
        let act = self.acts.fetch_add(1, Ordering::Relaxed) + 1;
        format!("9{}.{act:03}", self.server().port())
    }

    pub fn request(&self, script: &str, data: Value) -> Request {
        Request::evaluate(script, &data).login(USER, PASSWORD)
    }

    pub fn connect(&self) -> Connection {
        self.server().connect()
    }

    #[track_caller]
    pub fn evaluate(&self, script: &str, data: Value) -> Response {
        self.server().send(&self.request(script, data))
    }

    /// The text of an answer that has to be a success.
    #[track_caller]
    pub fn value(&self, script: &str) -> String {
        let answer = self.evaluate(script, json!({}));
        assert_eq!(answer.status, 200, "{script:?} gave {}", answer.text());
        answer.text()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.server().send(&Request::get(path).login(USER, PASSWORD))
    }

    /// Sends a script and gives the connection, before there is an answer.
    #[track_caller]
    pub fn begin(&self, script: &str) -> Connection {
        let mut connection = self.connect();
        let bytes = self.request(script, json!({})).bytes(connection.host());
        connection.write(&bytes).unwrap();
        connection
    }

    /// Does the act and holds the server to the goal.
    #[track_caller]
    pub fn perform(&self, act: &Act) -> Response {
        let marker = self.marker();
        let answer = self.answer(act, &marker);
        self.holds(act.name, &marker);
        answer
    }

    /// The act's own answer: one, in time, in the one shape.
    #[track_caller]
    pub fn answer(&self, act: &Act, marker: &str) -> Response {
        let started = Instant::now();
        let mut connection = self.begin(&act.script.replace("MARK", marker));
        let answer = self.read(&mut connection).unwrap_or_else(|error| panic!("no answer: {error}"));
        let took = started.elapsed();
        judge(act, &answer);
        // What is not to be late has no use for ample time.
        let deadline = if act.answers.contains(&408) { self.deadline } else { DEADLINE };
        assert!(took < Duration::from_secs(deadline) + PATIENCE, "answered after {took:?}");
        answer
    }

    pub fn read(&self, connection: &mut Connection) -> io::Result<Response> {
        connection.set_patience(Duration::from_secs(self.deadline) + 2 * PATIENCE);
        connection.read()
    }

    /// The checks of the goal. The good client may not have noticed anything.
    #[track_caller]
    pub fn holds(&self, name: &str, marker: &str) {
        let calls = self.recovers(name, marker);
        assert!(calls.turned_away.is_empty(), "the good client was turned away: {:?}", calls.turned_away);
    }

    /// The same where all workers were taken: the good client may have been asked to come later.
    #[track_caller]
    pub fn recovers(&self, name: &str, marker: &str) -> Calls {
        let started = Instant::now();
        assert_eq!(self.get("/info").status, 200);
        let info = started.elapsed();
        let started = Instant::now();
        self.evaluate("return 1", json!({})).is(200, "1");
        let next = started.elapsed();
        assert!(info < PATIENCE && next < PATIENCE, "/info took {info:?}, return 1 took {next:?}");
        let started = Instant::now();
        let clean = wait_for(PATIENCE, || self.left_behind(marker).is_empty().then_some(()));
        let cleaned = started.elapsed();
        if clean.is_none() {
            panic!("left behind: {}", self.left_behind(marker).join("; "));
        }
        self.await_good_call();
        let calls = self.client.as_ref().unwrap().take();
        let now = self.now();
        eprintln!(
            "figures: {name}: slowest good call {} ms of {}, /info {} ms, next call {} ms, clean after {} ms, processes {} -> {}, memory {} -> {} MB",
            calls.slowest().as_millis(),
            calls.times.len(),
            info.as_millis(),
            next.as_millis(),
            cleaned.as_millis(),
            self.before.processes,
            now.processes,
            self.before.memory / 1024,
            now.memory / 1024,
        );
        assert!(
            calls.failures.is_empty(),
            "the good client's calls failed: {:.2000}",
            format!("{:?}", calls.failures)
        );
        calls
    }

    /// The good client's calls since the last look.
    pub fn good_calls(&self) -> Calls {
        self.await_good_call();
        self.client.as_ref().unwrap().take()
    }

    #[track_caller]
    fn await_good_call(&self) {
        let client = self.client.as_ref().unwrap();
        let called = wait_for(2 * PATIENCE, || client.has_called().then_some(()));
        assert!(called.is_some(), "the good client still waits for an answer");
    }

    /// What is there and should not be.
    pub fn left_behind(&self, marker: &str) -> Vec<String> {
        let mut left = Vec::new();
        let mut marked = processes::with_argument(marker);
        marked.extend(processes::with_name(marker));
        marked.extend(footprint::strays(self.front));
        for process in marked {
            left.push(format!("process {} {:?} {:?}", process.pid, process.name(), process.command_line()));
        }
        let now = self.now();
        let most = self.before.processes * self.workers.1.div_ceil(self.workers.0);
        if now.processes > most {
            left.push(format!("{} processes, {} before", now.processes, self.before.processes));
        }
        let unreaped = processes::unreaped(self.front);
        if unreaped > 0 {
            left.push(format!("{unreaped} zombies"));
        }
        if now.front_memory > self.before.front_memory + FRONT_ALLOWANCE {
            left.push(format!("front {} kB, {} before", now.front_memory, self.before.front_memory));
        }
        if now.memory > self.before.memory + TREE_ALLOWANCE {
            left.push(format!("memory {} kB, {} before", now.memory, self.before.memory));
        }
        if now.descriptors > self.before.descriptors + 60 {
            left.push(format!("{} descriptors, {} before", now.descriptors, self.before.descriptors));
        }
        let folder = self.folder();
        let files = now.files.difference(&self.before.files).cloned();
        for path in files.chain(footprint::marked_paths(marker, self.front, &folder)).take(20) {
            left.push(format!("file {}", path.display()));
        }
        left
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        drop(self.client.take());
        drop(self.server.take());
        // Whatever a script managed to leave ends with the test, even if it keeps forking.
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let left = processes::descendants(std::process::id());
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(Process::kill);
        }
    }
}

/// Lets scripts take longer.
pub fn ample(builder: Builder) -> Builder {
    builder.env("TABPY_EVALUATE_TIMEOUT", AMPLE)
}

#[track_caller]
pub fn judge(act: &Act, answer: &Response) {
    let said: String = answer.text().chars().take(500).collect();
    assert!(act.answers.contains(&answer.status), "answered {} {said}", answer.status);
    if answer.status != 200 {
        let (message, info) = answer.error(answer.status);
        assert!(format!("{message} {info}").contains(act.says), "no {:?} in {said}", act.says);
        if answer.status == 503 {
            assert!(answer.header("Retry-After").is_some(), "503 without Retry-After");
        }
    }
}

/// Performs the acts one after the other on one server; a server that failed is replaced by a
/// fresh one, so that each act is judged by itself.
#[track_caller]
pub fn each(workers: Workers, settings: impl Fn(Builder) -> Builder, acts: &[Act]) {
    rows(
        acts.iter().map(|act| (act.name, act)),
        || Arena::start(workers, &settings),
        |arena, act| {
            arena.perform(act);
        },
    );
}

/// What nothing but Landlock holds. docs/reliability.md has the same list, and the next one.
const BY_LANDLOCK: [&str; 9] = [
    "every process one by one",
    "every number",
    "every process stopped",
    "every process told to end",
    "from a detached child",
    "by a thread's number",
    "by the out-of-memory killer's score",
    "a file in /tmp",
    "the temporary folder renamed",
];

/// What stays in `/dev/shm` where a worker can have none of its own.
const BY_A_NAMESPACE: [&str; 4] = ["joblib", "a file in /dev/shm", "shared memory", "in shared memory"];

fn cannot_hold(name: &str) -> bool {
    let of_all = BY_LANDLOCK.contains(&name) && is_on_an_older_kernel();
    of_all || BY_A_NAMESPACE.contains(&name) && (is_on_an_older_kernel() || other_user().is_some())
}

/// As whom the suite runs the server, if not as itself.
fn other_user() -> Option<u32> {
    std::env::var("HOSTILE_USER").ok().and_then(|user| user.parse().ok())
}

/// Whether the suite runs as if the kernel knew neither Landlock nor namespaces for users.
pub fn is_on_an_older_kernel() -> bool {
    std::env::var("HOSTILE_KERNEL").is_ok_and(|kernel| kernel == "old")
}

/// The same for any kind of row.
#[track_caller]
pub fn rows<R>(
    rows: impl Iterator<Item = (&'static str, R)>,
    start: impl Fn() -> Arena,
    perform: impl Fn(&Arena, R),
) {
    let mut failures = Vec::new();
    let mut arena = None;
    for (name, row) in rows {
        let stage = arena.take();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let stage = stage.unwrap_or_else(&start);
            perform(&stage, row);
            stage
        }));
        match outcome {
            Ok(stage) => arena = Some(stage),
            Err(_) if cannot_hold(name) => eprintln!("does not hold here: {name}"),
            Err(reason) => failures.push(format!("- {name}: {}", words_of(&*reason).replace('\n', " "))),
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn words_of(reason: &(dyn Any + Send)) -> String {
    let words = reason.downcast_ref::<String>().cloned();
    words.or_else(|| reason.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

fn front_of(server: &Server) -> u32 {
    let binary = env!("CARGO_BIN_EXE_tabpy-rs");
    let is_front = |process: &Process| process.program().is_some_and(|program| program.ends_with(binary));
    if Process::of(server.pid()).is_some_and(|process| is_front(&process)) {
        return server.pid();
    }
    // The eldest comes first.
    server.processes().into_iter().find(is_front).expect("no process of the server").pid
}
