//! Requests of several clients that go to a worker in one message. Where many wait for a worker to do next to
//! nothing, waking each other is most of the work of all processes: one message and one wake-up for several of
//! them is cheaper. Only scripts run so that can reach nothing beyond their own values, since the next client's
//! request is in their process already; the worker judges that, and declines others. Such a script may also be
//! run twice, so whoever gets no answer here simply waits again.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{sleep_until, timeout};

use super::exchange::{FIRST_READ, Lost, is_silent, length, unguessable};
use super::lease::Lease;
use super::output::Printed;
use super::process::Worker;
use super::waiting::{Turn, Waiter};
use super::{Answer, Begun, Body, Shared, Trouble};
use crate::wire::{self, Reply, Request};

/// How many requests go together at most.
pub(super) const MOST: usize = 8;

/// When one takes longer, the others do not wait for it.
const PATIENCE: Duration = Duration::from_millis(10);

/// Who waits gives the batch so long to say that the time is over.
pub(super) const GRACE: Duration = Duration::from_millis(100);

struct Batch {
    lease: Lease,
    shared: Arc<Shared>,
    riders: VecDeque<Rider>,
    /// Those that the worker would not run among others.
    declined: Vec<Waiter>,
    received: Vec<u8>,
}

/// A request under way.
struct Rider {
    id: u64,
    deadline: Instant,
    /// Nobody, once it waits again for another worker.
    waiter: Option<Waiter>,
}

/// Has a worker answer them, and returns it. Whoever gets no answer waits again.
pub(super) async fn run(lease: Lease, shared: Arc<Shared>, mut waiters: Vec<Waiter>) {
    waiters.retain(|waiter| !waiter.turn.is_closed());
    let received = Vec::with_capacity(FIRST_READ);
    let mut batch = Batch { lease, shared, riders: VecDeque::new(), declined: Vec::new(), received };
    batch.lease.begin();
    let outcome = match batch.send(waiters).await {
        Ok(()) => batch.answer().await,
        Err(lost) => Err(lost),
    };
    let Batch { mut lease, shared, riders, mut declined, received } = batch;
    declined.extend(riders.into_iter().filter_map(|rider| rider.waiter));
    shared.wait_again(declined);
    match outcome {
        Ok(spoilt) => {
            lease.end();
            lease.give_back(spoilt || !received.is_empty());
        }
        Err(lost) => lease.lose(&lost),
    }
}

impl Batch {
    /// Sends all requests in one message.
    async fn send(&mut self, waiters: Vec<Waiter>) -> Result<(), Lost> {
        let Some(worker) = self.lease.worker() else { return Err(Lost::BeforeItBegan) };
        let mut message = Vec::new();
        for waiter in waiters {
            let Some(light) = &waiter.light else { continue };
            worker.served += 1;
            worker.last_id = unguessable(worker.number, worker.served);
            let request = Request {
                generation: light.generation,
                only_if_pure: true,
                ..Request::plain(light.task, worker.last_id, light.body.len() as u64)
            };
            message.extend_from_slice(&request.encode());
            message.extend_from_slice(&light.body);
            let deadline = light.deadline;
            self.riders.push_back(Rider { id: worker.last_id, deadline, waiter: Some(waiter) });
        }
        let number = worker.number;
        let (wire, output) = worker.watched().map_err(|_| Lost::BeforeItBegan)?;
        Printed::left_behind(number, self.shared.start.limits.script_output_bytes).drain(output);
        if !is_silent(wire) {
            return Err(Lost::BeforeItBegan);
        }
        wire.write_all(&mut [io::IoSlice::new(&message)]).await.map_err(|_| Lost::BeforeItBegan)
    }

    /// Hands out the replies as they come; says whether the worker is spoilt.
    async fn answer(&mut self) -> Result<bool, Lost> {
        let mut began = Instant::now();
        while let Some(rider) = self.riders.front() {
            let queued = rider.waiter.as_ref().map_or(Duration::ZERO, |waiter| began - waiter.since);
            let begun = Begun { worker: self.lease.number(), queued };
            let (reply, body) = self.next(begun).await?;
            let now = Instant::now();
            let waiter = self.riders.pop_front().and_then(|rider| rider.waiter);
            match waiter {
                Some(waiter) if reply.declined => self.declined.push(Waiter { light: None, ..waiter }),
                Some(waiter) => {
                    let answer = Answer {
                        status: reply.status,
                        body: Body::Whole(body),
                        rows_in: reply.rows_in,
                        rows_out: reply.rows_out,
                        fits: reply.fits,
                        pure: reply.pure,
                        worker: begun.worker,
                        queued,
                        ran: now - began,
                        output: None,
                    };
                    // The client may have left.
                    let _ = waiter.turn.send(Turn::Over(Ok(answer)));
                }
                None => {}
            }
            if reply.last {
                return Ok(true);
            }
            began = now;
        }
        Ok(false)
    }

    /// The reply to the first request. The others wait again if it does not come soon.
    async fn next(&mut self, begun: Begun) -> Result<(Reply, Bytes), Lost> {
        let limit = self.shared.start.limits.max_response_bytes;
        let Self { lease, riders, received, .. } = self;
        let Some(worker) = lease.worker() else { return Err(Lost::Ended) };
        let outcome = match timeout(PATIENCE, receive(worker, received, limit)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let others = riders.iter_mut().skip(1).filter_map(|rider| rider.waiter.take()).collect();
                self.shared.wait_again(others);
                let Some(rider) = riders.front_mut() else { return Err(Lost::Ended) };
                tokio::select! {
                    biased;
                    outcome = receive(worker, received, limit) => outcome,
                    () = has_left(&mut rider.waiter) => return Err(Lost::Unwanted),
                    () = sleep_until(rider.deadline.into()) => {
                        if let Some(waiter) = rider.waiter.take() {
                            let _ = waiter.turn.send(Turn::Over(Err(Trouble::TimedOut { begun })));
                        }
                        return Err(Lost::Unwanted);
                    }
                }
            }
        };
        let Some(rider) = riders.front_mut() else { return Err(Lost::Ended) };
        let lost = match outcome {
            Ok(Some((reply, body))) if reply.id == rider.id => return Ok((reply, body)),
            Ok(_) => Lost::Garbled,
            Err(_) => Lost::Ended,
        };
        // It may be what the worker died of, which shows when it has one of its own.
        if let Some(waiter) = &mut rider.waiter {
            waiter.light = None;
        }
        Err(lost)
    }
}

/// Comes to an end when the client leaves.
async fn has_left(waiter: &mut Option<Waiter>) {
    match waiter {
        Some(waiter) => waiter.turn.closed().await,
        None => std::future::pending().await,
    }
}

/// One reply, or `None` when what came is no reply. Nothing is lost where this is dropped while it waits.
async fn receive(
    worker: &mut Worker,
    received: &mut Vec<u8>,
    max_response_bytes: usize,
) -> io::Result<Option<(Reply, Bytes)>> {
    let (wire, _) = worker.watched()?;
    loop {
        if let Some(header) = received.first_chunk::<{ wire::HEADER }>() {
            let Ok(reply) = Reply::decode(header) else { return Ok(None) };
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
