//! Log lines, gathered and written by a thread of their own: a system call for each line would cost a
//! tiny request more than the request itself. A line reaches standard output within twenty milliseconds.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Lines gather this long, unless so many come that the buffer is full before.
const PAUSE: Duration = Duration::from_millis(20);

/// Beyond this, whoever logs waits for the writer: a log that cannot be written must not eat memory.
const FULL: usize = 1 << 20;

#[derive(Default)]
struct Buffer {
    lines: Mutex<Vec<u8>>,
    /// Somebody has written, or the writer has.
    changed: Condvar,
    /// Held while lines are on their way out, so that they leave in their order.
    output: Mutex<()>,
}

static BUFFER: OnceLock<&'static Buffer> = OnceLock::new();

/// A writer into the buffer; one line a write.
pub(super) struct Buffered(&'static Buffer);

impl Buffered {
    pub(super) fn start() -> Self {
        Self(BUFFER.get_or_init(|| {
            let buffer: &'static Buffer = Box::leak(Box::default());
            // Without the thread lines still leave, when the buffer is full and when the server stops.
            let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || buffer.run());
            buffer
        }))
    }
}

impl Write for Buffered {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(line);
        if lines.len() >= FULL {
            drop(lines);
            self.0.write_out();
        } else if lines.len() == line.len() {
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn run(&self) {
        loop {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            while lines.is_empty() {
                lines = self.changed.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
            drop(lines);
            std::thread::sleep(PAUSE);
            self.write_out();
        }
    }

    fn write_out(&self) {
        let _turn = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        let mut output = io::stdout().lock();
        // When nobody reads the log any more there is nobody to tell.
        let _ = output.write_all(&lines).and_then(|()| output.flush());
    }
}

/// Writes what has gathered; for the last moments of the process.
pub fn flush() {
    if let Some(buffer) = BUFFER.get() {
        buffer.write_out();
    }
}
