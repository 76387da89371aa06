//! The worker processes: who is idle, who waits, and until when. A request takes the most recently
//! used idle worker, or waits its turn in a bounded queue while the pool grows; a worker that misses
//! the deadline, or breaks the wire, is killed and replaced behind the scenes. Nothing here knows what
//! is inside a request or an answer.

mod batch;
mod body;
mod channel;
mod disk;
mod exchange;
mod folder;
mod forker;
mod lease;
mod output;
mod process;
mod starter;
mod tree;
mod trial;
mod waiting;
mod warden;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

use crate::failure::Failure;
use crate::metrics::{Ended, METRICS};
use crate::wire::{Setup, Task};
pub use body::Body;
use body::Parts;
pub use folder::Folders;
use lease::Lease;
use process::Worker;
use waiting::{Light, Turn, Waiter, Waiting};
pub use warden::Allowance;
use warden::Warden;

const GARBLED: &str = "The script wrote to a descriptor of the server's, so its Python process was ended.";

/// A request that has spent all but this part of its time in the queue is not begun any more.
const LAST_MOMENT: u32 = 50;

/// How many workers there are and what they may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Workers kept warm.
    pub workers: usize,
    /// How far the pool grows while all are busy.
    pub max_workers: usize,
    /// Requests that may wait for a worker.
    pub queue_size: usize,
    /// The longest answer, in bytes.
    pub max_response_bytes: usize,
    /// What of a request's printed output reaches the log, in bytes.
    pub script_output_bytes: usize,
    /// Requests after which a worker is replaced.
    pub worker_requests: u64,
    /// How long a function may take to load before it is put in force.
    pub trial_timeout: Duration,
    pub allowance: Allowance,
}

/// What a worker process is started with.
#[derive(Debug, Clone)]
pub struct Start {
    pub limits: Limits,
    pub setup: Setup,
    /// The whole environment of a worker; nothing else of the server's reaches it.
    pub environment: Vec<(String, String)>,
    pub folders: Folders,
}

impl Start {
    /// The environment of a process whose folder for temporary files this is. Numeric libraries would start a thread for each core of the host
    /// in every worker, so they get one unless the operator says otherwise.
    fn environment(&self, folder: &Path) -> impl Iterator<Item = (&str, String)> {
        const THREADS: [&str; 4] =
            ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"];
        let given = self.environment.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let threads = THREADS.into_iter().map(|name| (name, "1".to_owned()));
        threads.chain(folder::environment(folder)).chain(given)
    }
}

/// Work for one worker.
pub struct Job {
    pub task: Task,
    /// The function's name, for a query.
    pub name: String,
    /// The version of it that is asked for; 0 for the current one.
    pub version: u32,
    /// The newest generation of deployed functions.
    pub generation: u64,
    pub body: Bytes,
    /// When the client gets its answer at the latest.
    pub deadline: Instant,
    /// Whether what is printed comes with the answer, beside going to the log.
    pub wants_output: bool,
    /// Whether it is likely to be so quick, and so harmless, that it may go to a worker together with others.
    pub light: bool,
}

/// What a worker answered.
pub struct Answer {
    pub status: u16,
    pub body: Body,
    pub rows_in: u32,
    pub rows_out: u32,
    /// Whether Tableau can take the answer.
    pub fits: bool,
    /// Whether the script did nothing but compute the answer.
    pub pure: bool,
    /// The worker's number, for the log.
    pub worker: u64,
    /// How long the request waited for it.
    pub queued: Duration,
    /// How long the worker took.
    pub ran: Duration,
    /// What was printed, if that was wanted.
    pub output: Option<String>,
}

/// Where and when a worker took a request that has no answer; for the log.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    pub worker: u64,
    pub queued: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// The worker did not answer before the deadline.
    TimedOut { begun: Begun },
    /// As many requests wait as may.
    QueueFull { queue_size: usize },
    /// No worker was free before the deadline.
    NotStarted { max_workers: usize, reason: Option<String> },
    /// The worker process ended before it answered; how, in words.
    Died { how: String, begun: Begun },
    /// The server is stopping.
    Stopping,
}

