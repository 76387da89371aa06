//! The last ten minutes in slots of five seconds, and the last errors: what the page draws. Durations are
//! counted in buckets that grow by half, so that a percentile is right to within a quarter.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds of one slot.
const SLOT: u64 = 5;

/// Ten minutes.
const SLOTS: usize = 120;

/// From a microsecond to a quarter of an hour, two for each doubling.
const BUCKETS: usize = 60;

/// How many errors are kept.
const NOTES: usize = 30;

pub struct Recent {
    began: Instant,
    slots: Mutex<VecDeque<Slot>>,
    notes: Mutex<VecDeque<Note>>,
}

struct Slot {
    number: u64,
    requests: u32,
    errors: u32,
    durations: [u32; BUCKETS],
}

/// One slot as it is drawn; milliseconds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Point {
    /// Seconds before now at which the slot began.
    pub age: u64,
    pub requests: u32,
    pub errors: u32,
    pub p50: f64,
    pub p99: f64,
}

/// An error, without anything of the script or its data.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Note {
    /// Seconds since 1970.
    pub at: u64,
    pub route: String,
    pub status: u16,
    /// The exception's type, or the server's own message.
    pub kind: String,
    /// The line of the script, where one is to blame.
    pub line: Option<u32>,
    pub request_id: String,
}

impl Default for Recent {
    fn default() -> Self {
        Self { began: Instant::now(), slots: Mutex::default(), notes: Mutex::default() }
    }
}

impl Recent {
    pub fn answered(&self, now: Instant, status: u16, duration: Duration) {
        self.count((now - self.began).as_secs() / SLOT, status, duration);
    }

    fn count(&self, number: u64, status: u16, duration: Duration) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.back().is_none_or(|last| last.number < number) {
            if slots.len() == SLOTS {
                slots.pop_front();
            }
            slots.push_back(Slot { number, requests: 0, errors: 0, durations: [0; BUCKETS] });
        }
        if let Some(slot) = slots.back_mut() {
            slot.requests += 1;
            slot.errors += u32::from(status >= 400);
            slot.durations[bucket(duration)] += 1;
        }
    }

    pub fn failed(&self, note: Note) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back(note);
    }

    /// The slots in which something was asked, oldest first.
    pub fn points(&self) -> Vec<Point> {
        let now = self.began.elapsed().as_secs() / SLOT;
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let young = slots.iter().filter(|slot| slot.number + SLOTS as u64 > now);
        young.map(|slot| slot.point(now)).collect()
    }

    /// The newest first.
    pub fn notes(&self) -> Vec<Note> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().rev().cloned().collect()
    }
}

impl Note {
    pub fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

impl Slot {
    fn point(&self, now: u64) -> Point {
        Point {
            age: now.saturating_sub(self.number) * SLOT,
            requests: self.requests,
            errors: self.errors,
            p50: self.percentile(0.5),
            p99: self.percentile(0.99),
        }
    }

    fn percentile(&self, part: f64) -> f64 {
        let wanted = (f64::from(self.requests) * part).ceil();
        let mut counted = 0.0;
        let place = self.durations.iter().position(|count| {
            counted += f64::from(*count);
            counted >= wanted
        });
        place.map_or(0.0, middle)
    }
}

fn bucket(duration: Duration) -> usize {
    let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let doublings = microseconds.ilog2();
    let half = if doublings == 0 { 0 } else { microseconds >> (doublings - 1) & 1 };
    (2 * doublings as usize + half as usize).min(BUCKETS - 1)
}

/// Milliseconds in the middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let low = 2f64.powi((bucket / 2) as i32) * if bucket.is_multiple_of(2) { 1.0 } else { 1.5 };
    let width = if bucket.is_multiple_of(2) { 1.5 } else { 4.0 / 3.0 };
    (low * (1.0 + width) / 2.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_within_a_quarter() {
        for microseconds in [1u64, 2, 3, 7, 100, 999, 30_000, 30_000_000] {
            let found = middle(bucket(Duration::from_micros(microseconds))) * 1000.0;
            let ratio = found / microseconds as f64;
            assert!((0.74..1.27).contains(&ratio) || microseconds < 4, "{microseconds}: {found}");
        }
    }

    #[test]
    fn slots_and_notes_are_bounded() {
        let recent = Recent::default();
        for number in 0..500 {
            recent.count(number, if number % 2 == 0 { 200 } else { 500 }, Duration::from_millis(2));
        }
        let slots = recent.slots.lock().unwrap();
        assert_eq!((slots.len(), slots[0].number, slots[119].errors), (SLOTS, 380, 1));
        drop(slots);
        for status in 400..500 {
            let kind = "ValueError".to_owned();
            recent.failed(Note {
                at: 0,
                route: String::new(),
                status,
                kind,
                line: None,
                request_id: String::new(),
            });
        }
        assert_eq!((recent.notes().len(), recent.notes()[0].status), (NOTES, 499));
    }
}
