//! Where large bodies come to a worker. It takes memory while a body is there, and for a moment afterwards: the next one
//! that comes soon finds it ready, and the answer to it may lie there until the client has that.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mapping::Mapping;

/// Clones are the same room.
#[derive(Clone)]
pub(super) struct Room {
    place: Arc<Mutex<Place>>,
    meter: Arc<AtomicUsize>,
}

struct Place {
    mapping: Option<Arc<Mapping>>,
    /// Whether it is to give its memory back as soon as nobody has it.
    overdue: bool,
}

/// A room's memory, with a body or with an answer, as long as somebody has it.
pub(super) struct Loan {
    room: Room,
    /// None once it has gone back.
    mapping: Option<Arc<Mapping>>,
}

impl Room {
    pub(super) fn new(mapping: Mapping) -> Self {
        let meter = mapping.meter();
        let place = Place { mapping: Some(Arc::new(mapping)), overdue: false };
        Self { place: Arc::new(Mutex::new(place)), meter }
    }

    /// The memory for a body of so many bytes, if it is there and nobody else has it.
    pub(super) fn take(&self, length: usize) -> Option<Arc<Mapping>> {
        let mut place = self.place();
        let mapping = Arc::get_mut(place.mapping.as_mut()?)?;
        if mapping.length() < length {
            return None;
        }
        mapping.clear();
        place.mapping.take()
    }

    /// Whether a body of so many bytes would find it.
    pub(super) fn is_free(&self, length: usize) -> bool {
        let place = self.place();
        place
            .mapping
            .as_ref()
            .is_some_and(|mapping| Arc::strong_count(mapping) == 1 && mapping.length() >= length)
    }

    /// How much memory it takes, whoever has it.
    pub(super) fn taken(&self) -> usize {
        self.meter.load(Ordering::Relaxed)
    }

    /// Tells the same at any time.
    pub(super) fn meter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.meter)
    }

    /// Gives the memory back, which takes milliseconds; later, where somebody has it. A body that comes meanwhile finds
    /// no room here. False, if only the worker's end will give it back.
    pub(super) fn release(&self) -> bool {
        let Some(mut mapping) = self.take(0) else {
            self.place().overdue = true;
            return true;
        };
        let released = Arc::get_mut(&mut mapping).is_none_or(|own| own.release().is_ok());
        *self.place() = Place { mapping: Some(mapping), overdue: false };
        released
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loan {
    pub(super) fn new(room: Room, mapping: Arc<Mapping>) -> Self {
        Self { room, mapping: Some(mapping) }
    }

    /// Makes ready for an answer, which then lies where the body was: the worker has sent some of it, and so has long
    /// parsed the body. None, if anybody else still has that.
    pub(super) fn cleared(mut self) -> Option<Self> {
        Arc::get_mut(self.mapping.as_mut()?)?.clear();
        Some(self)
    }

    /// How many bytes there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.mapping.as_ref().map_or(0, |mapping| mapping.taken())
    }

    /// What of it is not filled, if nobody else has it.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        self.mapping.as_mut().and_then(Arc::get_mut).map_or(&mut [], Mapping::spare)
    }

    /// So much of that has been filled.
    pub(super) fn fill(&mut self, bytes: usize) {
        if let Some(mapping) = self.mapping.as_mut().and_then(Arc::get_mut) {
            mapping.fill(bytes);
        }
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.mapping.as_ref().map_or(&[], |mapping| mapping.filled())
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let overdue = {
            let mut place = self.room.place();
            place.mapping = self.mapping.take();
            place.overdue
        };
        if !overdue {
            return;
        }
        // Others of this thread need not wait for it. Where there can be no thread, the pool's next look at idle workers
        // does it.
        let room = self.room.clone();
        let thread = std::thread::Builder::new().name("tabpy-room".to_owned());
        let _ = thread.spawn(move || room.release());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn room(length: usize) -> Room {
        Room::new(Mapping::new(length).unwrap().0)
    }

    fn body(room: &Room, bytes: &[u8]) -> Arc<Mapping> {
        let mut body = room.take(bytes.len()).unwrap();
        assert!(Arc::get_mut(&mut body).unwrap().push(bytes) && room.take(1).is_none());
        body
    }

    #[test]
    fn a_room_is_for_one_body_at_a_time() {
        let room = room(1 << 20);
        assert!(room.take((1 << 20) + 1).is_none());
        let body = body(&room, b"body");
        let reader = Arc::clone(&body);
        drop(Loan::new(room.clone(), body));
        // Somebody still reads it.
        assert!(room.take(1).is_none() && reader.filled() == b"body" && room.taken() == 4);
        drop(reader);
        assert!(room.release());
        assert_eq!(room.taken(), 0);
        assert!(room.take(1).unwrap().filled().is_empty());
    }

    #[test]
    fn an_answer_takes_what_its_body_took_and_no_more() {
        let room = room(1 << 20);
        let body = body(&room, b"the body");
        let reader = Arc::clone(&body);
        assert!(Loan::new(room.clone(), body).cleared().is_none(), "somebody still reads the body");
        drop(reader);
        let mut answer = Loan::new(room.clone(), room.take(1).unwrap()).cleared().unwrap();
        assert_eq!((answer.capacity(), answer.spare().len()), (8, 8));
        answer.spare()[..6].copy_from_slice(b"answer");
        answer.fill(6);
        assert_eq!(answer.as_ref(), b"answer");
        assert_eq!(answer.spare().len(), 2);
        answer.fill(3);
        assert_eq!((answer.as_ref().len(), room.taken()), (8, 8));
        assert!(room.take(1).is_none() && !room.is_free(1));
        drop(answer);
        assert!(room.is_free(1 << 20) && !room.is_free((1 << 20) + 1));
        assert!(room.take(1).unwrap().filled().is_empty());
    }

    #[test]
    fn memory_that_somebody_has_is_given_back_after_that() {
        let room = room(1 << 20);
        let loan = Loan::new(room.clone(), body(&room, b"body"));
        assert!(room.release());
        assert_eq!(room.taken(), 4);
        drop(loan);
        let until = Instant::now() + Duration::from_secs(60);
        while room.taken() > 0 {
            assert!(Instant::now() < until, "nobody gives it back");
            std::thread::yield_now();
        }
        while !room.is_free(1) {
            std::thread::yield_now();
        }
        drop(Loan::new(room.clone(), body(&room, b"another")));
        assert_eq!(room.taken(), 7, "nobody has asked for that back");
    }
}
