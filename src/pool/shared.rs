//! What all threads share of the pool: who is idle, who waits, and how a free worker comes to a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::lease::Lease;
use super::waiter::{Turn, Waiter};
use super::waiting::Waiting;
use super::warden::Warden;
use super::worker::Worker;
use super::{Start, Trouble, batch, starter};
use crate::metrics::{Ended, METRICS};

pub(super) struct Shared {
    pub(super) start: Start,
    pub(super) state: Mutex<State>,
    pub(super) starter: mpsc::Sender<starter::Order>,
    pub(super) warden: Arc<Warden>,
    /// Functions that may be tried at once.
    pub(super) trials: Semaphore,
    pub(super) processors: usize,
}

#[derive(Default)]
pub(super) struct State {
    /// The most recently used one last.
    #[expect(clippy::vec_box, reason = "a worker stays in its box from its birth to its end")]
    pub(super) idle: Vec<Box<Worker>>,
    pub(super) waiting: Waiting,
    /// Whether the starter looks at those who wait.
    pub(super) looked_after: bool,
    /// Workers that exist, and those that are being started.
    pub(super) alive: usize,
    pub(super) starting: usize,
    /// When the last worker ended, if there ever was one.
    bereft: Option<Instant>,
    pub(super) stopping: bool,
    /// What the last worker said that scripts are kept from.
    pub(super) confinement: String,
    /// Why the last start failed, until one succeeds.
    pub(super) start_error: Option<String>,
    pub(super) failed_at: Option<Instant>,
}

impl State {
    /// The most recently used worker of those that this thread's runtime watches; else the one that the others
    /// miss least. One that has run other scripts already is best for another one that may do anything.
    pub(super) fn take_idle(&mut self, light: bool) -> Option<Box<Worker>> {
        self.take_idle_of(light, |_| true)
    }

    /// The same of those that fit.
    pub(super) fn take_idle_of(
        &mut self,
        light: bool,
        fits: impl Fn(&Worker) -> bool,
    ) -> Option<Box<Worker>> {
        let here = std::thread::current().id();
        let own = |worker: &Worker| worker.line == Some(here) && fits(worker);
        let best = self.idle.iter().rposition(|worker| own(worker) && worker.innocent == light);
        let good = || self.idle.iter().rposition(|worker| own(worker));
        let any = || self.idle.iter().position(|worker| fits(worker));
        let place = best.or_else(good).or_else(any)?;
        let mut worker = self.idle.remove(place);
        self.move_to(&mut worker, here);
        Some(worker)
    }

    /// Whether one that light requests wait for may be replaced: no other one is being, and this one will be.
    fn may_spare_one(&self, warm: usize) -> bool {
        self.waiting.begins_light() && self.starting == 0 && self.start_error.is_none() && self.alive <= warm
    }

    /// Counts one more worker as being started, if there are fewer than so many; says whether. Looked at and counted in
    /// one go, since whoever looked in between would start one as well.
    pub(super) fn expect_one_more(&mut self, up_to: usize) -> bool {
        let fewer = !self.stopping && self.alive + self.starting < up_to;
        self.starting += usize::from(fewer);
        fewer
    }

    /// Why there was no worker for who has waited since then. Where there are some, the start of another one is not what
    /// was waited for; nor is it where the last one has only just been ended.
    fn lack(&self, asked: Instant) -> Option<String> {
        if self.alive > 0 {
            return None;
        }
        let for_long = || self.bereft.is_none_or(|since| since < asked + asked.elapsed() / 2);
        let being_started = || for_long().then(|| "Python workers are still being started.".to_owned());
        self.start_error.clone().or_else(being_started)
    }