/// The pool; clones share it.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    start: Start,
    state: Mutex<State>,
    starter: mpsc::Sender<starter::Order>,
    warden: Arc<Warden>,
    /// Functions that may be tried at once.
    trials: Semaphore,
    processors: usize,
}

#[derive(Default)]
struct State {
    /// The most recently used one last.
    idle: Vec<Worker>,
    waiting: Waiting,
    /// Whether the starter looks at those who wait.
    looked_after: bool,
    /// Workers that exist, and those that are being started.
    alive: usize,
    starting: usize,
    stopping: bool,
    /// Whether there ever was a worker.
    was_ready: bool,
    /// What the last worker said that scripts are kept from.
    confinement: String,
    /// Why the last start failed, until one succeeds.
    start_error: Option<String>,
    failed_at: Option<Instant>,
}

/// A moment of the pool, for probes and pages.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What scripts are kept from, in words.
    pub confinement: String,
    pub alive: usize,
    pub idle: usize,
    pub waiting: usize,
    pub start_error: Option<String>,
}

impl Pool {
    /// Makes the pool and begins to start its workers; returns at once.
    pub fn new(start: Start) -> std::io::Result<Self> {
        let (starter, orders) = mpsc::channel();
        let workers = start.limits.workers;
        let warden = Warden::start(start.limits.allowance, starter.clone())?;
        let trials = Semaphore::new(trial::AT_ONCE);
        let state = Mutex::new(State::default());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared { start, state, starter, warden, trials, processors });
        starter::run(Arc::downgrade(&shared), orders)?;
        for _ in 0..workers {
            shared.order_start(Duration::ZERO);
        }
        Ok(Self { shared })
    }

    /// Has a worker do the job. Dropping the future ends the job, and the worker with it.
    pub async fn run(&self, mut job: Job) -> Result<Answer, Trouble> {
        let arrived = Instant::now();
        let deadline = tokio::time::Instant::from_std(job.deadline);
        loop {
            let mut lease = match tokio::time::timeout_at(deadline, self.take(&job)).await {
                Ok(Ok(Turn::Worker(lease))) => lease,
                Ok(Ok(Turn::Over(answer))) => return Ok(answer),
                Ok(Err(trouble)) => return Err(trouble),
                Err(_) => return Err(self.shared.not_started()),
            };
            let queued = arrived.elapsed();
            if job.deadline.saturating_duration_since(Instant::now()) < queued / LAST_MOMENT {
                // It would be stopped as soon as it began, and take a good worker with it.
                return Err(self.shared.not_started());
            }
            let begun = Begun { worker: lease.number(), queued };
            let started = Instant::now();
            match tokio::time::timeout_at(deadline, lease.exchange(&mut job)).await {
                Ok(Ok(exchange::Done { reply, body, missing, spoilt, output })) => {
                    let worker = lease.number();
                    let body = if missing == 0 {
                        lease.give_back(spoilt);
                        Body::Whole(body)
                    } else {
                        let (sender, parts) = Parts::new(body.len() + missing);
                        // It has its receiver.
                        let _ = sender.send(body);
                        tokio::spawn(lease.pass_on(missing, sender, spoilt, deadline));
                        Body::Parts(parts)
                    };
                    return Ok(Answer {
                        status: reply.status,
                        body,
                        rows_in: reply.rows_in,
                        rows_out: reply.rows_out,
                        fits: reply.fits,
                        pure: reply.pure,
                        worker,
                        queued,
                        ran: started.elapsed(),
                        output,
                    });
                }
                // The worker died or took its leave while it was idle, or spoke out of turn: another one
                // takes the job.
                Ok(Err(exchange::Lost::BeforeItBegan)) => {}
                Ok(Err(exchange::Lost::Ended)) => {
                    return Err(Trouble::Died { how: lease.how_it_ended().await, begun });
                }
                Ok(Err(exchange::Lost::Garbled)) => {
                    return Err(Trouble::Died { how: GARBLED.to_owned(), begun });
                }
                Ok(Err(exchange::Lost::Unwanted)) | Err(_) => return Err(Trouble::TimedOut { begun }),
            }
        }
    }

    /// Removes what scripts have written; for the end, when no worker is alive.
    pub fn remove_folders(&self) {
        self.shared.start.folders.remove();
    }

    /// Bytes that this process and all that descend from it hold, shared parts once. Takes milliseconds.
    pub fn memory(&self) -> u64 {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        tree::memory(&tree::of(own)).sum()
    }

    pub fn snapshot(&self) -> Snapshot {
        let state = self.shared.lock();
        Snapshot {
            confinement: state.confinement.clone(),
            alive: state.alive,
            idle: state.idle.len(),
            waiting: state.waiting.len(),
            start_error: state.start_error.clone(),
        }
    }

    /// Ends the idle workers, and the others as they become free. Those who wait are turned away.
    pub fn stop(&self) {
        let (idle, waiting) = {
            let mut state = self.shared.lock();
            state.stopping = true;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.waiting))
        };
        drop(waiting);
        for worker in idle {
            self.shared.bury(worker, Ended::Idle);
        }
    }

    async fn take(&self, job: &Job) -> Result<Turn, Trouble> {
        let turn = {
            let mut state = self.shared.lock();
            if state.stopping {
                return Err(Trouble::Stopping);
            }
            if let Some(worker) = state.take_idle() {
                let busy = state.alive - state.idle.len();
                drop(state);
                let lease = Lease::new(worker, Arc::clone(&self.shared));
                return Ok(Turn::Worker(lease.staying_awake(busy <= self.shared.processors)));
            }
            let queue_size = self.shared.start.limits.queue_size;
            if state.waiting.len() >= queue_size {
                // Clients that went away left their places behind.
                state.waiting.forget_closed();
                if state.waiting.len() >= queue_size {
                    return Err(Trouble::QueueFull { queue_size });
                }
            }
            let (turn, mine) = oneshot::channel();
            self.shared.look_after(&mut state);
            state.waiting.join(turn, Light::of(job));
            mine
        };
        turn.await.map_err(|_| Trouble::Stopping)
    }
}

