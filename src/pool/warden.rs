//! The thread that looks after workers from outside: it measures busy ones several times a second and
//! ends those whose script takes more than it may, hears at once when one has ended, and notices those
//! that were stopped or have grown. Limits that the kernel enforces on a process do not reach its
//! children; this does.

mod allowance;
mod watch;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::starter::Order;
pub use allowance::Allowance;
pub(super) use watch::Watch;

/// Between two looks at busy workers.
const PAUSE: Duration = Duration::from_millis(100);

/// Idle workers are looked at once in so many times.
const IDLE_TURN: u32 = 5;

/// All workers under observation.
pub(super) struct Warden {
    watched: Mutex<Vec<Weak<Watch>>>,
    /// Tells when a watched process ends.
    ends: OwnedFd,
    allowance: Allowance,
}

impl Warden {
    /// Begins to look; `orders` hear of workers that are of no use any more.
    pub(super) fn start(allowance: Allowance, orders: Sender<Order>) -> io::Result<Arc<Self>> {
        let ends = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let warden = Arc::new(Self { watched: Mutex::default(), ends, allowance });
        let weak = Arc::downgrade(&warden);
        std::thread::Builder::new().name("warden".to_owned()).spawn(move || {
            let mut next = Instant::now() + PAUSE;
            let mut turn = 0;
            while let Some(warden) = weak.upgrade() {
                for number in warden.wait(next) {
                    warden.has_ended(number, &orders);
                }
                if Instant::now() >= next {
                    turn += 1;
                    warden.look(turn % IDLE_TURN == 0, &orders);
                    if turn % IDLE_TURN == 0 {
                        crate::heap::give_back();
                    }
                    next = Instant::now() + PAUSE;
                }
            }
        })?;
        Ok(warden)
    }

    /// Begins to observe a process that has not met a script yet.
    /// `room` tells how much memory bodies that it reads have taken.
    pub(super) fn watch(
        &self,
        number: u64,
        pid: i32,
        folder: &Path,
        room: Option<Arc<AtomicUsize>>,
    ) -> io::Result<Arc<Watch>> {
        let watch = Arc::new(Watch::new(number, pid, folder, room)?);
        self.lock().push(Arc::downgrade(&watch));
        let once = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&self.ends, watch.pidfd(), epoll::EventData::new_u64(number), once)?;
        Ok(watch)
    }

    /// The numbers of workers that end before the next look.
    fn wait(&self, next: Instant) -> Vec<u64> {
        let left = next.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        let mut events = Vec::with_capacity(64);
        match epoll::wait(self.ends.as_fd(), rustix::buffer::spare_capacity(&mut events), Some(&left)) {
            Ok(_) | Err(Errno::INTR) => events.iter().map(|event| event.data.u64()).collect(),
            Err(_) => {
                std::thread::sleep(PAUSE);
                Vec::new()
            }
        }
    }

    fn has_ended(&self, number: u64, orders: &Sender<Order>) {
        if let Some(watch) = self.present().into_iter().find(|watch| watch.number == number) {
            watch.set_ended();
            let _ = orders.send(Order::Ended { number });
        }
    }

    fn look(&self, at_idle_too: bool, orders: &Sender<Order>) {
        let mut busy = Vec::new();
        for watch in self.present() {
            if watch.is_busy() {
                busy.extend(watch.look(&self.allowance).map(|bytes| (bytes, watch)));
            } else if at_idle_too && watch.is_worn(&self.allowance) {
                let _ = orders.send(Order::Retire { number: watch.number });
            }
        }
        if let Some((bytes, watch)) = busy.into_iter().max_by_key(|(bytes, _)| *bytes)
            && bytes > self.allowance.least_bytes
            && crate::memory::available() < self.allowance.spare_bytes
        {
            watch.end_for_all(bytes);
        }
    }

    fn present(&self) -> Vec<Arc<Watch>> {
        let mut watched = self.lock();
        watched.retain(|watch| watch.strong_count() > 0);
        watched.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Watch>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
