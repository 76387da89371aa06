//! What a TabPy has left in its state folder: `state.ini` tells of the functions, `query_objects` holds
//! their archives. It is only read; what cannot be is told of and left out.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::name::FunctionName;
use super::object::Object;
use super::staging::{self, Refused};
use super::stored::{About, NO_DOCSTRING, Stored, now, uuid};
use crate::catalogue::Content;
use crate::config::ini::{Names, Section};

/// The state's file, and the folder of archives beside it.
const STATE: &str = "state.ini";
const ARCHIVES: &str = "query_objects";

/// What TabPy keeps of a function.
#[derive(Deserialize)]
struct Kept {
    version: u32,
    r#type: Option<String>,
    description: Option<String>,
    dependencies: Option<Vec<String>>,
    target: Option<String>,
    creation_time: Option<f64>,
    last_modified_time: Option<f64>,
    schema: Option<Box<RawValue>>,
    is_public: Option<bool>,
}

/// All versions that can be read, with their files, and why others cannot.
#[derive(Default)]
pub(super) struct Found {
    pub(super) functions: Vec<(Stored, Option<Object>)>,
    pub(super) left_out: Vec<String>,
}

/// At most `most` bytes for a version, and `versions` of a function.
pub(super) fn read(state_path: &Path, most: usize, versions: u32) -> Found {
    let mut found = Found::default();
    let Ok(text) = std::fs::read(state_path.join(STATE)) else { return found };
    let text = String::from_utf8_lossy(&text);
    let section = |name| Section::parse(&text, name, Names::AsWritten).ok().flatten().unwrap_or_default();
    let functions = section("Query Objects Service Versions");
    let docstrings = section("Query Objects Docstrings");
    let value = |section: &Section, name: &str| {
        // What Python would not resolve is taken as it is.
        section
            .resolve(name, &|_| None)
            .ok()
            .or_else(|| section.values.get(name).cloned())
            .unwrap_or_default()
    };
    for name in functions.values.keys() {
        let kept = serde_json::from_str(&value(&functions, name));
        let docstring = unspoilt(&value(&docstrings, name));
        let read = match (FunctionName::new(name), kept) {
            (Some(_), Ok(Kept { version: 0, .. })) => Err("it has no version".to_owned()),
            (Some(_), Ok(kept)) => function(state_path, name, &kept, &docstring, most, versions),
            (None, _) => Err("its name is none that this server takes".to_owned()),
            (_, Err(error)) => Err(format!("what state.ini says of it cannot be read: {error}")),
        };
        match read {
            Ok(function) => found.functions.extend(function),
            Err(why) => found.left_out.push(format!("{name}: {why}")),
        }
    }
    leave_out_what_leads_nowhere(&mut found);
    found
}

/// Aliases of functions that are not there, and aliases of those.
fn leave_out_what_leads_nowhere(found: &mut Found) {
    loop {
        let names: BTreeSet<String> = found.functions.iter().map(|(stored, _)| stored.name.clone()).collect();
        let lost =
            |stored: &Stored| stored.target().filter(|target| !names.contains(*target)).map(str::to_owned);
        let Some(place) = found.functions.iter().position(|(stored, _)| lost(stored).is_some()) else {
            return;
        };
        let (stored, _) = found.functions.remove(place);
        let target = stored.target().unwrap_or_default();
        found.left_out.push(format!("{}: there is no function {target:?}, which it stands for", stored.name));
    }
}

fn function(
    state_path: &Path,
    name: &str,
    kept: &Kept,
    docstring: &str,
    most: usize,
    versions: u32,
) -> Result<Vec<(Stored, Option<Object>)>, String> {
    let about = About {
        description: kept.description.clone().unwrap_or_default(),
        docstring: if docstring.is_empty() { NO_DOCSTRING } else { docstring }.to_owned(),
        schema: kept.schema.as_ref().map(|schema| schema.get().to_owned()),
        is_public: kept.is_public.unwrap_or(false),
        dependencies: kept.dependencies.clone().unwrap_or_default(),
    };
    if let Some(excess) = about.excess() {
        return Err(excess.to_owned());
    }
    let modified = seconds(kept.last_modified_time);
    let stored = |version, content, size| -> Result<Stored, String> {
        Ok(Stored {
            name: name.to_owned(),
            version,
            content,
            about: about.clone(),
            uuid: uuid().map_err(|error| error.to_string())?,
            size,
            deployed_by: None,
            creation_time: seconds(kept.creation_time),
            last_modified_time: modified,
            deployed_time: modified,
        })
    };
    if let (Some("alias"), Some(target)) = (kept.r#type.as_deref(), &kept.target) {
        let content = Content::Alias { target: target.clone() };
        return Ok(vec![(stored(kept.version, content, 0)?, None)]);
    }
    let folder = state_path.join(ARCHIVES).join(name);
    let mut function = Vec::new();
    for version in (1..=kept.version).rev().take(versions as usize) {
        let object = match staging::read_folder(&folder.join(version.to_string()), most) {
            Ok(object) => object,
            Err(Refused::Missing) if version < kept.version => continue,
            Err(why) => {
                return Err(format!(
                    "the archive of version {version} cannot be read: {}",
                    words(&why, most)
                ));
            }
        };
        let content = Content::Archive { object: object.id().to_owned(), python: None };
        function.push((stored(version, content, object.size())?, Some(object)));
    }
    Ok(function)
}

