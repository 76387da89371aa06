//! Who waits for a worker: a line for each thread of the front. A free worker goes to the line that it last
//! served, since its thread's runtime watches it already, and moving it costs more than a tiny call; unless
//! somebody in another line has waited noticeably longer, or has no worker to wait for.

use std::collections::VecDeque;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::waiter::{Light, Turn, Waiter};

/// Nobody is passed over for somebody who has waited so much less.
const HEAD_START: Duration = Duration::from_millis(2);

struct Line {
    thread: ThreadId,
    waiters: VecDeque<Waiter>,
    /// Workers that last served this line.
    workers: usize,
}

#[derive(Default)]
pub(super) struct Waiting {
    /// There are few threads, so looking through all lines is quicker than a map.
    lines: Vec<Line>,
    count: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Lets this thread wait for its turn.
    pub(super) fn join(&mut self, since: Instant, turn: oneshot::Sender<Turn>, light: Option<Light>) {
        let waiter = Waiter { since, looks: 0, turn, light };
        self.line(std::thread::current().id()).waiters.push_back(waiter);
        self.count += 1;
    }

    /// Lets those wait again whose turn came to nothing, in their order before all others of this thread.
    pub(super) fn rejoin(&mut self, waiters: Vec<Waiter>) {
        self.count += waiters.len();
        let line = self.line(std::thread::current().id());
        for waiter in waiters.into_iter().rev() {
            line.waiters.push_front(waiter);
        }
    }

    /// Who may go to the same worker as the first of a line: light ones that stand right behind it, where all are
    /// of this thread. No more than `most` with the first.
    pub(super) fn others(&mut self, first: &Waiter, line: ThreadId, most: usize) -> Vec<Waiter> {
        let mut others = Vec::new();
        if first.light.is_none() || line != std::thread::current().id() {
            return others;
        }
        let line = self.line(line);
        while others.len() + 1 < most
            && let Some(next) = line.waiters.pop_front_if(|waiter| waiter.light.is_some())
        {
            others.push(next);
        }
        self.count -= others.len();
        others
    }

