//! A worker that is given a body while that is still coming, so that it has read most of it by the time it is whole.
//! It is ended if the body does not come to its end.

use super::Pool;
use super::lease::Lease;
use super::sending::Sending;

pub struct Feed {
    pub(super) lease: Lease,
    pub(super) sending: Sending,
}

impl Pool {
    /// Begins to give a worker a body of so many bytes, for an evaluation with the functions of a generation. None, if
    /// no other worker would be left for who comes meanwhile.
    pub fn feed(&self, length: usize, generation: u64) -> Option<Feed> {
        let mut lease = {
            let mut state = self.shared.lock();
            if state.stopping || state.idle.len() < 2 {
                return None;
            }
            self.lease(&mut state, false)?
        };
        let sending = lease.send_early(length, generation)?;
        Some(Feed { lease, sending })
    }
}

impl Feed {
    /// Gives the worker as much as it takes now of what there is of the body, which is all that there was before
    /// and what has come since. False, if the worker is of no use any more.
    pub fn offer(&mut self, beginning: &[u8]) -> bool {
        let Some(worker) = self.lease.worker() else { return false };
        let offered = worker.watched().and_then(|(wire, _)| self.sending.offer(wire, beginning));
        if offered.is_err() {
            self.lease.lose(&self.sending.lost());
        }
        offered.is_ok()
    }
}