    fn move_to(&mut self, worker: &mut Worker, line: ThreadId) {
        self.waiting.moves(worker.line, Some(line));
        worker.line = Some(line);
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and its state is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The starter sleeps while nobody waits.
    pub(super) fn look_after(&self, state: &mut State) {
        if !state.looked_after {
            state.looked_after = true;
            let _ = self.starter.send(starter::Order::Look);
        }
    }

    /// Hands a free worker to whoever waits longest, and to who stands behind if all are light; or lets it rest.
    pub(super) fn give(self: &Arc<Self>, mut worker: Box<Worker>) {
        loop {
            let (waiter, others) = {
                let mut state = self.lock();
                // Looked at under the lock: an end that is told later finds the worker among the idle.
                if state.stopping || worker.has_ended() {
                    break;
                }
                if worker.had_better_be_innocent() && state.may_spare_one(self.start.limits.workers) {
                    drop(state);
                    return self.bury(worker, Ended::Served);
                }
                match state.waiting.next(worker.line) {
                    Some((waiter, line)) => {
                        state.move_to(&mut worker, line);
                        let share = state.waiting.len() / state.alive.max(1);
                        let most = self.most_together(&worker, share);
                        let others = state.waiting.others(&waiter, line, most);
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
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(batch::run(lease, Arc::clone(self), batch));
                    return;
                }
                // This thread's runtime is being taken down, and whoever waits learns it from the loss of the turn.
                match lease.into_worker() {
                    Some(returned) => worker = returned,
                    None => return,
                }
                continue;
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

    /// How many requests a worker may take at once, if its share of all that wait is so much.
    fn most_together(&self, worker: &Worker, share: usize) -> usize {
        if !worker.innocent {
            return 1;
        }
        let left = self.start.limits.worker_requests.saturating_sub(worker.served);
        usize::try_from(left).unwrap_or(usize::MAX).min(share.clamp(batch::FEW, batch::MANY))
    }

    /// Lets requests wait again that have not been answered, before all others of this thread.
    pub(super) fn wait_again(self: &Arc<Self>, waiters: Vec<Waiter>) {
        let mut state = self.lock();
        if state.stopping || waiters.is_empty() {
            // Those who wait learn it from the loss of their turn.
            return;
        }
        state.waiting.rejoin(waiters);
        self.look_after(&mut state);
        // Nobody waited a moment ago, so a worker may rest.
        while state.waiting.len() > 0
            && let Some(worker) = state.take_idle(false)
        {
            drop(state);
            self.give(worker);
            state = self.lock();
        }
    }

    /// Ends a worker if it is idle; one at work ends with its work.
    pub(super) fn retire(&self, number: u64) {
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
    pub(super) fn bury(&self, worker: Box<Worker>, reason: Ended) {
        METRICS.ended(reason);
        // Others have said it with their requests.
        if matches!(reason, Ended::Idle | Ended::Spoilt) {
            worker.tell_last_words(&self.start.limits);
        }
        let line = worker.line;
        drop(worker);
        let replace = {
            let mut state = self.lock();
            state.waiting.moves(line, None);
            state.alive -= 1;
            if state.alive == 0 {
                state.bereft = Some(Instant::now());
            }
            state.expect_one_more(self.start.limits.workers)
        };
        if replace {
            self.order_start(Duration::ZERO);
        }
    }

    /// Orders a worker that is expected already.
    pub(super) fn order_start(&self, after: Duration) {
        // The starter ends only with the pool, when nobody needs a worker any more.
        let _ = self.starter.send(starter::Order::Start { at: Instant::now() + after });
    }

    /// For who has waited since then.
    pub(super) fn not_started(&self, asked: Instant) -> Trouble {
        let reason = self.lock().lack(asked);
        Trouble::NotStarted { max_workers: self.start.limits.max_workers, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_in_vain_hears_of_workers_that_are_not_there() {
        let now = Instant::now();
        let asked = now.checked_sub(Duration::from_secs(10)).unwrap();
        let being_started = Some("Python workers are still being started.");
        let mut state = State::default();
        assert_eq!(state.lack(asked).as_deref(), being_started);
        state.bereft = asked.checked_add(Duration::from_secs(1));
        assert_eq!(state.lack(asked).as_deref(), being_started);
        state.bereft = Some(now);
        assert_eq!(state.lack(asked), None, "the last one was busy until its end");
        state.start_error = Some("no memory".to_owned());
        assert_eq!(state.lack(asked).as_deref(), Some("no memory"));
        state.alive = 1;
        assert_eq!(state.lack(asked), None);
    }

    #[test]
    fn a_worker_that_is_expected_counts() {
        let mut state = State { alive: 1, ..State::default() };
        assert!(!state.expect_one_more(1));
        assert!(state.expect_one_more(2));
        assert!(!state.expect_one_more(2), "two where one was to come");
        state.alive = 0;
        assert!(state.expect_one_more(2));
        state.stopping = true;
        assert!(!state.expect_one_more(9));
    }
}
