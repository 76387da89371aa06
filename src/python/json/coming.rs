//! A body that is parsed while its rest still comes: the memory for all of it is there, the beginning of it is
//! filled, and what comes is put behind that.
#![expect(unsafe_code, reason = "the beginning of a buffer is read while its end is being filled")]

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use crate::mapping;

/// Puts some more of a body at the beginning of the room, and gives what it has filled; waits where none is there yet.
/// None, or nothing, if no more will come.
pub type Read<'a> = dyn for<'room> FnMut(&'room mut [MaybeUninit<u8>]) -> Option<&'room mut [u8]> + 'a;

/// Waits until another process has put some more of a body in its place, and says how much is there. None, if no more will
/// come.
pub type Told<'a> = dyn FnMut() -> Option<usize> + 'a;

/// What most elements of a document are shorter than.
const MARGIN: usize = 64 << 10;

pub struct Coming<'a> {
    /// So much of what has come is left unread until more has come. An element that is longer may look broken off.
    pub margin: usize,
    /// Of memory for `whole` bytes, of which `come` are filled.
    start: *mut u8,
    come: usize,
    whole: usize,
    rest: Rest<'a>,
    memory: PhantomData<&'a mut [u8]>,
}

/// Where the rest comes from.
enum Rest<'a> {
    Read(&'a mut Read<'a>),
    Told(&'a mut Told<'a>),
}

impl<'a> Coming<'a> {
    /// A body of so many bytes, of which the buffer holds the beginning from `start` on. What comes is behind the end
    /// of the buffer as it knows it.
    pub fn new(buffer: &'a mut Vec<u8>, start: usize, whole: usize, read: &'a mut Read<'a>) -> Self {
        let come = buffer.len().saturating_sub(start).min(whole);
        buffer.reserve((start + whole).saturating_sub(buffer.len()));
        // SAFETY: the buffer holds at least that much, and is moved by nobody as long as it is borrowed here.
        let start = unsafe { buffer.as_mut_ptr().add(start) };
        Self { margin: MARGIN, start, come, whole, rest: Rest::Read(read), memory: PhantomData }
    }

    /// A body that another process puts in its place; `told` never says of more than is there.
    pub fn in_memory(place: mapping::Place<'a>, told: &'a mut Told<'a>) -> Self {
        let (start, whole) = (place.start().as_ptr(), place.length());
        Self { margin: MARGIN, start, come: 0, whole, rest: Rest::Told(told), memory: PhantomData }
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
        // SAFETY: these bytes are filled, and lie in memory that is borrowed for `'a`; what is written from
        // here on lies behind them, and through a pointer to all of the memory, or by another process.
        unsafe { std::slice::from_raw_parts(self.start, self.come) }
    }

    /// Waits until so many bytes have come, or all; false, if they never will.
    pub fn wait_for(&mut self, bytes: usize) -> bool {
        while self.come < bytes.min(self.whole) {
            let come = match &mut self.rest {
                Rest::Told(told) => told(),
                Rest::Read(read) => {
                    // SAFETY: the buffer has room for `whole` bytes, and none behind `come` is lent out.
                    let room = unsafe {
                        let behind = self.start.add(self.come).cast::<MaybeUninit<u8>>();
                        std::slice::from_raw_parts_mut(behind, self.whole - self.come)
                    };
                    let beginning = room.as_ptr().cast::<u8>();
                    let filled = read(room).filter(|filled| filled.as_ptr() == beginning);
                    filled.map(|filled| self.come + filled.len())
                }
            };
            match come {
                Some(come) if come > self.come && come <= self.whole => self.come = come,
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
    fn a_body_is_read_where_another_process_puts_it() {
        let (mut mapping, theirs) = mapping::Mapping::new(8).unwrap();
        // SAFETY: it is the mapping's, which changes nothing that it has told of.
        let view = unsafe { mapping::View::of(&theirs) }.unwrap();
        let mut pieces = [&b"abc"[..], b"de", b"", b"fgh"].into_iter();
        let told: &mut Told<'_> = &mut || {
            assert!(mapping.push(pieces.next()?));
            Some(mapping.filled().len())
        };
        let mut coming = Coming::in_memory(view.place(8).unwrap(), told);
        assert!(coming.bytes().is_empty() && coming.wait_for(4) && !coming.is_whole());
        assert_eq!(coming.bytes(), b"abcde");
        // That nothing more is there is nothing to be told.
        assert!(!coming.wait_for(6) && coming.wait_for(6) && coming.is_whole());
        assert_eq!(coming.bytes(), b"abcdefgh");
    }

    #[test]
    fn no_more_comes_than_the_whole() {
        let (_mapping, theirs) = mapping::Mapping::new(9).unwrap();
        // SAFETY: it is the mapping's, which changes nothing that it has told of.
        let view = unsafe { mapping::View::of(&theirs) }.unwrap();
        let told: &mut Told<'_> = &mut || Some(9);
        assert!(!Coming::in_memory(view.place(8).unwrap(), told).wait_for(1));
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
