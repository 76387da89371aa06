//! What is to be logged, gathered and written by a thread of its own: a system call for each line would cost a
//! tiny request more than the request itself. A line reaches standard output within a few milliseconds.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answered::Answered;
use crate::priority;

/// Lines gather this long.
const PAUSE: Duration = Duration::from_millis(5);

/// Beyond this, lines are dropped and counted: a log that nobody reads must neither eat memory nor stop
/// the server. In words, which may wait to be written at the same time, it is up to four times as long.
const FULL: usize = 2 << 20;

/// How long the last lines may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is kept until the log's thread takes it, one behind the other in postcard's form.
#[derive(Serialize, Deserialize)]
enum Entry<'a> {
    Line(&'a str),
    #[serde(borrow)]
    Answered(Answered<'a>),
}

#[derive(Default)]
struct Buffer {
    lines: Mutex<Lines>,
    /// Somebody has written while the log's thread waited for that, or that thread has.
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    entries: Vec<u8>,
    dropped: usize,
    /// Whether some are on their way out.
    leaving: bool,
    /// Whether the log's thread waits to be told of the next one; it looks by itself while many come.
    waits: bool,
}

static BUFFER: OnceLock<&'static Buffer> = OnceLock::new();

thread_local! {
    /// What the log's own thread is about to write; no other thread has any.
    static TEXT: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// A writer into the buffer; one line a write.
pub(super) struct Buffered(&'static Buffer);

impl Buffered {
    pub(super) fn start() -> Self {
        Self(BUFFER.get_or_init(|| {
            let buffer: &'static Buffer = Box::leak(Box::default());
            // A process that can start no thread any more has nothing to log.
            let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || buffer.run());
            buffer
        }))
    }
}

impl Write for Buffered {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !append(line) {
            self.0.push(&Entry::Line(&String::from_utf8_lossy(line)));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends to the text of this thread, if it is the log's own.
fn append(line: &[u8]) -> bool {
    TEXT.with_borrow_mut(|text| text.as_mut().map(|text| text.extend_from_slice(line))).is_some()
}

/// Has a line made of it in a moment.
pub(super) fn note(answered: Answered<'_>) {
    if let Some(buffer) = BUFFER.get() {
        buffer.push(&Entry::Answered(answered));
    }
}

impl Buffer {
    fn push(&self, entry: &Entry<'_>) {
        let waits = {
            let mut lines = self.lock();
            if lines.entries.len() > FULL {
                lines.dropped += 1;
                return;
            }
            let entries = std::mem::take(&mut lines.entries);
            match postcard::to_extend(entry, entries) {
                Ok(entries) => lines.entries = entries,
                // Memory takes whatever comes; but should it ever not, it is not silent.
                Err(_) => lines.dropped += 1,
            }
            std::mem::take(&mut lines.waits)
        };
        if waits {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work; nobody else writes.
    fn run(&self) {
        // Nobody waits for a line.
        priority::interrupt_nobody();
        TEXT.set(Some(Vec::new()));
        let mut entries = Vec::new();
        loop {
            let mut lines = self.lock();
            while lines.entries.is_empty() {
                lines.waits = true;
                lines = self.changed.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
            drop(lines);
            std::thread::sleep(PAUSE);
            let mut lines = self.lock();
            std::mem::swap(&mut entries, &mut lines.entries);
            let dropped = std::mem::take(&mut lines.dropped);
            lines.leaving = true;
            drop(lines);
            put_into_words(&entries);
            entries.clear();
            if dropped > 0 {
                tracing::error!("{dropped} log lines were lost: the log is not read fast enough");
            }
            let text = TEXT.replace(Some(Vec::new())).unwrap_or_default();
            let mut output = io::stdout().lock();
            // When nobody reads the log any more there is nobody to tell.
            let _ = output.write_all(&text).and_then(|()| output.flush());
            drop(output);
            self.lock().leaving = false;
            self.changed.notify_all();
        }
    }
}

/// Appends the lines of all entries to the text of this thread.
fn put_into_words(mut entries: &[u8]) {
    while let Ok((entry, rest)) = postcard::take_from_bytes(entries) {
        entries = rest;
        match entry {
            Entry::Line(line) => {
                append(line.as_bytes());
            }
            Entry::Answered(answered) => answered.log(),
        }
    }
}

/// Waits until what has gathered is written, within reason; for the last moments of the process.
pub fn flush() {
    let Some(buffer) = BUFFER.get() else { return };
    let waiting = |lines: &mut Lines| !lines.entries.is_empty() || lines.leaving;
    // A writer that is stuck must not keep the process from ending.
    drop(buffer.changed.wait_timeout_while(buffer.lock(), LAST_WORDS, waiting));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::super::logfmt::Logfmt;
    use super::super::request::{Rows, Work};
    use super::super::subject::Id;
    use super::*;

    fn answered() -> Answered<'static> {
        let rows = Some(Rows { taken: 3, given: 1 });
        Answered {
            id: Id::Given("4-a".into()),
            at: Duration::from_secs(1),
            method: "POST",
            path: "/evaluate\u{1b}[31m",
            status: 200,
            user: Some("ada"),
            client: None,
            tableau_user: Some("Zo\u{eb}\u{85}"),
            caller: Some([203, 0, 113, 9].into()),
            duration: Duration::from_micros(1500),
            work: Some(Work { worker: 7, queued: Duration::from_micros(250), rows }),
        }
    }

    fn buffer() -> &'static Buffer {
        Box::leak(Box::default())
    }

    #[test]
    fn lines_come_in_the_order_of_what_they_tell() {
        let buffer = buffer();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Logfmt { timestamps: true })
            .with_writer(move || Buffered(buffer));
        let text = tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::warn!("before");
            buffer.push(&Entry::Answered(answered()));
            tracing::warn!("after");
            let entries = std::mem::take(&mut buffer.lock().entries);
            TEXT.set(Some(Vec::new()));
            put_into_words(&entries);
            String::from_utf8(TEXT.take().unwrap()).unwrap()
        });
        assert!(buffer.lock().entries.is_empty());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "ts=1970-01-01T00:00:01.000000Z level=info message=answered method=POST path=/evaluate\u{fffd}[31m status=200 \
             user=ada tableau_user=Zo\u{eb}\u{fffd} caller=203.0.113.9 duration_ms=1.5 queue_ms=0.25 worker=7 rows_in=3 \
             rows_out=1 request_id=4-a"
        );
        let ends = [lines[0], lines[2]].map(|line| line.split_once(' ').unwrap().1);
        assert_eq!(ends, ["level=warn message=before", "level=warn message=after"]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn what_nobody_reads_takes_no_memory_without_end() {
        let buffer = buffer();
        for _ in 0..FULL / 50 {
            buffer.push(&Entry::Answered(answered()));
        }
        let lines = buffer.lock();
        assert!(lines.dropped > 0 && lines.entries.len() < FULL + 1000, "{}", lines.entries.len());
    }
}
