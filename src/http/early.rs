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
}

impl<'a> Early<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self { service, feed: None }
    }

    /// The worker that has read some of the body, which turned out to be so long, if one has.
    pub(super) fn into_feed(self, length: usize) -> Option<Box<Feed>> {
        self.feed.filter(|feed| feed.length() == length)
    }

    /// A body begins of which it is known how long it is.
    pub(super) fn pace<'b>(&'b mut self, length: usize) -> Option<Pace<'a, 'b>> {
        let now = Instant::now();
        (length > 2 * BEGINNING).then_some(Pace { early: Some(self), began: now, until: now, length })
    }
}

/// How a body comes.
pub(super) struct Pace<'a, 'b> {
    early: Option<&'b mut Early<'a>>,
    began: Instant,
    /// When it is to be whole, where a worker waits for it.
    until: Instant,
    /// Bytes of the whole body.
    length: usize,
}

impl Pace<'_, '_> {
    /// Something more has come; a worker gets it, if it is worth it.
    pub(super) fn goes_on(&mut self, beginning: &[u8], now: Instant) {
        let is_fast = self.is_fast(beginning.len(), now);
        let Some(early) = &mut self.early else { return };
        if early.feed.is_none() {
            if !is_fast {
                return;
            }
            let feed = early.service.pool.feed(self.length, early.service.generation());
            early.feed = feed.map(Box::new);
            self.until = now + PATIENCE;
        }
        let fits = beginning.len() <= self.length && now < self.until;
        if !fits || !early.feed.as_mut().is_some_and(|feed| feed.offer(beginning)) {
            self.stop();
        }
    }

    /// Until when a worker waits for more, if one does.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        self.early.as_ref()?.feed.as_ref().map(|_| self.until)
    }

    /// No worker waits for it any longer.
    pub(super) fn stop(&mut self) {
        if let Some(early) = self.early.take() {
            early.feed = None;
        }
    }

    /// Whether the rest will soon be there, if it comes as what has come.
    fn is_fast(&self, come: usize, now: Instant) -> bool {
        let missing = self.length.saturating_sub(come);
        let seconds = (now - self.began).as_secs_f64();
        come >= BEGINNING && seconds * missing as f64 <= SOON.as_secs_f64() * come as f64
    }
}
