//! The front's end of a worker's wire, watched by a runtime for what comes. It is watched for room to write only
//! while a large request waits for that: the kernel would otherwise wake the runtime each time that the worker
//! has read a request, in the middle of a tiny call.
#![expect(
    unsafe_code,
    reason = "tokio watches a descriptor on the promise that it stays what it is, and nothing safe tells what is unread"
)]

use std::io::{self, ErrorKind, IoSlice, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::buffer::{Buffer, spare_capacity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Between two looks for room that cannot be watched for.
const PAUSE: Duration = Duration::from_millis(1);

pub(super) struct Wire(AsyncFd<UnixStream>);

impl Wire {
    /// A stream that does not block, from here on watched by this thread's runtime.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        Ok(Self(watch(stream, Interest::READABLE)?))
    }

    pub(super) fn into_inner(self) -> UnixStream {
        self.0.into_inner()
    }

    /// Waits until something may have come.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.retain_ready();
        Ok(())
    }

    /// Appends what has come to the spare room of a buffer; nothing is the end.
    pub(super) fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.try_read_to(buffer.capacity() - buffer.len(), spare_capacity(buffer))
    }

    /// The same to a place for so many bytes.
    pub(super) fn try_read_to(
        &self,
        room: usize,
        place: impl Buffer<u8, Output = usize>,
    ) -> io::Result<usize> {
        let mut read = None;
        let outcome = self.0.try_io(Interest::READABLE, |stream| {
            let length = rustix::io::read(stream, place)?;
            if length > 0 && length < room {
                // That was all there is, which another read would only confirm.
                read = Some(length);
                return Err(ErrorKind::WouldBlock.into());
            }
            Ok(length)
        });
        read.map_or(outcome, Ok)
    }

    /// Whether the other side has read all that was written; an error if it has closed.
    pub(super) fn is_read(&self) -> io::Result<bool> {
        let stream = self.0.get_ref();
        let mut unread: libc::c_int = 0;
        // SAFETY: for a stream this request writes one number to where the pointer shows, and does nothing else.
        let outcome = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut unread) };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
        // What is thrown away when the other side closes is not unread any more, but it has closed before that.
        let mut watched = [PollFd::new(stream, PollFlags::RDHUP)];
        poll(&mut watched, Some(&Timespec::default()))?;
        if watched[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP) {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(unread == 0)
    }

    /// Writes what is left of the slices behind the bytes that are `written` already.
    pub(super) async fn write_all(
        &self,
        mut slices: &mut [IoSlice<'_>],
        written: &mut usize,
    ) -> io::Result<()> {
        self.write_now(&mut slices, written)?;
        if slices.is_empty() {
            return Ok(());
        }
        let another = self.0.get_ref().try_clone();
        let watched = another.and_then(|stream| watch(stream, Interest::WRITABLE)).ok();
        while !slices.is_empty() {
            let Some(stream) = &watched else {
                // The process has no descriptor left, which is no fault of the worker's.
                tokio::time::sleep(PAUSE).await;
                self.write_some(&mut slices, written)?;
                continue;
            };
            let mut room = stream.writable().await?;
            match room.try_io(|stream| stream.get_ref().write_vectored(slices)) {
                Ok(Ok(0)) => return Err(ErrorKind::WriteZero.into()),
                Ok(Ok(more)) => {
                    *written += more;
                    IoSlice::advance_slices(&mut slices, more);
                }
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                // There was none after all.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Writes as much as there is room for, behind the bytes that are `written` already.
    pub(super) fn write_now(&self, slices: &mut &mut [IoSlice<'_>], written: &mut usize) -> io::Result<()> {
        IoSlice::advance_slices(slices, *written);
        self.write_some(slices, written)
    }

    fn write_some(&self, slices: &mut &mut [IoSlice<'_>], written: &mut usize) -> io::Result<()> {
        while !slices.is_empty() {
            match self.0.get_ref().write_vectored(slices) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(more) => {
                    *written += more;
                    IoSlice::advance_slices(slices, more);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn watch(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: the `AsyncFd` owns the stream, and a `UnixStream` keeps the one descriptor that it was made with
    // open until it is dropped; nothing here puts another stream in its place.
    Ok(unsafe { AsyncFd::register_with_interest(stream, interest) }?)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn what_is_read_is_known_from_what_is_lost() {
        let (mine, mut theirs) = UnixStream::pair().unwrap();
        mine.set_nonblocking(true).unwrap();
        let wire = Wire::new(mine).unwrap();
        assert!(wire.is_read().unwrap());
        wire.write_now(&mut &mut [IoSlice::new(b"12345678")][..], &mut 0).unwrap();
        assert!(!wire.is_read().unwrap());
        theirs.read_exact(&mut [0; 8]).unwrap();
        assert!(wire.is_read().unwrap());
        wire.write_now(&mut &mut [IoSlice::new(b"12345678")][..], &mut 0).unwrap();
        drop(theirs);
        assert!(wire.is_read().is_err());
    }
}
