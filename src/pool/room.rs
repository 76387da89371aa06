//! Where large bodies come to a worker. It takes memory while a body is there, and for a moment afterwards: the next one
//! that comes soon finds it ready.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::mapping::Mapping;

/// Clones are the same room.
#[derive(Clone)]
pub(super) struct Room {
    mapping: Arc<Mutex<Option<Arc<Mapping>>>>,
    meter: Arc<AtomicUsize>,
}

impl Room {
    pub(super) fn new(mapping: Mapping) -> Self {
        let meter = mapping.meter();
        Self { mapping: Arc::new(Mutex::new(Some(Arc::new(mapping)))), meter }
    }

    /// The memory for a body of so many bytes, if it is there and nobody else has it.
    pub(super) fn take(&self, length: usize) -> Option<Arc<Mapping>> {
        let mut place = self.place();
        let mapping = Arc::get_mut(place.as_mut()?)?;
        if mapping.length() < length {
            return None;
        }
        mapping.clear();
        place.take()
    }

    pub(super) fn put_back(&self, mapping: Arc<Mapping>) {
        *self.place() = Some(mapping);
    }

    /// How much memory it takes, whoever has it.
    pub(super) fn taken(&self) -> usize {
        self.meter.load(Ordering::Relaxed)
    }

    /// Tells the same at any time.
    pub(super) fn meter(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.meter)
    }

    /// Gives the memory back, which takes milliseconds. A body that comes meanwhile finds no room here. False, if only the
    /// worker's end will give it back.
    pub(super) fn release(&self) -> bool {
        let Some(mut mapping) = self.take(0) else { return true };
        let released = Arc::get_mut(&mut mapping).is_none_or(|own| own.release().is_ok());
        self.put_back(mapping);
        released
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Arc<Mapping>>> {
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_for_one_body_at_a_time() {
        let (mapping, _theirs) = Mapping::new(1 << 20).unwrap();
        let room = Room::new(mapping);
        assert!(room.take((1 << 20) + 1).is_none());
        let mut body = room.take(1 << 20).unwrap();
        assert!(Arc::get_mut(&mut body).unwrap().push(b"body") && room.take(1).is_none());
        let reader = Arc::clone(&body);
        room.put_back(body);
        // Somebody still reads it.
        assert!(room.release());
        assert!(room.take(1).is_none() && reader.filled() == b"body" && room.taken() == 4);
        drop(reader);
        assert!(room.release());
        assert_eq!(room.taken(), 0);
        assert!(room.take(1).unwrap().filled().is_empty());
    }
}
