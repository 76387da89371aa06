//! Waiting for the next request awake. A process that sleeps takes several times as long to wake as a tiny
//! call takes to answer, and Tableau sends such calls one right after the other. Whoever else wants the
//! processor gets it meanwhile, and where nothing comes in time it is tried less and less often.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::Timespec;

use super::is_readable;

/// In this time a client on the same machine has sent its next request.
const MOMENT: Duration = Duration::from_micros(60);

/// A moment that took so long was somebody else's, who computes on the same processor. There a process that sleeps
/// is even quicker: the kernel lets one that wakes go first, but not one that yields.
const CROWDED: Duration = Duration::from_micros(500);

/// After so many moments in vain it is tried no less often: once in a thousand requests.
const MOST_VAIN: u32 = 10;

const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

#[derive(Default)]
pub(super) struct Eager {
    /// Moments in which nothing came, since something did.
    vain: u32,
    /// So many requests are slept for before the next try.
    pause: u32,
}

impl Eager {
    /// Whether something comes within a moment; false as well where that is not tried.
    pub(super) fn comes_soon(&mut self, stream: &UnixStream) -> io::Result<bool> {
        if let Some(pause) = self.pause.checked_sub(1) {
            self.pause = pause;
            return Ok(false);
        }
        let began = Instant::now();
        let mut comes = false;
        while !comes && began.elapsed() < MOMENT {
            std::thread::yield_now();
            comes = is_readable(stream, Some(&NOW))?;
        }
        if began.elapsed() > CROWDED {
            self.vain = MOST_VAIN;
        } else if comes {
            self.vain = 0;
            return Ok(true);
        }
        self.pause = (1 << self.vain) - 1;
        self.vain = (self.vain + 1).min(MOST_VAIN);
        Ok(comes)
    }
}
