//! Which request a line of the log is about: every line that is logged while a request is worked on bears its id. A
//! span of tracing would say the same, for half a microsecond of a call that takes ten.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A request's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Id {
    /// Made for it.
    Made(Uuid),
    /// Brought along by a request that a trusted proxy passed on.
    Given(Box<str>),
}

impl std::fmt::Display for Id {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Made(id) => formatter.write_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            Self::Given(id) => formatter.write_str(id),
        }
    }
}

thread_local! {
    static SUBJECT: RefCell<Option<Id>> = const { RefCell::new(None) };
}

/// What lines of this thread are about now.
pub(super) fn current() -> Option<Id> {
    SUBJECT.with_borrow(Clone::clone)
}

/// Work whose lines are about the same request as those of now, wherever it is done.
pub fn still_about<F: Future>(work: F) -> About<F> {
    About { work, id: current() }
}

/// Work whose lines are about a request.
pub fn about<F: Future>(id: Option<Id>, work: F) -> About<F> {
    About { work, id }
}

/// The same for work that is done at once; without an id its lines are about no request, whatever is worked on.
pub fn about_now<T>(mut id: Option<Id>, work: impl FnOnce() -> T) -> T {
    let _within = Within::enter(&mut id);
    work()
}

pin_project! {
    /// See [`about`].
    pub struct About<F> {
        #[pin]
        work: F,
        id: Option<Id>,
    }
}

impl<F: Future> Future for About<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _within = Within::enter(this.id);
        this.work.poll(context)
    }
}

/// Until it is dropped, the place of an id holds what lines were about before.
struct Within<'a>(&'a mut Option<Id>);

impl<'a> Within<'a> {
    fn enter(id: &'a mut Option<Id>) -> Self {
        let mut this = Self(id);
        this.exchange();
        this
    }

    fn exchange(&mut self) {
        SUBJECT.with_borrow_mut(|subject| std::mem::swap(subject, self.0));
    }
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.exchange();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    fn now() -> Option<String> {
        current().map(|id| id.to_string())
    }

    fn named(id: &str) -> Option<Id> {
        Some(Id::Given(id.into()))
    }

    #[test]
    fn lines_are_about_what_is_worked_on() {
        let mut turns = 0;
        let work = about(
            named("outer"),
            poll_fn(|_| {
                assert_eq!(now().as_deref(), Some("outer"));
                about_now(named("inner"), || assert_eq!(now().as_deref(), Some("inner")));
                about_now(None, || assert_eq!(now(), None));
                turns += 1;
                if turns < 3 { Poll::Pending } else { Poll::Ready(still_about(std::future::ready(())).id) }
            }),
        );
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert!(work.as_mut().poll(&mut context).is_pending());
            assert_eq!(now(), None);
        }
        assert_eq!(work.as_mut().poll(&mut context), Poll::Ready(named("outer")));
        assert_eq!(now(), None);
    }

    #[test]
    fn a_panic_ends_it_too() {
        let panicked =
            std::panic::catch_unwind(|| about_now(Some(Id::Made(Uuid::nil())), || panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(now(), None);
    }

    #[test]
    fn an_id_is_written_as_it_is_read() {
        assert_eq!(Id::Made(Uuid::from_u128(0xab)).to_string(), "00000000-0000-0000-0000-0000000000ab");
        assert_eq!(Id::Given("4-a".into()).to_string(), "4-a");
    }
}
