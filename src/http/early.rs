//! A large body that comes fast goes to a worker while it comes. One that comes slowly keeps no worker waiting: it is
//! gathered first.

use std::time::{Duration, Instant};

use super::Service;
use crate::pool::Feed;

/// What has come by the time that its pace is known.
const BEGINNING: usize = 1 << 20;

/// The rest must be expected within this time,
const SOON: Duration = Duration::from_millis(200);

/// and the worker is taken back where nothing comes for so long.
pub(super) const STALL: Duration = Duration::from_millis(200);

pub(super) struct Early<'a> {
    service: &'a Service,
    feed: Option<Box<Feed>>,
}

impl<'a> Early<'a> {
    pub(super) fn new(service: &'a Service) -> Self {
        Self { service, feed: None }
    }

    /// The worker that has read some of the body, if one has.
    pub(super) fn into_feed(self) -> Option<Box<Feed>> {
        self.feed
    }
}

/// How a body comes.
pub(super) struct Pace<'a, 'b> {
    early: Option<&'b mut Early<'a>>,
    began: Instant,
    /// Bytes of the whole body.
    length: usize,
}

impl<'a, 'b> Pace<'a, 'b> {
    /// A body begins of which it is known how long it is.
    pub(super) fn new(early: Option<&'b mut Early<'a>>, length: Option<usize>) -> Self {
        let early = early.filter(|_| length.is_some_and(|length| length > 2 * BEGINNING));
        Self { early, began: Instant::now(), length: length.unwrap_or_default() }
    }

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
        }
        if !early.feed.as_mut().is_some_and(|feed| feed.offer(beginning)) {
            self.stop();
        }
    }

    /// Whether a worker waits for more.
    pub(super) fn is_waited_for(&self) -> bool {
        self.early.as_ref().is_some_and(|early| early.feed.is_some())
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
