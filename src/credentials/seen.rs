//! Headers that were verified once, so that PBKDF2 runs once a header and not once a request. What is
//! kept is a digest under a key made up by this process: neither a dump of the memory nor the time a
//! look-up takes tells a password. It is SHA-256, not the faster hash of a table, because a collision
//! here would be a sign-in.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// More headers than this mean somebody plays with spellings; all are then verified anew.
const MOST: usize = 10_000;

pub(super) struct Seen {
    /// The key, taken in already.
    keyed: Sha256,
    names: RwLock<HashMap<[u8; 32], Arc<str>>>,
}

impl Seen {
    pub(super) fn new() -> anyhow::Result<Self> {
        // A whole block, so that the state after it is the key.
        let mut key = [0; 64];
        getrandom::fill(&mut key).context("the system has no random numbers")?;
        Ok(Self { keyed: Sha256::new_with_prefix(key), names: RwLock::default() })
    }

    pub(super) fn get(&self, header: &[u8]) -> Option<Arc<str>> {
        let digest = self.digest(header);
        self.names.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
    }

    pub(super) fn insert(&self, header: &[u8], name: Arc<str>) {
        let digest = self.digest(header);
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST {
            names.clear();
        }
        names.insert(digest, name);
    }

    fn digest(&self, header: &[u8]) -> [u8; 32] {
        self.keyed.clone().chain_update(header).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_known_once_it_was_put_in() {
        let (seen, other) = (Seen::new().unwrap(), Seen::new().unwrap());
        assert_eq!(seen.get(b"Basic YTpi"), None);
        seen.insert(b"Basic YTpi", "a".into());
        assert_eq!(seen.get(b"Basic YTpi").as_deref(), Some("a"));
        assert_eq!(seen.get(b"Basic YTpj"), None);
        assert_ne!(seen.digest(b"x"), other.digest(b"x"));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let seen = Seen::new().unwrap();
        for number in 0..=MOST {
            seen.insert(&number.to_be_bytes(), "a".into());
        }
        assert_eq!(seen.names.read().unwrap().len(), 1);
        assert!(seen.get(&MOST.to_be_bytes()).is_some());
    }
}
