//! One message between front and fork server, with the descriptors that travel along. The socket keeps
//! messages apart; what is in them is [`crate::wire`]'s, and who says what is known elsewhere.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The most descriptors that come with a message: a worker's wire, its output and the memory for bodies.
const DESCRIPTORS: usize = 3;

pub(crate) fn send(control: &OwnedFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(control, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The message's length and the descriptors that came with it; `None` when the other side has gone.
pub(crate) fn receive(control: &OwnedFd, message: &mut [u8]) -> Result<Option<(usize, Vec<OwnedFd>)>> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(message)];
        match recvmsg(control, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) if received.bytes == 0 => return Ok(None),
            Ok(received) => {
                let descriptors = ancillary
                    .drain()
                    .flat_map(|message| match message {
                        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect(),
                        _ => Vec::new(),
                    })
                    .collect();
                return Ok(Some((received.bytes, descriptors)));
            }
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}
