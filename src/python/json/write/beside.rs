//! Long columns are written by two threads: the one that may call Python, and one beside it that only reads memory which
//! nobody changes meanwhile, since the first one lets no Python code run. They take turns in pieces, so that no more text
//! is there at once than a few of them.
#![expect(unsafe_code, reason = "memory is shared with a thread that may not call Python")]

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use super::{Outcome, SAMPLE, WriteError, Writer};

/// Text of one piece: much more work than handing it over, and still in the processor's cache when it goes on.
const PIECE: usize = 112 << 10;

/// Room for it, as the sample only says about how long it is.
const ROOM: usize = PIECE + PIECE / 8;

/// A piece that comes to more is not for this: its elements are not as long as the sample's.
pub(super) const MOST: usize = 4 * PIECE;

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
    /// Writes the elements of a long column behind the [`SAMPLE`], which begins at `start`, up to the first one that is
    /// not for `elements`; gives its number.
    pub(super) fn beside(
        &mut self,
        start: usize,
        count: usize,
        elements: &Elements<'_>,
    ) -> Result<usize, WriteError> {
        // A part may have gone meanwhile, and with it what would tell.
        let each = self.out.len().saturating_sub(start).div_ceil(SAMPLE);
        let is_long = each.saturating_mul(count - SAMPLE) >= WORTH_IT;
        if !is_long || !has_two_processors() || !elements(SAMPLE..SAMPLE + 1, &mut Vec::new()) {
            return Ok(SAMPLE);
        }
        let pieces = Pieces { count, length: (PIECE / each).max(1), next: AtomicUsize::new(0) };
        std::thread::scope(|scope| {
            let (done, ready) = sync_channel(AHEAD);
            let (used, spare) = channel();
            for _ in 0..AHEAD + 2 {
                let _ = used.send(Vec::with_capacity(ROOM));
            }
            let other = std::thread::Builder::new().name("beside".to_owned());
            let pieces = &pieces;
            if other.spawn_scoped(scope, move || pieces.write_some(elements, &spare, &done)).is_err() {
                return Ok(SAMPLE);
            }
            self.take_turns(pieces, elements, &ready, &mut |text| drop(used.send(text)))
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
            match mine {
                None => return Ok(pieces.count),
                Some((_, range)) if !fit => return Ok(range.start),
                Some(_) => self.append(&mut own)?,
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

fn has_two_processors() -> bool {
    static NUMBER: OnceLock<u32> = OnceLock::new();
    let count = || rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count());
    *NUMBER.get_or_init(count) > 1
}
