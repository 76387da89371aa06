//! Requests of several clients that go to a worker in one message, and come back in one. Where many wait for a
//! worker to do next to nothing, waking each other is most of the work of all processes. Only scripts run so that
//! can reach nothing beyond their own values, since the next client's request is in their process already; the
//! worker judges that, and declines others. Such a script may also be run twice, so whoever gets no answer here
//! waits again, for a worker of its own.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use super::exchange::Lost;
use super::lease::Lease;
use super::reply::{FIRST_READ, length};
use super::shared::Shared;
use super::waiter::{Turn, Waiter};
use super::worker::Worker;
use super::{Answer, Begun, Body, Limits};
use crate::metrics::METRICS;
use crate::wire::{self, Reply, Request};

/// How many requests go together at most: a few, or a worker's share of all that wait, up to many.
pub(super) const FEW: usize = 8;
pub(super) const MANY: usize = 32;

/// Answers that take longer are not waited for: one of the scripts is not as quick as it was.
const PATIENCE: Duration = Duration::from_millis(100);

/// Has a worker answer them all, and returns it; it is ended where that takes too long.
pub(super) async fn run(mut lease: Lease, shared: Arc<Shared>, waiters: Vec<Waiter>) {
    let limits = &shared.start.limits;
    let mut waiters = VecDeque::from(waiters);
    waiters.retain(|waiter| !waiter.turn.is_closed());
    let asked = waiters.len();
    let mut declined = Vec::new();
    lease.begin();
    let exchange = async {
        let ids = send(&mut lease, limits, &waiters).await?;
        answer(&mut lease, limits, &ids, &mut waiters, &mut declined).await
    };
    let outcome = timeout(PATIENCE, exchange).await.unwrap_or(Err(Lost::Unwanted));
    if asked > 1 {
        METRICS.together(asked - declined.len() - waiters.len());
    }
    // One of them may be what the worker died of, or what took so long; which shows when each has one of its own.
    let again = declined.into_iter().chain(waiters).map(|waiter| Waiter { light: None, ..waiter });
    shared.wait_again(again.collect());
    match outcome {
        Ok(spoilt) => {
            lease.end();
            lease.give_back(spoilt);
        }
        Err(lost) => lease.lose(&lost),
    }
}

/// Sends all requests in one message; gives their ids.
async fn send(lease: &mut Lease, limits: &Limits, waiters: &VecDeque<Waiter>) -> Result<Vec<u64>, Lost> {
    let Some(worker) = lease.worker() else { return Err(Lost::BeforeItBegan) };
    let mut ids = Vec::with_capacity(waiters.len());
    let lights = || waiters.iter().filter_map(|waiter| waiter.light.as_ref());
    let mut message = Vec::with_capacity(lights().map(|light| wire::HEADER + light.body.len()).sum());
    for light in lights() {
        let id = worker.next_id();
        let request = Request {
            generation: light.generation,
            only_if_pure: true,
            ..Request::plain(light.task, id, light.body.len() as u64)
        };
        message.extend_from_slice(&request.encode());
        message.extend_from_slice(&light.body);
        ids.push(id);
    }
    let (wire, _) = worker.at_rest(limits)?;
    wire.write_all(&mut [io::IoSlice::new(&message)], &mut 0).await.map_err(|_| Lost::BeforeItBegan)?;
    Ok(ids)
}

/// Hands out the replies as they come; says whether the worker is spoilt.
async fn answer(
    lease: &mut Lease,
    limits: &Limits,
    ids: &[u64],
    waiters: &mut VecDeque<Waiter>,
    declined: &mut Vec<Waiter>,
) -> Result<bool, Lost> {
    let Some(worker) = lease.worker() else { return Err(Lost::Ended) };
    let mut received = Vec::with_capacity(FIRST_READ);
    let sent = Instant::now();
    // The worker sends its replies together, so nobody knows whose share of the time was how long.
    let mut ran = None;
    for id in ids {
        let (reply, body) = match receive(worker, &mut received, limits.max_response_bytes).await {
            Ok(Some((reply, body))) if reply.id == *id => (reply, body),
            Ok(_) => return Err(Lost::Garbled),
            Err(_) => return Err(Lost::Ended),
        };
        let Some(waiter) = waiters.pop_front() else { return Err(Lost::Unwanted) };
        // What is declined has not run.
        worker.pure += 1;
        if reply.impure {
            declined.push(waiter);
        } else {
            let begun = Begun { worker: worker.number, queued: sent - waiter.since };
            let share = || sent.elapsed() / u32::try_from(ids.len()).unwrap_or(u32::MAX);
            let ran = *ran.get_or_insert_with(share);
            let answer = Answer::of(&reply, Body::Whole(body), begun, ran);
            // The client may have left.
            let _ = waiter.turn.send(Turn::Over(answer));
        }
        if reply.last {
            return Ok(true);
        }
    }
    Ok(!received.is_empty())
}

/// One reply, or `None` when what came is no reply.
async fn receive(
    worker: &mut Worker,
    received: &mut Vec<u8>,
    max_response_bytes: usize,
) -> io::Result<Option<(Reply, Bytes)>> {
    let (wire, _) = worker.watched()?;
    loop {
        if let Some(header) = received.first_chunk::<{ wire::HEADER }>() {
            let Ok(reply) = Reply::decode(header) else { return Ok(None) };
            if reply.more {
                return Ok(None);
            }
            let Some(length) = length(&reply, max_response_bytes) else { return Ok(None) };
            let whole = wire::HEADER + length;
            if received.len() >= whole {
                let body = Bytes::copy_from_slice(&received[wire::HEADER..whole]);
                received.drain(..whole);
                return Ok(Some((reply, body)));
            }
            received.reserve(whole - received.len());
        }
        match wire.try_read(received) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wire.readable().await?,
            Err(error) => return Err(error),
        }
    }
}
