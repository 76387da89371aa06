//! A body that is parsed while its rest still comes: the memory for all of it is there, the beginning of it is
//! filled, and what comes is put behind that.
#![expect(unsafe_code, reason = "the beginning of a buffer is read while its end is being filled")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Puts some more of a body at the beginning of the room, and gives what it has filled; waits where none is there yet.
/// None, or nothing, if no more will come.
pub type Read<'a> = dyn for<'room> FnMut(&'room mut [MaybeUninit<u8>]) -> Option<&'room mut [u8]> + 'a;

/// What most elements of a document are shorter than.
const MARGIN: usize = 64 << 10;

pub struct Coming<'a> {
    /// So much of what has come is left unread until more has come. An element that is longer may look broken off.
    pub margin: usize,
    /// Of memory for `whole` bytes, of which `come` are filled.
    start: *mut u8,
    come: usize,
    whole: usize,
    read: &'a mut Read<'a>,
    buffer: PhantomData<&'a mut [u8]>,
}

impl<'a> Coming<'a> {
    /// A body of so many bytes, of which the buffer holds the beginning from `start` on. What comes is behind the end
    /// of the buffer as it knows it.
    pub fn new(buffer: &'a mut Vec<u8>, start: usize, whole: usize, read: &'a mut Read<'a>) -> Self {
        let come = buffer.len().saturating_sub(start).min(whole);
        buffer.reserve((start + whole).saturating_sub(buffer.len()));
        // SAFETY: the buffer holds at least that much, and is moved by nobody as long as it is borrowed here.
        let start = unsafe { buffer.as_mut_ptr().add(start) };
        Self { margin: MARGIN, start, come, whole, read, buffer: PhantomData }
    }

    /// Bytes of the whole body.
    pub fn length(&self) -> usize {
        self.whole
    }

    pub fn is_whole(&self) -> bool {
        self.come == self.whole
    }

    /// What has come. It stays what it is while more comes.
    pub fn bytes(&self) -> &'a [u8] {
        // SAFETY: these bytes are filled, and lie in a buffer that is borrowed for `'a`; what is written from
        // here on lies behind them, and through a pointer to all of the buffer.
        unsafe { std::slice::from_raw_parts(self.start, self.come) }
    }

    /// Waits until so many bytes have come, or all; false, if they never will.
    pub fn wait_for(&mut self, bytes: usize) -> bool {
        while self.come < bytes.min(self.whole) {
            // SAFETY: the buffer has room for `whole` bytes, and none behind `come` is lent out.
            let room = unsafe {
                let behind = self.start.add(self.come).cast::<MaybeUninit<u8>>();
                std::slice::from_raw_parts_mut(behind, self.whole - self.come)
            };
            let (beginning, most) = (room.as_ptr().cast::<u8>(), room.len());
            match (self.read)(room) {
                Some(filled) if !filled.is_empty() && filled.as_ptr() == beginning => {
                    self.come += filled.len().min(most);
                }
                _ => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_piece_by_piece_and_what_was_there_stays() {
        let mut pieces = [&b"cd"[..], b"e", b"fgh"].into_iter();
        let read: &mut Read<'_> = &mut |room| {
            let piece = pieces.next()?;
            Some(room[..piece.len()].write_copy_of_slice(piece))
        };
        let mut buffer = b"..ab".to_vec();
        let mut coming = Coming::new(&mut buffer, 2, 8, read);
        let first = coming.bytes();
        assert!(coming.wait_for(4) && !coming.is_whole());
        assert_eq!((first, coming.bytes()), (&b"ab"[..], &b"abcd"[..]));
        assert!(coming.wait_for(usize::MAX) && coming.is_whole());
        assert_eq!((first, coming.bytes()), (&b"ab"[..], &b"abcdefgh"[..]));
    }

    #[test]
    fn a_body_that_does_not_come_whole_is_no_body() {
        let mut buffer = b"ab".to_vec();
        let read: &mut Read<'_> = &mut |room| Some(room[..0].write_copy_of_slice(b""));
        let mut coming = Coming::new(&mut buffer, 0, 3, read);
        assert!(coming.wait_for(2) && !coming.wait_for(3));
        assert_eq!(coming.bytes(), b"ab");
    }
}
