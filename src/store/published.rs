//! The functions' folder: what its Python files publish is in force from the start on, in this instance
//! alone and never in the database. A file that does not load is told of and leaves the others be.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use super::name::{FunctionName, WHAT_A_NAME_TAKES};
use super::object::Object;
use super::stored::{About, Stored, as_uuid, now};
use crate::catalogue::{Content, Kind, Published, Trial};

/// A file of the folder.
struct Source {
    /// Without `.py`.
    stem: String,
    object: Object,
    modified: i64,
}

/// Goes through the folder once.
pub(super) async fn publish(shared: Arc<Shared>) {
    let path = shared.settings.functions_path.clone();
    let most = shared.settings.max_function_bytes;
    let (sources, broken) = match read(&path, most) {
        Ok(found) => found,
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound && !shared.settings.functions_path_is_set =>
        {
            (Vec::new(), Vec::new())
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), "TABPY_FUNCTIONS_PATH cannot be read: {error}");
            (Vec::new(), Vec::new())
        }
    };
    for (stem, reason) in broken {
        refuse(&shared, &stem, reason);
    }
    let mut trials = tokio::task::JoinSet::new();
    for source in sources {
        let shared = Arc::clone(&shared);
        trials.spawn(async move {
            let tried = try_out(&shared, &source).await;
            (source, tried)
        });
    }
    let mut done = Vec::new();
    while let Some(one) = trials.join_next().await {
        done.extend(one.ok());
    }
    // The order of their names decides who has a name that two files publish.
    done.sort_by(|(one, _), (other, _)| one.stem.cmp(&other.stem));
    for (source, tried) in done {
        match tried {
            Ok(functions) => take(&shared, &source, functions),
            Err(reason) => refuse(&shared, &source.stem, reason),
        }
    }
    shared.note(|state| state.folder_done = true);
}

async fn try_out(shared: &Arc<Shared>, source: &Source) -> Result<Vec<Published>, String> {
    shared.shelve(source.object.clone()).await.map_err(|error| error.to_string())?;
    let trial =
        Trial { object: source.object.id().to_owned(), kind: Kind::Source, function: None, python: None };
    let tried = shared.workers.try_out(&trial).await.map_err(|error| error.reason)?;
    if tried.functions.is_empty() {
        return Err("it publishes nothing: it has no public function at its top level".to_owned());
    }
    Ok(tried.functions)
}

fn take(shared: &Shared, source: &Source, functions: Vec<Published>) {
    let mut names = Vec::new();
    for published in functions {
        let Some(function) = published.function.clone() else { continue };
        let name = published.name.clone().unwrap_or_else(|| function.clone());
        if FunctionName::new(&name).is_none() {
            refuse(
                shared,
                &source.stem,
                format!("{function} cannot be published as {name:?}: {WHAT_A_NAME_TAKES}"),
            );
            continue;
        }
        let about = About::of(&published);
        if let Some(excess) = about.excess() {
            refuse(shared, &source.stem, format!("{name}: {excess}"));
            continue;
        }
        let taken = shared.state().published.get(&name).map(|(file, _)| file.clone());
        if let Some(other) = taken {
            refuse(shared, &source.stem, format!("{other} publishes {name} already"));
            continue;
        }
        names.push(name.clone());
        let stored = Arc::new(Stored {
            name: name.clone(),
            version: 1,
            content: Content::Source { object: source.object.id().to_owned(), function },
            about,
            uuid: uuid(&source.object, &name),
            size: source.object.size(),
            deployed_by: None,
            creation_time: source.modified,
            last_modified_time: source.modified,
            deployed_time: now(),
        });
        shared.note(|state| state.published.insert(name, (format!("{}.py", source.stem), stored)));
    }
    tracing::info!(file = format!("{}.py", source.stem), functions = names.join(", "), "published");
}

fn refuse(shared: &Shared, stem: &str, reason: String) {
    tracing::warn!(file = format!("{stem}.py"), "not published: {reason}");
    shared.note(|state| state.broken.insert(stem.to_owned(), reason));
}

/// The files, by name; and why some cannot be read.
#[expect(clippy::type_complexity, reason = "two lists of pairs")]
fn read(folder: &Path, most: usize) -> std::io::Result<(Vec<Source>, Vec<(String, String)>)> {
    let (mut sources, mut broken) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let python = path.extension().is_some_and(|extension| extension == "py");
        if !python || stem.starts_with(['.', '_']) {
            continue;
        }
        match source(&path, stem, most) {
            Ok(source) => sources.push(source),
            Err(reason) => broken.push((stem.to_owned(), reason)),
        }
    }
    Ok((sources, broken))
}

fn source(path: &Path, stem: &str, most: usize) -> Result<Source, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    if about.len() > most as u64 {
        return Err(format!("it is larger than TABPY_MAX_FUNCTION_SIZE_MB allows ({} MB)", most >> 20));
    }
    let content = std::fs::read(path).map_err(|error| error.to_string())?;
    let modified = std::os::unix::fs::MetadataExt::mtime(&about);
    let object = Object::source(Bytes::from(content)).ok_or("it cannot be kept")?;
    Ok(Source { stem: stem.to_owned(), object, modified })
}

/// The same for the same content, in every instance.
fn uuid(object: &Object, name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(format!("{} {name}", object.id()));
    as_uuid(std::array::from_fn(|place| digest[place]))
}
