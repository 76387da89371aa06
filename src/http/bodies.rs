//! What the bodies of all requests together take of memory, from their first byte until a worker has
//! them. A large one takes its share before it is read, in turn, and waits where there is none; a small
//! one is only counted, which costs an addition.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::heap;

/// A body up to this size never waits. There are no more of them than connections.
pub(super) const SMALL: usize = 64 << 10;

pub(super) struct Bodies {
    limit: usize,
    taken: AtomicUsize,
    /// Who waits for a share before there is any; one after the other.
    turn: Mutex<()>,
    waiting: AtomicUsize,
    given_back: Notify,
    /// How long one waits.
    patience: Duration,
}

/// A part of the memory for bodies; given back when it is dropped.
pub(super) struct Share {
    bodies: Arc<Bodies>,
    bytes: usize,
}

impl Bodies {
    /// `limit` in bytes.
    pub(super) fn new(limit: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit,
            taken: AtomicUsize::new(0),
            turn: Mutex::new(()),
            waiting: AtomicUsize::new(0),
            given_back: Notify::new(),
            patience,
        })
    }

    /// A share that is there in any case.
    pub(super) fn count(self: &Arc<Self>, bytes: usize) -> Share {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Share { bodies: Arc::clone(self), bytes }
    }

    /// A share for a body that is not read yet.
    pub(super) async fn take(self: &Arc<Self>, bytes: usize) -> Result<Share, Failure> {
        if bytes > self.limit {
            // It would have all others wait behind it, and in vain.
            return Err(self.full());
        }
        let mut share = self.count(0);
        if self.waiting.load(Ordering::Relaxed) == 0 && share.try_grow(bytes) {
            return Ok(share);
        }
        let waiting = async {
            let _turn = self.turn.lock().await;
            share.wait_to_grow(bytes).await;
        };
        match tokio::time::timeout(self.patience, waiting).await {
            Ok(()) => Ok(share),
            Err(_) => Err(self.full()),
        }
    }

    fn full(&self) -> Failure {
        Failure::new(503, "The server is too busy.")
            .info(format!(
                "The bodies of other requests take the {} MB of memory that there is for them. Try again later, send \
                 fewer rows at once, or give the server more memory.",
                self.limit >> 20
            ))
            .retry_after(5)
    }
}

impl Share {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes the share as large as this, if there is so much.
    pub(super) fn try_grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let limit = self.bodies.limit;
        let fits = |taken: usize| taken.checked_add(more).filter(|taken| *taken <= limit);
        let grown = self.bodies.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).is_ok();
        if grown {
            self.bytes += more;
        }
        grown
    }

    /// Makes it larger in any case.
    pub(super) fn add(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.bodies.taken.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    pub(super) fn full(&self) -> Failure {
        self.bodies.full()
    }

    /// Waits until there is so much, for a body that is being read already.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), Failure> {
        let until = Instant::now() + self.bodies.patience;
        match tokio::time::timeout_at(until, self.wait_to_grow(bytes)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.bodies.full()),
        }
    }

    async fn wait_to_grow(&mut self, bytes: usize) {
        let bodies = Arc::clone(&self.bodies);
        let _waiting = Waiting::new(&bodies.waiting);
        loop {
            let given_back = bodies.given_back.notified();
            tokio::pin!(given_back);
            // From here on nothing that is given back is missed.
            given_back.as_mut().enable();
            if self.try_grow(bytes) {
                return;
            }
            given_back.await;
        }
    }

    /// The body with its share, which is given back with the last copy.
    pub(super) fn hold(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bodies.give_back(self.bytes);
        heap::freed(self.bytes);
    }
}

impl Bodies {
    fn give_back(&self, bytes: usize) {
        // In one order with whoever begins to wait: either sees what the other has done.
        self.taken.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.given_back.notify_waiters();
        }
    }
}

struct Held<B> {
    bytes: B,
    _share: Share,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Held<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// One who waits, as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_waits_for_what_others_give_back() {
        let bodies = Bodies::new(100, Duration::from_secs(60));
        let first = bodies.take(80).await.unwrap();
        let waiting = tokio::spawn({
            let bodies = Arc::clone(&bodies);
            async move { bodies.take(50).await.map(|share| share.bytes()) }
        });
        while bodies.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let small = bodies.count(60);
        drop(first);
        drop(small);
        assert_eq!(waiting.await.unwrap().unwrap(), 50);
        assert_eq!(bodies.taken.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_waits_in_vain_is_told_so_and_has_taken_nothing() {
        let bodies = Bodies::new(100, Duration::from_millis(1));
        let held = bodies.take(80).await.unwrap().hold(vec![1, 2]);
        assert!(Bodies::new(100, Duration::MAX).take(101).await.is_err(), "it never fits");
        let Err(failure) = bodies.take(50).await else { panic!("there was no room for it") };
        assert_eq!((failure.status, failure.retry_after), (503, Some(5)));
        let copy = held.slice(1..);
        drop(held);
        assert_eq!(bodies.taken.load(Ordering::Relaxed), 80);
        drop(copy);
        assert_eq!(bodies.taken.load(Ordering::Relaxed), 0);
    }
}
