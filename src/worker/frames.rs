//! Requests as they come and replies as they go; where several come at once, they go so, too.

use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;

use anyhow::bail;

use super::is_readable;
use crate::large_pages;
use crate::python::Outcome;
use crate::wire::{self, Reply, Request, Task};

/// What a tiny request needs in one read: header, script and data.
pub(super) const FIRST_READ: usize = 64 << 10;

/// Replies that go out together, in bytes.
const MOST_HELD: usize = 64 << 10;

/// A body that is longer than this is parsed while it comes.
const LONG: usize = 1 << 20;

/// Reads one frame, header included, into `buffer`, which begins with what came `ahead`; and leaves there what
/// has come of the next one. It is whole, unless it is to be parsed while it comes; of a body in memory there are the
/// first numbers, if any. `None` when the front has gone.
pub(super) fn read_frame(
    stream: &UnixStream,
    buffer: &mut Vec<u8>,
    ahead: &mut Vec<u8>,
) -> anyhow::Result<Option<Request>> {
    buffer.clear();
    buffer.append(ahead);
    buffer.reserve(FIRST_READ - buffer.len().min(FIRST_READ));
    // One read takes a whole tiny request.
    if !read_until(stream, buffer, wire::HEADER)? {
        return Ok(None);
    }
    let mut header = [0; wire::HEADER];
    header.copy_from_slice(&buffer[..wire::HEADER]);
    let request = Request::decode(&header)?;
    if request.in_memory {
        return Ok(Some(request));
    }
    let whole = u64::from(request.name_length)
        .checked_add(request.body_length)
        .and_then(|length| usize::try_from(length).ok())
        .and_then(|length| length.checked_add(wire::HEADER))
        .ok_or(wire::BrokenWire)?;
    if buffer.len() < whole {
        buffer.reserve_exact(whole - buffer.len());
        large_pages::prefer(buffer.spare_capacity_mut());
        if request.task != Task::Evaluate || request.only_if_pure || whole < LONG {
            read_until(stream, buffer, whole)?;
        }
    }
    if buffer.len() > whole {
        // Where a script may do anything, the front never sends the next request before it has the answer.
        if !request.only_if_pure {
            bail!(wire::BrokenWire);
        }
        ahead.extend(buffer.drain(whole..));
    }
    Ok(Some(request))
}

/// Reads until the buffer holds so many bytes; more may come. False, if there was nothing but the end.
fn read_until(stream: &UnixStream, buffer: &mut Vec<u8>, length: usize) -> anyhow::Result<bool> {
    while buffer.len() < length {
        // The spare capacity is not zeroed first.
        match rustix::io::read(stream, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) if buffer.is_empty() => return Ok(false),
            Ok(0) => bail!(wire::BrokenWire),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    Ok(true)
}

/// Reads some more of a body that is not whole yet. None, if there is no more.
pub(super) fn read_more<'room>(
    stream: &UnixStream,
    room: &'room mut [MaybeUninit<u8>],
) -> Option<&'room mut [u8]> {
    // Where something is there, no signal interrupts the reading.
    is_readable(stream, None).ok()?;
    rustix::io::read(stream, room).ok().map(|(read, _)| read)
}

/// Waits until more of a body is in memory than before, and says how much; `ahead` has what came of the numbers that
/// tell it. None, if there will be no more.
pub(super) fn more_is_there(stream: &UnixStream, ahead: &mut Vec<u8>) -> Option<usize> {
    ahead.reserve(64 * wire::PROGRESS);
    read_until(stream, ahead, wire::PROGRESS).ok()?;
    let whole = ahead.len() - ahead.len() % wire::PROGRESS;
    let come = u64::from_le_bytes(*ahead[..whole].last_chunk()?);
    ahead.drain(..whole);
    usize::try_from(come).ok()
}

/// Writes a reply that stands alone.
pub(super) fn write_alone(stream: &UnixStream, id: u64, outcome: Outcome, body: &[u8]) -> anyhow::Result<()> {
    write_frame(stream, &mut Vec::new(), false, id, outcome, body)
}

/// Writes a reply, together with those that are `held`; or holds it as well, if it may wait for the next ones.
pub(super) fn write_frame(
    stream: &UnixStream,
    held: &mut Vec<u8>,
    may_wait: bool,
    id: u64,
    outcome: Outcome,
    body: &[u8],
) -> anyhow::Result<()> {
    let may_wait = may_wait && outcome.pure && held.len() + body.len() < MOST_HELD;
    let header = Reply {
        id,
        status: outcome.status,
        rows_in: u32::try_from(outcome.rows_in).unwrap_or(u32::MAX),
        rows_out: u32::try_from(outcome.rows_out).unwrap_or(u32::MAX),
        fits: outcome.fits,
        last: outcome.last,
        pure: outcome.pure,
        impure: outcome.declined,
        more: false,
        body_length: body.len() as u64,
    }
    .encode();
    if may_wait {
        held.extend_from_slice(&header);
        held.extend_from_slice(body);
        return Ok(());
    }
    write_all(stream, &mut [io::IoSlice::new(held), io::IoSlice::new(&header), io::IoSlice::new(body)])?;
    held.clear();
    Ok(())
}

/// Writes a part of an answer that is not whole yet.
pub(super) fn write_part(stream: &UnixStream, id: u64, body: &[u8]) -> anyhow::Result<()> {
    let header = Reply::part(id, body.len() as u64).encode();
    write_all(stream, &mut [io::IoSlice::new(&header), io::IoSlice::new(body)])
}

/// All in one write, or in as few as the socket's buffer allows.
fn write_all(mut stream: &UnixStream, mut rest: &mut [io::IoSlice<'_>]) -> anyhow::Result<()> {
    io::IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match stream.write_vectored(rest) {
            Ok(0) => bail!(wire::BrokenWire),
            Ok(written) => io::IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
