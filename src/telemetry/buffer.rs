//! Log lines, gathered and written by a thread of their own: a system call for each line would cost a
//! tiny request more than the request itself. A line reaches standard output within twenty milliseconds.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Lines gather this long, unless so many come that the buffer is full before.
const PAUSE: Duration = Duration::from_millis(20);

/// Beyond this, lines are dropped and counted: a log that nobody reads must neither eat memory nor stop
/// the server.
const FULL: usize = 4 << 20;

/// How long the last lines may take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Buffer {
    lines: Mutex<Lines>,
    /// Somebody has written, or the writer has.
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    dropped: usize,
    /// Whether some are on their way out.
    leaving: bool,
}

static BUFFER: OnceLock<&'static Buffer> = OnceLock::new();

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
        let mut lines = self.0.lock();
        if lines.text.len() + line.len() > FULL {
            lines.dropped += 1;
            return Ok(line.len());
        }
        if lines.text.is_empty() {
            self.0.changed.notify_all();
        }
        lines.text.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work; nobody else writes.
    fn run(&self) {
        let mut text = Vec::new();
        loop {
            let mut lines = self.lock();
            while lines.text.is_empty() {
                lines = self.changed.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
            drop(lines);
            std::thread::sleep(PAUSE);
            let mut lines = self.lock();
            std::mem::swap(&mut text, &mut lines.text);
            let dropped = std::mem::take(&mut lines.dropped);
            lines.leaving = true;
            drop(lines);
            if dropped > 0 {
                text.extend_from_slice(format!("level=error message=\"{dropped} log lines were lost: the log is not read fast enough\"\n").as_bytes());
            }
            let mut output = io::stdout().lock();
            // When nobody reads the log any more there is nobody to tell.
            let _ = output.write_all(&text).and_then(|()| output.flush());
            text.clear();
            self.lock().leaving = false;
            self.changed.notify_all();
        }
    }
}

/// Waits until what has gathered is written, within reason; for the last moments of the process.
pub fn flush() {
    let Some(buffer) = BUFFER.get() else { return };
    let waiting = |lines: &mut Lines| !lines.text.is_empty() || lines.leaving;
    // A writer that is stuck must not keep the process from ending.
    drop(buffer.changed.wait_timeout_while(buffer.lock(), LAST_WORDS, waiting));
}
