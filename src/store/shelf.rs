//! The catalogue's folder, from which workers load functions: objects that never change, and an index
//! that is replaced as a whole. It is made anew at each start; the database is the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::object::Object;
use crate::catalogue::{self, INDEX, Index, OBJECTS};

/// A worker that began a request before the change may still want what the old index names.
const REGRET: Duration = Duration::from_secs(900);

#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Objects that nobody needs any more, and since when.
    unneeded: BTreeMap<String, Instant>,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(folder.join(OBJECTS))?;
        for folder in [folder.clone(), folder.join(OBJECTS)] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { folder, unneeded: BTreeMap::new() })
    }

    pub(super) fn has(&self, id: &str) -> bool {
        catalogue::object(&self.folder, id).exists()
    }

    pub(super) fn put(&mut self, object: &Object) -> io::Result<()> {
        self.unneeded.remove(object.id());
        put(&self.folder, object)
    }

    pub(super) fn publish(&mut self, index: &Index) -> io::Result<()> {
        let new = self.folder.join(format!("{INDEX}.new"));
        // What a full disk has left of an earlier try would be in the way.
        let _ = fs::remove_file(&new);
        write(&new, &serde_json::to_vec(index)?)?;
        fs::rename(new, self.folder.join(INDEX))
    }

    /// Removes the objects that have not been among `needed` for a while.
    pub(super) fn sweep(&mut self, needed: &BTreeSet<&str>) {
        let Ok(entries) = fs::read_dir(self.folder.join(OBJECTS)) else { return };
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if needed.contains(name.as_str()) {
                self.unneeded.remove(&name);
                continue;
            }
            let since = self.unneeded.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() > REGRET {
                // It is tried again with the next change.
                let _ = fs::remove_dir_all(catalogue::object(&self.folder, &name));
                self.unneeded.remove(&name);
            }
        }
    }
}

/// The object is there as a whole, or not at all.
fn put(folder: &Path, object: &Object) -> io::Result<()> {
    let place = catalogue::object(folder, object.id());
    if place.exists() {
        return Ok(());
    }
    let new = tempfile::Builder::new().prefix("new-").tempdir_in(folder)?;
    fs::set_permissions(new.path(), fs::Permissions::from_mode(0o755))?;
    for (path, content) in object.files() {
        let path = new.path().join(path);
        if let Some(parent) = path.parent().filter(|parent| *parent != new.path()) {
            fs::create_dir_all(parent)?;
            fs::set_permissions(parent, fs::Permissions::from_mode(0o755))?;
        }
        write(&path, content)?;
    }
    match fs::rename(new.path(), &place) {
        Ok(()) => {
            // Its name is gone; there is nothing left to remove.
            let _ = new.keep();
            Ok(())
        }
        // Somebody else was faster.
        Err(_) if place.exists() => Ok(()),
        Err(error) => Err(error),
    }
}

/// For everybody to read and nobody to write.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
    io::Write::write_all(&mut file, content)?;
    file.set_permissions(fs::Permissions::from_mode(0o444))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn objects_and_index_are_whole_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let mut shelf = Shelf::new(folder.path().join("catalogue")).unwrap();
        let files = [("pickle_archive", "x"), ("more/data.csv", "a,b")]
            .map(|(path, text)| (path.to_owned(), Bytes::from(text)));
        let object = Object::of_files(files.into()).unwrap();
        assert!(!shelf.has(object.id()));
        shelf.put(&object).unwrap();
        shelf.put(&object).unwrap();
        assert!(shelf.has(object.id()));
        let place = catalogue::object(&folder.path().join("catalogue"), object.id());
        assert_eq!(fs::read_to_string(place.join("more/data.csv")).unwrap(), "a,b");
        assert_eq!(fs::metadata(place.join("pickle_archive")).unwrap().permissions().mode() & 0o777, 0o444);
        for generation in 1..3 {
            let index = Index { generation, functions: BTreeMap::new() };
            shelf.publish(&index).unwrap();
            let text = fs::read(folder.path().join("catalogue").join(INDEX)).unwrap();
            assert_eq!(serde_json::from_slice::<Index>(&text).unwrap(), index);
        }
        shelf.sweep(&BTreeSet::new());
        assert!(shelf.has(object.id()), "it may still be wanted");
    }
}
