//! Which scripts are light: pure, and quick when they last ran. Requests for such scripts may go to a worker
//! together while they wait for one. What is remembered here only says what is worth trying: the worker itself
//! judges each script before it runs among others.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memchr::memmem;

use crate::pool::Answer;

/// Scripts that are remembered at most. A view has a handful; two that share a place push each other out.
const PLACES: usize = 1024;

/// A longer body takes its time to read.
const LONGEST: usize = 4096;

/// A script that took longer would keep others waiting.
const QUICK: Duration = Duration::from_millis(1);

/// No script's.
const EMPTY: u64 = 0;

const NAME: &[u8] = b"\"script\"";

pub(super) struct LightScripts {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// Stands for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64);

impl Default for LightScripts {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(EMPTY)).collect();
        Self { places, hasher: RandomState::new() }
    }
}

impl LightScripts {
    /// What stands for the script of a small body.
    pub(super) fn key(&self, body: &[u8]) -> Option<Key> {
        let script = script(body)?;
        Some(Key(self.hasher.hash_one(script).max(EMPTY + 1)))
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.place(key).load(Ordering::Relaxed) == key.0
    }

    /// Remembers how a script's last run was; none is one that came to nothing.
    pub(super) fn learn(&self, key: Key, answer: Option<&Answer>) {
        let place = self.place(key);
        let known = place.load(Ordering::Relaxed) == key.0;
        let light = answer.is_some_and(|answer| answer.pure && answer.ran < QUICK);
        // Most often there is nothing new, and what nobody writes to stays in every processor's cache.
        if light != known {
            place.store(if light { key.0 } else { EMPTY }, Ordering::Relaxed);
        }
    }

    fn place(&self, key: Key) -> &AtomicU64 {
        // The remainder is below PLACES, whatever a usize holds.
        &self.places[(key.0 % PLACES as u64) as usize]
    }
}

/// The text of a small body's script, as it is written there.
fn script(body: &[u8]) -> Option<&[u8]> {
    if body.len() > LONGEST {
        return None;
    }
    let name = memmem::find(body, NAME)?;
    let after = body[name + NAME.len()..].trim_ascii_start().strip_prefix(b":")?;
    let text = after.trim_ascii_start().strip_prefix(b"\"")?;
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_found_wherever_it_stands() {
        let found =
            |body: &str| script(body.as_bytes()).map(|text| String::from_utf8_lossy(text).into_owned());
        assert_eq!(found(r#"{"script": "return 1", "data": {}}"#).as_deref(), Some("return 1"));
        assert_eq!(
            found(r#"{"data":{"_arg1":["a\"script\":"]},"script":"return \"a\\\""}"#).as_deref(),
            Some(r#"return \"a\\\""#)
        );
        for none in [r#"{"data": {}}"#, r#"{"script": 1}"#, r#"{"script": "return 1"#, r#"{"script""#, ""] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(found(&format!(r#"{{"script": "return 1", "data": "{}"}}"#, "x".repeat(LONGEST))), None);
    }

    #[test]
    fn what_was_learned_last_counts() {
        let scripts = LightScripts::default();
        let key = scripts.key(br#"{"script": "return 1"}"#).unwrap();
        let answer = |pure, ran| Answer {
            status: 200,
            body: crate::pool::Body::Whole(bytes::Bytes::new()),
            rows_in: 1,
            rows_out: 1,
            fits: true,
            pure,
            worker: 1,
            queued: Duration::ZERO,
            ran,
            printed: None,
        };
        assert!(!scripts.contains(key));
        scripts.learn(key, Some(&answer(true, Duration::ZERO)));
        assert!(scripts.contains(key));
        scripts.learn(key, Some(&answer(true, QUICK)));
        assert!(!scripts.contains(key));
        scripts.learn(key, Some(&answer(true, Duration::ZERO)));
        scripts.learn(key, None);
        assert!(!scripts.contains(key));
        scripts.learn(key, Some(&answer(false, Duration::ZERO)));
        assert!(!scripts.contains(key));
    }
}
