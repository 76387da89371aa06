//! A large body that comes fast goes to a worker while it comes. One that comes slowly keeps no worker waiting: it is
//! gathered first.

use std::time::{Duration, Instant};

use super::Service;
use crate::pool::Feed;

/// What has come by the time that its pace is known.
const BEGINNING: usize = 1 << 20;

/// The rest must be expected within this time,
const SOON: Duration = Duration::from_millis(200);

/// and be there within this, or the worker is taken back: what was lost on the way comes again after a fifth of a second.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Early<'a> {
    service: &'a Service,
    feed: Option<Box<Feed>>,
    /// In a box, as most bodies are too small for any of this.
    pace: Option<Box<Pace>>,
}

/// How a large body comes, as long as a worker may get it.
struct Pace {
    began: Instant,
    /// When it is to be whole, where a worker waits for it.
    until: Instant,
    /// Bytes of the whole body.
    length: usize,
}

impl<'a> Early<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self { service, feed: None, pace: None }
    }

    /// A body begins that is said to be so long.
    pub(super) fn begins(&mut self, length: usize) {
        let now = Instant::now();
        self.pace = (length > 2 * BEGINNING).then(|| Box::new(Pace { began: now, until: now, length }));
    }

    /// Something more has come; a worker gets it, if it is worth it.
    pub(super) fn goes_on(&mut self, beginning: &[u8], now: Instant) {
        let Some(pace) = &mut self.pace else { return };
        if self.feed.is_none() {
            if !pace.is_fast(beginning.len(), now) {
                return;
            }
            self.feed = self.service.pool.feed(pace.length, self.service.generation()).map(Box::new);
            pace.until = now + PATIENCE;
        }
        let in_time = now < pace.until;
        if !in_time || !self.feed.as_mut().is_some_and(|feed| feed.offer(beginning)) {
            self.stop();
        }
    }

    /// Until when a worker waits for more, if one does.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        self.feed.as_ref().and(self.pace.as_ref()).map(|pace| pace.until)
    }

    /// No worker waits for it any longer.
    pub(super) fn stop(&mut self) {
        self.feed = None;
        self.pace = None;
    }

    /// The worker that has read some of the body, which turned out to be so long, if one has.
    pub(super) fn into_feed(self, length: usize) -> Option<Box<Feed>> {
        self.feed.filter(|_| self.pace.is_some_and(|pace| pace.length == length))
    }
}

impl Pace {
    /// Whether the rest will soon be there, if it comes as what has come.
    fn is_fast(&self, come: usize, now: Instant) -> bool {
        let missing = self.length.saturating_sub(come);
        let seconds = (now - self.began).as_secs_f64();
        come >= BEGINNING && seconds * missing as f64 <= SOON.as_secs_f64() * come as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_fast_if_its_rest_is_expected_soon() {
        let began = Instant::now();
        let pace = Pace { began, until: began, length: 41 << 20 };
        let is_fast = |megabytes: usize, milliseconds| {
            pace.is_fast(megabytes << 20, began + Duration::from_millis(milliseconds))
        };
        assert!(is_fast(1, 5) && !is_fast(1, 6) && !is_fast(0, 0));
        // The nearer to the end, the slower it may be.
        assert!(is_fast(21, 200) && is_fast(40, 8000) && is_fast(41, 60_000) && !is_fast(21, 300));
    }
}
