//! Long columns are written by two threads: the one that may call Python, and one beside it that only reads memory which
//! nobody changes meanwhile, since the first one lets no Python code run. They take turns in pieces, so that no more text
//! is there at once than a few of them.
#![expect(unsafe_code, reason = "memory is shared with a thread that may not call Python")]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use super::{Outcome, SAMPLE, WriteError, Writer};

/// Text of a piece: much more work than handing it over, and still in the processor's cache when it goes on.
const TEXT: usize = 112 << 10;

/// Room for it, as the sample only says about how long it is.
const ROOM: usize = TEXT + TEXT / 8;

/// A piece that comes to more, or to less, is not for this: its elements are not as long as the sample's.
pub(super) const MOST: usize = 4 * TEXT;
const LEAST: usize = TEXT / 8;

/// A column of less text is written as soon by one thread.
const WORTH_IT: usize = 1 << 20;

/// Pieces that may be ready before their turn.
const AHEAD: usize = 3;

/// Memory that any thread may read as long as the column is being written.
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(*const T);

// SAFETY: whoever makes one says so.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// # Safety
    /// Nobody may write to the memory as long as this is there.
    pub(super) unsafe fn new(start: *const T) -> Self {
        Self(start)
    }

    pub(super) fn start(&self) -> *const T {
        self.0
    }
}

/// Writes some elements of a column, each behind a comma. False, if one of them is not for it.
pub(super) type Elements<'a> = dyn Fn(Range<usize>, &mut Vec<u8>) -> bool + Sync + 'a;

impl Writer<'_, '_> {
    /// Writes the elements of a long column behind the [`SAMPLE`], which began at `start`, up to the first one that is
    /// not for `elements`; gives its number.
    pub(super) fn beside(
        &mut self,
        start: usize,
        count: usize,
        elements: &Elements<'_>,
    ) -> Result<usize, WriteError> {
        let each = (self.written() - start).div_ceil(SAMPLE);
        let is_long = each.saturating_mul(count - SAMPLE) >= WORTH_IT;
        // Without a GIL somebody may change the column.
        let may = self.parts.as_ref().is_some_and(|parts| parts.beside) && cfg!(not(Py_GIL_DISABLED));
        if !is_long || !may || !elements(SAMPLE..SAMPLE + 1, &mut Vec::new()) {
            return Ok(SAMPLE);
        }
        // What is written to now may have room for much more, and is kept for that.
        let mut first = Vec::with_capacity(ROOM.max(self.out.len()));
        first.extend_from_slice(self.out);
        let kept = std::mem::replace(self.out, first);
        let pieces = Pieces { count, length: (TEXT / each).max(1), next: AtomicUsize::new(0) };
        let reached = self.with_two_threads(&pieces, elements);
        let last = std::mem::replace(self.out, kept);
        self.out.clear();
        self.out.extend_from_slice(&last);
        reached
    }

    fn with_two_threads(&mut self, pieces: &Pieces, elements: &Elements<'_>) -> Result<usize, WriteError> {
        std::thread::scope(|scope| {
            let (done, ready) = sync_channel(AHEAD);
            let (used, spare) = channel();
            for _ in 0..AHEAD + 2 {
                let _ = used.send(Vec::with_capacity(ROOM));
            }
            let other = std::thread::Builder::new().name("beside".to_owned());
            let work = move || pieces.write_some(elements, &spare, &done);
            let Ok(other) = without_signals(|| other.spawn_scoped(scope, work)) else { return Ok(SAMPLE) };
            let reached = self.take_turns(pieces, elements, &ready, &mut |text| drop(used.send(text)));
            drop((ready, used));
            // A script may fork as soon as it runs again, and then there must not be a second thread.
            let _ = other.join();
            reached
        })
    }

    fn take_turns(
        &mut self,
        pieces: &Pieces,
        elements: &Elements<'_>,
        ready: &Receiver<Option<Vec<u8>>>,
        give_back: &mut dyn FnMut(Vec<u8>),
    ) -> Result<usize, WriteError> {
        let mut own = Vec::with_capacity(ROOM);
        let mut turn = 0;
        loop {
            let mine = pieces.claim();
            own.clear();
            let fit = mine.clone().is_none_or(|(_, range)| elements(range, &mut own));
            let number = mine.as_ref().map_or(pieces.number(), |(number, _)| *number);
            // Those before it are the other thread's.
            while turn < number {
                let Ok(Some(mut text)) = ready.recv() else { return Ok(pieces.range(turn).start) };
                self.append(&mut text)?;
                give_back(text);
                turn += 1;
            }
            let Some((_, range)) = mine else { return Ok(pieces.count) };
            if !fit {
                return Ok(range.start);
            }
            let is_short = own.len() < LEAST;
            self.append(&mut own)?;
            if is_short {
                return Ok(range.end);
            }
            turn += 1;
        }
    }

    fn append(&mut self, text: &mut Vec<u8>) -> Outcome {
        if self.out.is_empty() {
            std::mem::swap(self.out, text);
        } else {
            self.out.extend_from_slice(text);
        }
        self.check_limit()
    }
}

/// The elements behind the sample, so many at a time.
struct Pieces {
    /// Elements of the column.
    count: usize,
    length: usize,
    next: AtomicUsize,
}

impl Pieces {
    fn number(&self) -> usize {
        (self.count - SAMPLE).div_ceil(self.length)
    }

    fn range(&self, piece: usize) -> Range<usize> {
        let start = SAMPLE + piece * self.length;
        start..(start + self.length).min(self.count)
    }

    /// A piece that nobody has, if there is one.
    fn claim(&self) -> Option<(usize, Range<usize>)> {
        let piece = self.next.fetch_add(1, Ordering::Relaxed);
        (piece < self.number()).then(|| (piece, self.range(piece)))
    }

    /// The other thread's part. It ends with the first element that it cannot write, or when nobody wants more.
    fn write_some(
        &self,
        elements: &Elements<'_>,
        spare: &Receiver<Vec<u8>>,
        done: &SyncSender<Option<Vec<u8>>>,
    ) {
        while let Ok(mut text) = spare.recv()
            && let Some((_, range)) = self.claim()
        {
            text.clear();
            let fit = elements(range, &mut text);
            if done.send(fit.then_some(text)).is_err() || !fit {
                return;
            }
        }
    }
}

/// Starts a thread that no signal interrupts: their handlers are for the thread that may call Python, and Rust's own threads
/// have too little room for them.
fn without_signals<T>(start: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are made before they are read, and the thread's own is put back.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let started = start();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        started
    }
}
