//! The worker processes: who is idle, who waits, and until when. A request takes the most recently
//! used idle worker, or waits its turn in a bounded queue while the pool grows; a worker that misses
//! the deadline, or breaks the wire, is killed and replaced behind the scenes. Nothing here knows what
//! is inside a request or an answer.

mod batch;
mod body;
mod channel;
mod disk;
mod exchange;
mod feed;
mod folder;
mod forker;
mod job;
mod lease;
mod memory;
mod output;
mod process;
mod reply;
mod room;
mod sending;
mod shared;
mod starter;
mod tree;
mod trial;
mod trouble;
mod waiter;
mod waiting;
mod warden;
mod worker;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use crate::metrics::Ended;
use crate::ticks;
use crate::wire::Setup;
pub use body::Body;
use body::Parts;
use feed::Coming;
pub use feed::Feed;
pub use folder::Folders;
pub use job::{Answer, Job};
use lease::{Lease, Spare};
use shared::{Shared, State};
pub use trouble::{Begun, Trouble, of_function};
use waiter::{Light, Turn};
pub use warden::Allowance;
use warden::Warden;
use worker::Worker;

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
    /// The longest body and the longest answer, in bytes.
    pub max_request_bytes: usize,
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

/// The pool; clones share it.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What there is for a request at once.
enum Taken {
    Worker(Lease),
    /// A place among those who wait.
    Place(oneshot::Receiver<Turn>),
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
        while shared.lock().expect_one_more(workers) {
            shared.order_start(Duration::ZERO);
        }
        Ok(Self { shared })
    }

    /// Has a worker do the job: the one that has read some of the body, if one has. Dropping the future ends the job,
    /// and the worker with it.
    pub async fn run(&self, job: Job, feed: Option<Box<Feed>>) -> Result<Answer, Trouble> {
        if let Some((lease, coming)) = feed.and_then(|feed| feed.into_parts()) {
            return Box::pin(self.run_on(lease, Some(coming), job)).await;
        }
        let lease = match self.turn(&job, job.asked).await? {
            Turn::Worker(lease) => lease,
            Turn::Over(answer) => return Ok(answer),
        };
        // In a box, as its room is not needed where many wait: most of them get what a worker has answered already.
        Box::pin(self.run_on(lease, None, job)).await
    }

    /// Has the worker do the job, of which it may have been sent something already.
    async fn run_on(
        &self,
        mut lease: Lease,
        mut begun_with: Option<Coming>,
        mut job: Job,
    ) -> Result<Answer, Trouble> {
        let deadline = job.deadline.into();
        let mut read_twice = false;
        loop {
            let started = Instant::now();
            let queued = started - job.asked;
            if job.deadline.saturating_duration_since(started) < queued / LAST_MOMENT {
                // It would be stopped as soon as it began, and take a good worker with it.
                return Err(self.shared.not_started(job.asked));
            }
            let begun = Begun { worker: lease.number(), queued };
            match tokio::time::timeout_at(deadline, lease.exchange(&mut job, begun_with.take())).await {
                Ok(Ok(reply::Done { reply, pieces, body, spoilt, .. })) => {
                    lease.give_back(spoilt);
                    let body = match pieces.length() {
                        0 => Body::Whole(body),
                        _ => Body::Parts(Parts::new(pieces.followed_by(body))),
                    };
                    let printed = job.take_printed();
                    return Ok(Answer { printed, ..Answer::of(&reply, body, begun, started.elapsed()) });
                }
                // The worker died or took its leave while it was idle, or spoke out of turn: another one
                // takes the job.
                Ok(Err(exchange::Lost::BeforeItBegan)) => {}
                // Once more, unless it ended for what it read.
                Ok(Err(exchange::Lost::WhileItRead)) if !read_twice && !lease.has_met_a_limit() => {
                    read_twice = true;
                }
                Ok(Err(exchange::Lost::Ended | exchange::Lost::WhileItRead)) => {
                    let how = lease.how_it_ended().await;
                    return Err(Trouble::Died { how, begun, printed: job.take_printed() });
                }
                Ok(Err(exchange::Lost::Garbled)) => {
                    let how = GARBLED.to_owned();
                    return Err(Trouble::Died { how, begun, printed: job.take_printed() });
                }
                Ok(Err(exchange::Lost::Unwanted)) | Err(_) => {
                    return Err(Trouble::TimedOut { begun, printed: job.take_printed() });
                }
            }
            // Its place is free for the worker that comes instead.
            drop(lease);
            lease = match self.turn(&job, Instant::now()).await? {
                Turn::Worker(lease) => lease,
                Turn::Over(answer) => return Ok(answer),
            };
        }
    }

    /// Waits for a worker, from now on and no longer than the job has time.
    async fn turn(&self, job: &Job, now: Instant) -> Result<Turn, Trouble> {
        let mut waiting = match self.take(job)? {
            Taken::Worker(lease) => return Ok(Turn::Worker(lease)),
            Taken::Place(waiting) => waiting,
        };
        match ticks::timeout_at(now, job.deadline, &mut waiting).await {
            Ok(turn) => turn.map_err(|_| Trouble::Stopping),
            Err(_) => Err(self.shared.not_started(job.asked)),
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

    /// An idle worker, if there is one.
    fn lease(&self, state: &mut State, light: bool) -> Option<Lease> {
        let worker = state.take_idle(light)?;
        Some(self.leased(state, worker))
    }

    /// A worker that is idle no more.
    fn leased(&self, state: &State, worker: Box<Worker>) -> Lease {
        let busy = state.alive - state.idle.len();
        let lease = Lease::new(worker, Arc::clone(&self.shared));
        let processors = self.shared.processors;
        lease.with(Spare { stay_awake: busy <= processors, write_beside: busy < processors })
    }

    fn take(&self, job: &Job) -> Result<Taken, Trouble> {
        let mut state = self.shared.lock();
        if state.stopping {
            return Err(Trouble::Stopping);
        }
        if let Some(lease) = self.lease(&mut state, job.light) {
            return Ok(Taken::Worker(lease));
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
        state.waiting.join(job.asked, turn, Light::of(job));
        Ok(Taken::Place(mine))
    }
}
