//! The thread that starts workers. It lives as long as the pool, because the kernel ends a worker when
//! the thread that started it ends. Between orders it looks after the pool's size: one more worker
//! when somebody has waited too long, one less when it has been idle for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::process::Worker;
use super::{Shared, State};

/// A wish for one more worker, not before `at`.
pub(super) struct Order {
    pub(super) at: Instant,
}

/// How often the pool's size is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A request that waits longer than this is reason for one more worker: workers that answer tiny
/// calls make nobody wait so long, however many connections there are.
const PATIENCE: Duration = Duration::from_millis(100);

/// A worker beyond those kept warm ends after this long without work.
const IDLE: Duration = Duration::from_secs(60);

/// After a failed start, the next try waits this long.
const BACK_OFF: Duration = Duration::from_secs(2);

static NUMBERS: AtomicU64 = AtomicU64::new(1);

pub(super) fn run(pool: Weak<Shared>, orders: Receiver<Order>) -> std::io::Result<()> {
    std::thread::Builder::new().name("starter".to_owned()).spawn(move || {
        let mut pending: Vec<Order> = Vec::new();
        loop {
            match orders.recv_timeout(TICK) {
                Ok(order) => pending.push(order),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let Some(shared) = pool.upgrade() else { return };
            let now = Instant::now();
            for order in pending.extract_if(.., |order| order.at <= now) {
                drop(order);
                start(&shared);
            }
            shared.fit();
        }
    })?;
    Ok(())
}

fn start(shared: &Arc<Shared>) {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let worker = match Worker::start(number, &shared.start) {
        Ok(worker) => worker,
        Err(error) => return shared.failed(number, &format!("A worker process could not be started: {error}")),
    };
    // Getting ready takes a second where pandas is imported; several workers do it side by side.
    let for_thread = Arc::clone(shared);
    let greeting = std::thread::Builder::new()
        .name("greeter".to_owned())
        .spawn(move || for_thread.greet(number, worker));
    if let Err(error) = greeting {
        shared.failed(number, &format!("A thread could not be started: {error}"));
    }
}

impl Shared {
    fn greet(self: Arc<Self>, number: u64, mut worker: Worker) {
        match worker.greet(&self.start) {
            Ok(hello) => {
                tracing::debug!(worker = number, python = hello.python_version, "worker ready");
                for warning in hello.warnings {
                    tracing::warn!(worker = number, "{warning}");
                }
                {
                    let mut state = self.lock();
                    state.starting -= 1;
                    state.alive += 1;
                    state.start_error = None;
                }
                self.give(worker);
            }
            Err(error) => self.failed(number, &format!("{error:#}")),
        }
    }

    fn failed(&self, number: u64, reason: &str) {
        let again = {
            let mut state = self.lock();
            state.starting -= 1;
            state.start_error = Some(reason.to_owned());
            !state.stopping && state.alive + state.starting < self.start.limits.workers
        };
        if !self.lock().stopping {
            tracing::error!(worker = number, "a worker could not be started: {reason}");
        }
        if again {
            self.order_start(BACK_OFF);
        }
    }

    /// Grows the pool by one where somebody has waited too long, or shrinks it by one.
    fn fit(&self) {
        let (grow, shrink) = {
            let mut state = self.lock();
            (state.should_grow(self.start.limits.max_workers), state.too_idle(self.start.limits.workers))
        };
        if grow {
            self.order_start(Duration::ZERO);
        }
        if let Some(worker) = shrink {
            self.bury(worker);
        }
    }
}

impl State {
    fn should_grow(&self, max_workers: usize) -> bool {
        let waited = self.waiting.iter().find(|waiter| !waiter.turn.is_closed()).map(|waiter| waiter.since.elapsed());
        waited.is_some_and(|waited| waited > PATIENCE)
            && self.starting == 0
            && self.alive < max_workers
            && !self.stopping
    }

    fn too_idle(&mut self, workers: usize) -> Option<Worker> {
        let least_used = self.idle.first()?;
        if self.alive > workers && least_used.rested.elapsed() > IDLE {
            return Some(self.idle.remove(0));
        }
        None
    }
}