    /// A worker that served one line serves another one, or none any more.
    pub(super) fn moves(&mut self, from: Option<ThreadId>, to: Option<ThreadId>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            let line = self.line(from);
            line.workers = line.workers.saturating_sub(1);
        }
        if let Some(to) = to {
            self.line(to).workers += 1;
        }
    }

    /// Whose turn it is with a worker that last served this line, and in which line.
    pub(super) fn next(&mut self, home: Option<ThreadId>) -> Option<(Waiter, ThreadId)> {
        if self.count == 0 {
            return None;
        }
        let first = |line: &Line| line.waiters.front().map(|waiter| waiter.since);
        let own = self.lines.iter().position(|line| Some(line.thread) == home);
        let (since, oldest) = (0..self.lines.len())
            .filter_map(|place| Some((first(&self.lines[place])?, place)))
            .min_by_key(|(since, _)| *since)?;
        let stays = own.filter(|own| {
            let line = &self.lines[*own];
            let spared = self.lines[oldest].workers == 0 && line.workers > 1;
            !spared && first(line).is_some_and(|own| own <= since + HEAD_START)
        });
        let line = &mut self.lines[stays.unwrap_or(oldest)];
        let waiter = line.waiters.pop_front()?;
        self.count -= 1;
        Some((waiter, line.thread))
    }

    /// Whether the next one of a line is light.
    pub(super) fn begins_light(&self) -> bool {
        self.lines.iter().any(|line| line.waiters.front().is_some_and(|waiter| waiter.light.is_some()))
    }

    /// Forgets those whose clients went away.
    pub(super) fn forget_closed(&mut self) {
        for line in &mut self.lines {
            line.waiters.retain(|waiter| !waiter.turn.is_closed());
        }
        self.count = self.lines.iter().map(|line| line.waiters.len()).sum();
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Waiter> {
        self.lines.iter_mut().flat_map(|line| &mut line.waiters)
    }

    fn line(&mut self, thread: ThreadId) -> &mut Line {
        let place = match self.lines.iter().position(|line| line.thread == thread) {
            Some(place) => place,
            None => {
                self.lines.push(Line { thread, waiters: VecDeque::new(), workers: 0 });
                self.lines.len() - 1
            }
        };
        &mut self.lines[place]
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Task;

    /// Joins as another thread, whose id it gives.
    fn another(waiting: &mut Waiting) -> (ThreadId, oneshot::Receiver<Turn>) {
        let (turn, mine) = oneshot::channel();
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| {
                waiting.join(Instant::now(), turn, None);
                std::thread::current().id()
            });
            (joined.join().unwrap(), mine)
        })
    }

    /// Has the first of a line have come so much sooner than the others.
    fn came(waiting: &mut Waiting, there: ThreadId, sooner: Duration) {
        let now = Instant::now();
        for line in &mut waiting.lines {
            for waiter in &mut line.waiters {
                waiter.since = if line.thread == there { now - sooner } else { now };
            }
        }
    }

    #[test]
    fn a_worker_stays_with_its_line_but_nobody_is_passed_over_for_long() {
        let mut waiting = Waiting::default();
        let here = std::thread::current().id();
        waiting.moves(None, Some(here));
        let (there, _other) = another(&mut waiting);
        waiting.moves(None, Some(there));
        let (turn, _mine) = oneshot::channel();
        waiting.join(Instant::now(), turn, None);
        came(&mut waiting, there, HEAD_START / 2);
        assert_eq!(waiting.next(Some(here)).map(|(_, line)| line), Some(here));
        assert_eq!(waiting.next(Some(here)).map(|(_, line)| line), Some(there));
        assert!(waiting.next(Some(here)).is_none() && waiting.len() == 0);

        let (there, _other) = another(&mut waiting);
        let (turn, _mine) = oneshot::channel();
        waiting.join(Instant::now(), turn, None);
        came(&mut waiting, there, HEAD_START * 2);
        assert_eq!(waiting.next(Some(here)).map(|(_, line)| line), Some(there));
    }

    #[test]
    fn a_line_without_a_worker_gets_one_from_a_line_that_has_two() {
        let mut waiting = Waiting::default();
        let here = std::thread::current().id();
        let (there, _other) = another(&mut waiting);
        let (turn, _mine) = oneshot::channel();
        waiting.join(Instant::now(), turn, None);
        waiting.moves(None, Some(here));
        waiting.moves(None, Some(here));
        let (_, line) = waiting.next(Some(here)).unwrap();
        assert_eq!(line, there);
        waiting.moves(Some(here), Some(line));
        assert_eq!(waiting.next(Some(here)).map(|(_, line)| line), Some(here));
    }

    /// Lets some wait, the light ones among them together; keeps the other ends.
    fn joined(waiting: &mut Waiting, light: &[bool]) -> Vec<oneshot::Receiver<Turn>> {
        let wait = |light: &bool| {
            let (turn, mine) = oneshot::channel();
            let what = Light { task: Task::Evaluate, body: Bytes::new(), generation: 0 };
            waiting.join(Instant::now(), turn, light.then_some(what));
            mine
        };
        light.iter().map(wait).collect()
    }

    #[test]
    fn light_ones_that_stand_behind_a_light_one_go_with_it() {
        let mut waiting = Waiting::default();
        let here = std::thread::current().id();
        let _mine = joined(&mut waiting, &[true, true, true, false, true, true]);
        let mut together = |most| {
            let (first, line) = waiting.next(Some(here)).unwrap();
            1 + waiting.others(&first, line, most).len()
        };
        assert_eq!([together(2), together(8), together(8), together(0), together(8)], [2, 1, 1, 1, 1]);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn who_is_of_another_thread_goes_alone() {
        let mut waiting = Waiting::default();
        let _mine = std::thread::scope(|scope| {
            let joined = scope.spawn(|| joined(&mut waiting, &[true, true]));
            joined.join().unwrap()
        });
        let (first, line) = waiting.next(None).unwrap();
        assert!(waiting.others(&first, line, 8).is_empty());
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn who_waits_again_stands_before_the_others() {
        let mut waiting = Waiting::default();
        let here = std::thread::current().id();
        let mut mine = joined(&mut waiting, &[true, true, true]);
        let (first, line) = waiting.next(Some(here)).unwrap();
        let others = waiting.others(&first, line, 2);
        waiting.rejoin(std::iter::once(first).chain(others).collect());
        assert_eq!(waiting.len(), 3);
        mine.remove(0).close();
        // The first one has left; the others are still in their order.
        let (first, _) = waiting.next(Some(here)).unwrap();
        assert!(first.turn.is_closed());
        mine.remove(0).close();
        let (second, _) = waiting.next(Some(here)).unwrap();
        assert!(second.turn.is_closed());
    }

    #[test]
    fn who_went_away_does_not_count() {
        let mut waiting = Waiting::default();
        let (turn, mine) = oneshot::channel();
        waiting.join(Instant::now(), turn, None);
        drop(mine);
        waiting.forget_closed();
        assert_eq!(waiting.len(), 0);
    }
}
