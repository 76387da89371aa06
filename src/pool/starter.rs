//! The thread that starts workers, from the fork server where that works and plainly where it does
//! not. It lives as long as the pool, because the kernel ends a worker when the thread that started it
//! ends. It also looks after the pool's size: more workers while requests wait, fewer when they idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::forker::Forker;
use super::room::Room;
use super::worker::Worker;
use super::{Shared, State};
use crate::memory;
use crate::metrics::Ended;

pub(super) enum Order {
    /// One more worker, not before `at`.
    Start { at: Instant },
    /// One worker that the pool does not count, for whoever gets it.
    Lend { to: oneshot::Sender<Result<Worker, String>> },
    /// Somebody has begun to wait.
    Look,
    /// A worker's process has ended, perhaps while it was idle.
    Ended { number: u64 },
    /// An idle worker is not worth keeping.
    Retire { number: u64 },
    /// A room takes more memory than may be kept.
    Release { room: Room },
}

/// How often the pool's size is looked at while somebody waits.
const TICK: Duration = Duration::from_millis(20);

/// The same while nobody does.
const SLOW_TICK: Duration = Duration::from_secs(2);

/// A request that is found waiting so often is reason for one more worker: workers that answer tiny
/// calls make nobody wait so long, however many connections there are. Looks are counted rather than
/// time, of which a machine that is short of processors lets more pass at once.
const PATIENCE: u32 = 4;

/// A worker beyond those kept warm ends after this long without work.
const IDLE: Duration = Duration::from_secs(60);

/// The memory for large bodies is given back after this long.
const MEMORY_IDLE: Duration = Duration::from_secs(1);

/// After a failed start, the next try waits this long.
const BACK_OFF: Duration = Duration::from_secs(2);

/// With less memory than this one more worker would only be killed.
const LEAST_MEMORY: u64 = 64 << 20;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

pub(super) fn run(pool: Weak<Shared>, orders: Receiver<Order>) -> std::io::Result<()> {
    std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
        let mut pending: Vec<Instant> = Vec::new();
        let mut forker = None;
        let mut tick = Instant::now();
        loop {
            let order = orders.recv_timeout(tick.saturating_duration_since(Instant::now()));
            let Some(shared) = pool.upgrade() else { break };
            match order {
                Ok(Order::Start { at }) => {
                    pending.push(at);
                    tick = tick.min(at.max(Instant::now()));
                }
                Ok(Order::Look) => tick = tick.min(Instant::now() + TICK),
                Ok(Order::Lend { to }) => lend(&shared, &mut forker, to),
                Ok(Order::Ended { number } | Order::Retire { number }) => shared.retire(number),
                Ok(Order::Release { room }) => {
                    // What cannot be released ends with the worker, once that is idle.
                    room.release();
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    let due = pending.extract_if(.., |at| *at <= now).count();
                    for _ in 0..due {
                        start(&shared, &mut forker);
                    }
                    let awaited = shared.fit();
                    if let Some(forker) = &forker {
                        forker.go_on_if_stopped();
                    }
                    tick = now + if awaited || !pending.is_empty() { TICK } else { SLOW_TICK };
                }
            }
        }
        end(&mut forker);
    })?;
    Ok(())
}

fn start(shared: &Arc<Shared>, forker: &mut Option<Forker>) {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let worker = match make(shared, forker, number) {
        Ok(worker) => worker,
        Err(reason) => return shared.failed(number, &reason),
    };
    // Getting ready may take a second; several workers do it side by side.
    let for_thread = Arc::clone(shared);
    if let Err(reason) = in_thread(move || for_thread.greet(number, worker)) {
        shared.failed(number, &reason);
    }
}

/// A worker for one purpose. It ends with its handle, which whoever asked for it may have given up by now.
fn lend(shared: &Arc<Shared>, forker: &mut Option<Forker>, to: oneshot::Sender<Result<Worker, String>>) {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let mut worker = match make(shared, forker, number) {
        Ok(worker) => worker,
        Err(reason) => return drop(to.send(Err(reason))),
    };
    let for_thread = Arc::clone(shared);
    // A thread that could not be started drops the sender, which tells as much.
    let _ = in_thread(move || {
        let greeted = worker.greet(&for_thread.start, &for_thread.warden);
        let _ = to.send(greeted.map(|_| worker).map_err(|error| format!("{error:#}")));
    });
}

/// A worker's process, which has yet to say hello.
fn make(shared: &Shared, forker: &mut Option<Forker>, number: u64) -> Result<Worker, String> {
    // A fork server that has died since is replaced at once.
    let mut forked = fork(shared, forker, number);
    if forked.is_err() && forker.is_some() {
        end(forker);
        forked = fork(shared, forker, number);
    }
    let made = forked.or_else(|error| {
        end(forker);
        tracing::warn!(worker = number, "starting a worker plainly, which takes longer: {error:#}");
        Ok(Worker::start(number, &shared.start).map_err(|error: std::io::Error| error.to_string()))
    });
    made.and_then(|made| made.map_err(anyhow::Error::msg))
        .map_err(|error| format!("A worker process could not be started: {error}"))
}

