//! A large body that comes fast goes to a worker while it comes. One that comes slowly keeps no worker waiting: it is
//! gathered first.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::Service;
use crate::pool::Feed;

/// What has come by the time that its pace is known.
const BEGINNING: usize = 1 << 20;

/// The rest must be expected within this time,
const SOON: Duration = Duration::from_millis(200);

/// and be there within this, or the worker is ended: what was lost on the way comes again after a fifth of a second.
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

    /// Something more has come; it is gathered behind the `beginning`, or all is where a worker reads it, if that is
    /// worth it.
    pub(super) fn goes_on(&mut self, beginning: &mut BytesMut, more: &[u8], now: Instant) {
        if let Some(feed) = &mut self.feed {
            if self.pace.as_ref().is_none_or(|pace| now >= pace.until) {
                feed.give_up();
            }
            if feed.push(more) {
                return;
            }
            self.stop(beginning);
        }
        beginning.extend_from_slice(more);
        if let Some(pace) = self.pace.as_mut().filter(|pace| pace.is_fast(beginning.len(), now)) {
            pace.until = now + PATIENCE;
            let feed = self.service.pool.feed(pace.length, self.service.generation());
            self.feed = feed.and_then(|mut feed| feed.push(beginning).then(|| Box::new(feed)));
            match self.feed {
                Some(_) => *beginning = BytesMut::new(),
                None => self.pace = None,
            }
        }
    }

    /// Until when a worker waits for more, if one does.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        self.feed.as_ref().filter(|feed| feed.is_awaited()).and(self.pace.as_ref()).map(|pace| pace.until)
    }

    /// The worker has waited long enough.
    pub(super) fn give_up(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.give_up();
        }
    }

    /// It is not the body that it was said to be, so it is gathered from here on.
    pub(super) fn stop(&mut self, beginning: &mut BytesMut) {
        self.pace = None;
        if let Some(feed) = self.feed.take() {
            beginning.extend_from_slice(feed.come());
        }
    }

    /// The body in memory that a worker reads, or was to read, if all has come.
    pub(super) fn whole(&self) -> Option<impl AsRef<[u8]> + Send + use<>> {
        self.feed.as_ref()?.whole()
    }

    /// What a worker has read of it, if one has.
    pub(super) fn into_feed(self) -> Option<Box<Feed>> {
        self.feed
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