impl State {
    /// The most recently used worker of those that this thread's runtime watches; else the one that the others
    /// miss least.
    fn take_idle(&mut self) -> Option<Worker> {
        let here = std::thread::current().id();
        let own = self.idle.iter().rposition(|worker| worker.line == Some(here));
        let place = own.or_else(|| (!self.idle.is_empty()).then_some(0))?;
        let mut worker = self.idle.remove(place);
        self.move_to(&mut worker, here);
        Some(worker)
    }

    fn move_to(&mut self, worker: &mut Worker, line: ThreadId) {
        self.waiting.moves(worker.line, Some(line));
        worker.line = Some(line);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and its state is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The starter sleeps while nobody waits.
    fn look_after(&self, state: &mut State) {
        if !state.looked_after {
            state.looked_after = true;
            let _ = self.starter.send(starter::Order::Look);
        }
    }

    /// Hands a free worker to whoever waits longest, and to who stands behind if all are light; or lets it rest.
    fn give(self: &Arc<Self>, mut worker: Worker) {
        loop {
            let (waiter, others) = {
                let mut state = self.lock();
                // Looked at under the lock: an end that is told later finds the worker among the idle.
                if state.stopping || worker.has_ended() {
                    break;
                }
                match state.waiting.next(worker.line) {
                    Some((waiter, line)) => {
                        state.move_to(&mut worker, line);
                        let others = state.waiting.others(&waiter, line, self.most_together(&worker));
                        (waiter, others)
                    }
                    None => {
                        worker.rested = Instant::now();
                        state.idle.push(worker);
                        return;
                    }
                }
            };
            let lease = Lease::new(worker, Arc::clone(self));
            if !others.is_empty() {
                let batch = std::iter::once(waiter).chain(others).collect();
                tokio::spawn(batch::run(lease, Arc::clone(self), batch));
                return;
            }
            match waiter.turn.send(Turn::Worker(lease)) {
                Err(Turn::Worker(lease)) => match lease.into_worker() {
                    Some(returned) => worker = returned,
                    None => return,
                },
                _ => return,
            }
        }
        self.bury(worker, Ended::Idle);
    }

    /// How many requests a worker may take at once before it is replaced.
    fn most_together(&self, worker: &Worker) -> usize {
        let left = self.start.limits.worker_requests.saturating_sub(worker.served);
        usize::try_from(left).unwrap_or(usize::MAX).min(batch::MOST)
    }

    /// Lets requests wait again that have not been answered, before all others of this thread.
    fn wait_again(self: &Arc<Self>, waiters: Vec<Waiter>) {
        let mut state = self.lock();
        if state.stopping || waiters.is_empty() {
            // Those who wait learn it from the loss of their turn.
            return;
        }
        state.waiting.rejoin(waiters);
        self.look_after(&mut state);
        // Nobody waited a moment ago, so a worker may rest.
        while state.waiting.len() > 0
            && let Some(worker) = state.take_idle()
        {
            drop(state);
            self.give(worker);
            state = self.lock();
        }
    }

    /// Ends a worker if it is idle; one at work ends with its work.
    fn retire(&self, number: u64) {
        let retired = {
            let mut state = self.lock();
            let place = state.idle.iter().position(|worker| worker.number == number);
            place.map(|place| state.idle.remove(place))
        };
        if let Some(worker) = retired {
            self.bury(worker, Ended::Idle);
        }
    }

    /// Ends a worker, and orders another one where the pool would be too small without it.
    fn bury(&self, worker: Worker, reason: Ended) {
        METRICS.ended(reason);
        let line = worker.line;
        drop(worker);
        let replace = {
            let mut state = self.lock();
            state.waiting.moves(line, None);
            state.alive -= 1;
            !state.stopping && state.alive + state.starting < self.start.limits.workers
        };
        if replace {
            self.order_start(Duration::ZERO);
        }
    }

    fn order_start(&self, after: Duration) {
        self.lock().starting += 1;
        // The starter ends only with the pool, when nobody needs a worker any more.
        let _ = self.starter.send(starter::Order::Start { at: Instant::now() + after });
    }

    fn not_started(&self) -> Trouble {
        let state = self.lock();
        let none_yet = || (!state.was_ready).then(|| "Python workers are still being started.".to_owned());
        // Where there are workers, a failure to start another one is not what the client waited for.
        let reason = state.start_error.clone().filter(|_| state.alive == 0).or_else(none_yet);
        Trouble::NotStarted { max_workers: self.start.limits.max_workers, reason }
    }
}

/// How a process ended, in words for the one whose function it was: what they say of scripts holds for both.
pub fn of_function(how: &str) -> String {
    how.replace("script", "function")
}

impl Trouble {
    /// The worker that had the request, if one did.
    pub fn begun(&self) -> Option<Begun> {
        match self {
            Self::TimedOut { begun } | Self::Died { begun, .. } => Some(*begun),
            Self::QueueFull { .. } | Self::NotStarted { .. } | Self::Stopping => None,
        }
    }

