//! The thread that measures workers several times a second, and ends those whose script takes more than
//! it may. Limits that the kernel enforces on a process do not reach its children; this does.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::watch::{Allowance, Watch};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// All workers under observation, each as long as somebody else holds it.
#[derive(Default)]
pub(super) struct Warden {
    watched: Mutex<Vec<Weak<Watch>>>,
}

impl Warden {
    pub(super) fn start(self: &Arc<Self>, allowance: Allowance) -> std::io::Result<()> {
        let warden = Arc::downgrade(self);
        std::thread::Builder::new().name("warden".to_owned()).spawn(move || {
            while let Some(warden) = warden.upgrade() {
                for watch in warden.present() {
                    watch.look(&allowance);
                }
                drop(warden);
                std::thread::sleep(PAUSE);
            }
        })?;
        Ok(())
    }

    /// Begins to observe a process that has not met a script yet, and the folder for its files.
    pub(super) fn watch(&self, pid: i32, folder: PathBuf) -> Option<Arc<Watch>> {
        let watch = Arc::new(Watch::new(pid, folder)?);
        self.lock().push(Arc::downgrade(&watch));
        Some(watch)
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