fn in_thread(work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = std::thread::Builder::new().name("greeter".to_owned()).spawn(work);
    started.map(drop).map_err(|error| format!("A thread could not be started: {error}"))
}

fn end(forker: &mut Option<Forker>) {
    drop(forker.take());
}

/// A worker from the fork server, which is started first where there is none.
fn fork(shared: &Shared, forker: &mut Option<Forker>, number: u64) -> anyhow::Result<Result<Worker, String>> {
    let forker = match forker {
        Some(forker) => forker,
        None => {
            let began = Instant::now();
            let (started, hello) = Forker::start(&shared.start)?;
            let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(python = hello.python_version, milliseconds, "ready to fork workers");
            for warning in hello.warnings {
                tracing::warn!("{warning}");
            }
            forker.insert(started)
        }
    };
    forker.fork(number, &shared.start)
}

impl Shared {
    fn greet(self: Arc<Self>, number: u64, mut worker: Worker) {
        match worker.greet(&self.start, &self.warden) {
            Ok(hello) => {
                tracing::debug!(worker = number, python = hello.python_version, "worker ready");
                for warning in hello.warnings {
                    tracing::warn!(worker = number, "{warning}");
                }
                let news = {
                    let mut state = self.lock();
                    state.starting -= 1;
                    state.alive += 1;
                    state.start_error = None;
                    let before = std::mem::replace(&mut state.confinement, hello.confinement.clone());
                    before != hello.confinement
                };
                if news {
                    tracing::info!(confinement = hello.confinement, "confined");
                }
                self.give(Box::new(worker));
            }
            Err(error) => self.failed(number, &format!("{error:#}")),
        }
    }

    fn failed(&self, number: u64, reason: &str) {
        let (again, stopping) = {
            let mut state = self.lock();
            state.starting -= 1;
            state.start_error = Some(reason.to_owned());
            state.failed_at = Some(Instant::now());
            (state.expect_one_more(self.start.limits.workers), state.stopping)
        };
        if stopping {
            return;
        }
        tracing::error!(worker = number, "a worker could not be started: {reason}");
        if again {
            self.order_start(BACK_OFF);
        }
    }

    /// Grows the pool where requests have waited too long, or shrinks it by one. Says whether anybody
    /// still waits.
    fn fit(&self) -> bool {
        let (wanted, shrink, awaited, rooms) = {
            let mut state = self.lock();
            let wanted = state.wanted(self.start.limits.max_workers);
            state.looked_after = state.waiting.len() > 0;
            let shrink = state.too_idle(self.start.limits.workers);
            (wanted, shrink, state.looked_after, state.rooms_at_rest())
        };
        for (number, room) in rooms {
            if !room.release() {
                self.retire(number);
            }
        }
        if wanted > 0 && memory::available() > LEAST_MEMORY {
            for _ in 0..wanted {
                // Meanwhile one may be on its way in place of one that has ended.
                if self.lock().expect_one_more(self.start.limits.max_workers) {
                    self.order_start(Duration::ZERO);
                }
            }
        }
        if let Some(worker) = shrink {
            self.bury(worker, Ended::Idle);
        }
        awaited
    }
}

impl State {
    /// How many more workers would help those who have waited too long.
    fn wanted(&mut self, max_workers: usize) -> usize {
        self.waiting.forget_closed();
        // Workers that are being started will be there sooner than any that are ordered now.
        if self.stopping
            || self.starting > 0
            || self.failed_at.is_some_and(|failed| failed.elapsed() < BACK_OFF)
        {
            return 0;
        }
        let mut patient = 0;
        for waiter in self.waiting.iter_mut() {
            waiter.looks += 1;
            patient += usize::from(waiter.looks >= PATIENCE);
        }
        patient.min(max_workers.saturating_sub(self.alive))
    }

    /// What large bodies have left with workers that have been idle for a while.
    fn rooms_at_rest(&self) -> Vec<(u64, Room)> {
        let at_rest = self.idle.iter().filter(|worker| worker.rested.elapsed() > MEMORY_IDLE);
        let rooms = at_rest.filter_map(|worker| Some((worker.number, worker.room.clone()?)));
        rooms.filter(|(_, room)| room.taken() > 0).collect()
    }

    fn too_idle(&mut self, workers: usize) -> Option<Box<Worker>> {
        let least_used = self.idle.first()?;
        if self.alive > workers && least_used.rested.elapsed() > IDLE {
            return Some(self.idle.remove(0));
        }
        None
    }
}
