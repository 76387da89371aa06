//! Waits that nearly always end sooner: for a worker, for a client's next bytes, for signs that a client has left. A timer
//! of the runtime for each of these costs a tiny call more than the wait itself. So each thread of the front, whose
//! runtime is its alone, has a clock that ticks once a second for all who wait; only what comes close to its deadline
//! gets a timer, and is ended in time.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::task::AbortHandle;
use tokio::time::error::Elapsed;

/// Between ticks.
const PAUSE: Duration = Duration::from_secs(1);

/// With less time than this left a timer of the runtime takes over, which is in time.
const NEAR: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Clock {
    ticks: u64,
    waiting: Slab<Waker>,
    ticking: Option<AbortHandle>,
}

thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
}

impl Clock {
    fn start(&mut self) {
        repeat(&mut self.ticking, PAUSE, || CLOCK.with_borrow_mut(Self::tick));
    }

    fn tick(&mut self) {
        self.ticks += 1;
        // Waking only has the runtime note whose turn it is.
        self.waiting.iter().for_each(|(_, waker)| waker.wake_by_ref());
    }
}

/// Has this thread's runtime do something after each pause, unless it does so already. Where a runtime has ended, the
/// next one begins anew.
pub(crate) fn repeat(repeating: &mut Option<AbortHandle>, pause: Duration, act: fn()) {
    if repeating.as_ref().is_none_or(AbortHandle::is_finished) {
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                act();
            }
        });
        *repeating = Some(task.abort_handle());
    }
}

/// Waits for the next tick, which comes within [`PAUSE`].
pub(crate) fn tick() -> Tick {
    Tick { waits: None, of_this_thread: PhantomData }
}

/// See [`tick`].
pub(crate) struct Tick {
    /// Its place among those who wait, and the last tick before.
    waits: Option<(usize, u64)>,
    of_this_thread: PhantomData<Rc<()>>,
}

impl Future for Tick {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (outcome, old) = CLOCK.with_borrow_mut(|clock| match self.waits {
            Some((_, last)) if clock.ticks > last => (Poll::Ready(()), None),
            Some((place, _)) => {
                let known = &mut clock.waiting[place];
                let moved = !known.will_wake(context.waker());
                (Poll::Pending, moved.then(|| std::mem::replace(known, context.waker().clone())))
            }
            None => {
                clock.start();
                self.waits = Some((clock.waiting.insert(context.waker().clone()), clock.ticks));
                (Poll::Pending, None)
            }
        });
        // A task may end with what woke it, and take another wait with it.
        drop(old);
        outcome
    }
}

impl Drop for Tick {
    fn drop(&mut self) {
        if let Some((place, _)) = self.waits {
            // Gone already where the thread is at its end.
            let _ = CLOCK.try_with(|clock| clock.borrow_mut().waiting.try_remove(place));
        }
    }
}

/// What comes of the work before the deadline; `now` is a moment just past, which need not be asked for again. A
/// deadline that is far off costs next to nothing.
pub(crate) async fn timeout_at<F>(
    mut now: Instant,
    deadline: Instant,
    work: &mut F,
) -> Result<F::Output, Elapsed>
where
    F: Future + Unpin,
{
    while deadline.saturating_duration_since(now) > NEAR {
        tokio::select! {
            biased;
            done = &mut *work => return Ok(done),
            () = tick() => now = Instant::now(),
        }
    }
    // In a box, as its room is not needed where the work is done by then.
    Box::pin(tokio::time::timeout_at(deadline.into(), work)).await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::oneshot;

    use super::*;

    fn waiting() -> usize {
        CLOCK.with_borrow(|clock| clock.waiting.len())
    }

    #[tokio::test]
    async fn all_who_wait_see_the_next_tick() {
        let began = Instant::now();
        tokio::join!(tick(), tick());
        assert!((PAUSE..PAUSE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(waiting(), 0);
    }

    #[tokio::test]
    async fn what_comes_before_the_deadline_is_given() {
        let now = Instant::now();
        let far = now + Duration::from_secs(30);
        assert_eq!(timeout_at(now, far, &mut ready(1)).await.unwrap(), 1);
        let (give, mut wait) = oneshot::channel();
        let late = async {
            tokio::time::sleep(PAUSE * 2).await;
            give.send(2).unwrap();
        };
        let (given, ()) = tokio::join!(timeout_at(now, far, &mut wait), late);
        assert_eq!(given.unwrap(), Ok(2));
        assert_eq!(waiting(), 0);
    }

    #[tokio::test]
    async fn a_deadline_is_kept_to_the_moment() {
        for after in [Duration::ZERO, Duration::from_millis(100), NEAR + Duration::from_millis(150)] {
            let began = Instant::now();
            assert!(timeout_at(began, began + after, &mut pending::<()>()).await.is_err());
            let late = began.elapsed().saturating_sub(after);
            assert!(began.elapsed() >= after && late < PAUSE / 2, "{after:?}: {:?}", began.elapsed());
        }
    }

    #[test]
    fn another_runtime_of_the_thread_has_a_clock_again() {
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(tick());
        }
    }
}
