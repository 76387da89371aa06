//! The log of sign-ins that failed: the name that was tried, never what was tried as its password.
//! Somebody who guesses by the thousand gets a few lines a minute and a count.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::UserName;

const WINDOW: Duration = Duration::from_secs(60);
const LINES: u32 = 10;
/// Names come from strangers.
const LONGEST_NAME: usize = 64;

#[derive(Default)]
pub(super) struct Refused(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    silent: u64,
}

impl Refused {
    /// `None` for a header that holds no name and password.
    pub(super) fn log(&self, name: Option<&UserName>) {
        let Some(unlogged) = self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now())
        else {
            return;
        };
        if unlogged > 0 {
            tracing::warn!(count = unlogged, "more sign-ins failed than were logged");
        }
        match name {
            // Debug form: a name may hold line breaks and terminal codes.
            Some(name) => {
                let name: String = name.as_str().chars().take(LONGEST_NAME).collect();
                tracing::warn!(user = ?name, "sign-in failed: unknown user or wrong password");
            }
            None => tracing::warn!(
                "sign-in failed: the Authorization header is not Basic with a name and a password"
            ),
        }
    }
}

impl Window {
    /// How many were left out since the last line, or `None` when this one is left out too.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            self.began = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES {
            self.silent += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let (mut window, start) = (Window::default(), Instant::now());
        let written = (0..1000).filter(|_| window.admit(start).is_some()).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(window.admit(start + WINDOW), Some(1000 - u64::from(LINES)));
        assert_eq!(window.admit(start + WINDOW), Some(0));
    }
}