fn words(why: &Refused, most: usize) -> String {
    match why {
        Refused::Missing => "it is not there".to_owned(),
        Refused::TooLarge => {
            format!("it is larger than TABPY_MAX_FUNCTION_SIZE_MB allows ({} MB)", most >> 20)
        }
        Refused::Invalid(why) => why.clone(),
    }
}

fn seconds(time: Option<f64>) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 are far from the limits")]
    time.map_or_else(now, |time| time as i64)
}

/// TabPy decodes a docstring as Latin-1 each time it writes its state, so text beyond ASCII is spoilt,
/// often more than once.
fn unspoilt(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..32 {
        let bytes: Option<Vec<u8>> = text.chars().map(|letter| u8::try_from(letter).ok()).collect();
        match bytes.filter(|bytes| !bytes.is_ascii()).map(String::from_utf8) {
            Some(Ok(better)) => text = better,
            _ => break,
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn functions_are_read_and_what_cannot_be_is_told() {
        let state = tempfile::tempdir().unwrap();
        let text = "[Service Info]\nName = x\n\n[Query Objects Service Versions]\n\
            add = {\"description\": \"5%% more\", \"type\": \"model\", \"version\": 3, \"dependencies\": [], \"target\": null, \
            \"creation_time\": 1700000000, \"last_modified_time\": 1700000001, \"schema\": {\"b\": 1, \"a\": 2}, \"is_public\": true}\n\
            gone = {\"version\": 1, \"type\": \"model\"}\nodd = {\nnone = {\"version\": 0, \"dependencies\": null}\n\
            lost = {\"version\": 1, \"type\": \"alias\", \"target\": \"gone\"}\nmore = {\"version\": 1, \"type\": \"alias\", \"target\": \"lost\"}\n\
            a b = {\"version\": 1, \"type\": \"alias\", \"target\": \"x\\u0000\"}\nsum = {\"version\": 1, \"type\": \"alias\", \"target\": \"add\"}\n\n\
            [Query Objects Docstrings]\nadd = Z\u{c3}\u{a4}hlt.\n\t\n\tZwei\n\n[Meta]\nRevision Number = 5\n";
        fs::write(state.path().join("state.ini"), text).unwrap();
        for version in [2, 3] {
            let folder = state.path().join(format!("query_objects/add/{version}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("pickle_archive"), format!("archive {version}")).unwrap();
        }
        let found = read(state.path(), 1000, 5);
        let names: Vec<_> =
            found.functions.iter().map(|(stored, _)| (stored.name.as_str(), stored.version)).collect();
        assert_eq!(names, [("add", 3), ("add", 2), ("sum", 1)]);
        let (add, object) = &found.functions[0];
        assert_eq!(add.about.docstring, "Zählt.\n\nZwei");
        assert_eq!((add.about.description.as_str(), add.about.is_public), ("5% more", true));
        assert_eq!(add.about.schema.as_deref(), Some("{\"b\": 1, \"a\": 2}"));
        assert_eq!((add.creation_time, add.last_modified_time, add.size), (1_700_000_000, 1_700_000_001, 9));
        assert_eq!(object.as_ref().unwrap().files()["pickle_archive"], "archive 3");
        assert_eq!(found.functions[2].0.target(), Some("add"));
        let left_out = [
            "gone: the archive of version 1 cannot be read: it is not there",
            "none: it has no version",
            "odd: what state.ini says of it cannot be read: EOF while parsing an object at line 1 column 1",
            "a b: there is no function \"x\\0\", which it stands for",
            "lost: there is no function \"gone\", which it stands for",
            "more: there is no function \"lost\", which it stands for",
        ];
        assert_eq!(found.left_out, left_out);
        assert_eq!(read(state.path(), 1000, 1).functions.len(), 2);
        assert!(
            read(state.path(), 5, 5).left_out.iter().any(|why| why.contains("TABPY_MAX_FUNCTION_SIZE_MB"))
        );
        assert!(read(Path::new("/gone"), 5, 5).functions.is_empty());
    }
}
