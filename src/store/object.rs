//! The files of one version of a function, named by what they hold: the same files are the same object,
//! wherever and whenever they are deployed. Nothing here knows how they are loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::catalogue::{ARCHIVE, Kind, SOURCE};

/// An object; clones share its files.
#[derive(Debug, Clone)]
pub struct Object {
    id: String,
    files: Arc<BTreeMap<String, Bytes>>,
}

impl Object {
    /// `None` if the files hold neither an archive nor a source.
    pub fn of_files(files: BTreeMap<String, Bytes>) -> Option<Self> {
        if !files.contains_key(ARCHIVE) && !files.contains_key(SOURCE) {
            return None;
        }
        let mut digest = Sha256::new();
        for (path, content) in &files {
            // With the lengths in front, no two lists of files read the same.
            digest.update((path.len() as u64).to_be_bytes());
            digest.update(path);
            digest.update((content.len() as u64).to_be_bytes());
            digest.update(content);
        }
        let id = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, files: Arc::new(files) })
    }

    pub fn archive(content: Bytes) -> Option<Self> {
        Self::of_files([(ARCHIVE.to_owned(), content)].into())
    }

    pub fn source(content: Bytes) -> Option<Self> {
        Self::of_files([(SOURCE.to_owned(), content)].into())
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn kind(&self) -> Kind {
        if self.files.contains_key(ARCHIVE) { Kind::Archive } else { Kind::Source }
    }

    /// By their path within the object.
    pub fn files(&self) -> &BTreeMap<String, Bytes> {
        &self.files
    }

    /// Of all files, in bytes.
    pub fn size(&self) -> u64 {
        self.files.values().map(|content| content.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_by_its_files() {
        let one = |path: &str, content: &'static [u8]| {
            let files = [(ARCHIVE.to_owned(), Bytes::from_static(b"x")), (path.to_owned(), content.into())];
            Object::of_files(files.into()).unwrap().id().to_owned()
        };
        assert_eq!(one("a", b"b"), one("a", b"b"));
        assert_ne!(one("a", b"b"), one("ab", b""));
        assert_ne!(one("a", b"b"), one("b", b"a"));
        let archive = Object::archive(Bytes::from_static(b"x")).unwrap();
        let source = Object::source(Bytes::from_static(b"x")).unwrap();
        assert_eq!((archive.kind(), source.kind()), (Kind::Archive, Kind::Source));
        assert_ne!(archive.id(), source.id());
        assert!(Object::of_files([("a".to_owned(), Bytes::new())].into()).is_none());
    }
}