    /// As the client sees it. `timed_out` is the message for a script that took too long.
    pub fn failure(self, timed_out: impl FnOnce() -> String) -> Failure {
        match self {
            Self::TimedOut { .. } => Failure::new(408, timed_out()),
            Self::QueueFull { queue_size } => Failure::new(503, "The server is too busy.")
                .info(format!(
                    "{queue_size} requests are waiting already, the limit of TABPY_QUEUE_SIZE. Try again later; \
                     more workers (TABPY_MAX_WORKERS) or shorter scripts make the queue move faster."
                ))
                .retry_after(5),
            Self::NotStarted { max_workers, reason: None } => {
                Failure::new(503, "The script was not started: all workers were busy until its time was over.")
                    .info(format!(
                        "Other scripts kept up to {max_workers} workers busy, the limit of TABPY_MAX_WORKERS. \
                         Try again later, or raise that setting if the machine has memory for more."
                    ))
                    .retry_after(5)
            }
            Self::NotStarted { reason: Some(reason), .. } => {
                Failure::new(503, "The script was not started: no Python worker could be started.")
                    .info(reason)
                    .retry_after(5)
            }
            Self::Died { how, .. } => Failure::new(500, "Error processing script").info(how),
            Self::Stopping => Failure::new(503, "The server is stopping.").info("Try again in a moment.").retry_after(5),
        }
    }
}
