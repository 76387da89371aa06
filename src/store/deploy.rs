//! Changes, from the request to what is in force: a new version is tried in a worker of its own and then
//! replaces the old one in one step, or nothing changes and whoever asked is told why. One name is
//! changed by one request at a time; across instances the database decides who was first.

use std::sync::Arc;

use super::database::{Database, Unchanged};
use super::name::FunctionName;
use super::object::Object;
use super::staging::{self, Refused};
use super::stored::{About, Stored, now, uuid};
use super::trouble::Trouble;
use super::view::{Attempt, Function, Load, Origin, View};
use super::{Shared, State};
use crate::catalogue::{Content, Kind, Published, Trial};
use crate::failure::Failure;

/// A function to put in force.
pub struct Deploy {
    pub name: FunctionName,
    pub new: New,
    pub change: Change,
    pub expected: Expected,
}

/// What it is.
pub enum New {
    /// With the minor version of Python that made it, where that is known.
    Archive {
        object: Object,
        python: Option<String>,
    },
    /// With the function's name in it, where that is given.
    Source {
        object: Object,
        function: Option<String>,
    },
    Alias {
        target: String,
    },
}

/// What is said of a function beside what it says itself; and who says so.
#[derive(Default)]
pub struct Change {
    pub description: Option<String>,
    pub docstring: Option<String>,
    /// JSON.
    pub schema: Option<String>,
    /// As TabPy does, a change that names no schema takes the old one away.
    pub schema_is_replaced: bool,
    pub is_public: Option<bool>,
    pub dependencies: Option<Vec<String>>,
    pub target: Option<String>,
    pub user: Option<Arc<str>>,
}

/// What must be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Nothing,
    AnOlderVersion,
    Either,
}

/// Names that never loaded are remembered up to this many, so that nobody fills the memory with them.
const MOST_ATTEMPTS: usize = 1000;

/// A name that this instance is changing, until it is dropped.
struct Turn {
    shared: Arc<Shared>,
    name: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.state().turns.remove(&self.name);
    }
}

pub(super) async fn deploy(shared: Arc<Shared>, deploy: Deploy) -> Result<Function, Failure> {
    let Deploy { name, new, change, expected } = deploy;
    let _turn = turn(&shared, &name)?;
    let database = shared.database().map_err(|trouble| trouble.failure())?;
    let view = shared.view();
    let existing = view.get(name.as_str());
    match (existing, expected) {
        (Some(_), Expected::Nothing) => {
            return Err(Failure::new(400, format!("endpoint {name} already exists.")));
        }
        (None, Expected::AnOlderVersion) => return Err(missing(&name)),
        _ => {}
    }
    let version = existing.map_or(1, |function| function.current.version.saturating_add(1));
    let kind = if matches!(new, New::Alias { .. }) { "alias" } else { "model" };
    let attempt = |load| Attempt { version, kind, load };
    let text = name.as_str().to_owned();
    note(&shared, |state| state.attempts.insert(text.clone(), attempt(Load::InProgress)));
    let outcome = try_and_keep(&shared, &database, &view, &name, version, new, change).await;
    note(&shared, |state| match &outcome {
        Err(Stopped::NotLoaded(reason)) if existing.is_some() || state.attempts.len() < MOST_ATTEMPTS => {
            let reason = with_what_is_in_force(reason, existing);
            state.attempts.insert(text.clone(), attempt(Load::Failed(reason)));
        }
        _ => {
            state.attempts.remove(&text);
        }
    });
    outcome.map_err(|stopped| match stopped {
        Stopped::Failure(failure) => failure,
        Stopped::NotLoaded(reason) => {
            // The reason may quote the source, which is nothing for a log.
            tracing::warn!(
                name = name.as_str(),
                version,
                "not deployed: it does not load, /status tells why"
            );
            Failure::new(422, format!("LoadFailed: endpoint {name} was not deployed."))
                .info(with_what_is_in_force(&reason, existing))
        }
    })
}

fn with_what_is_in_force(reason: &str, existing: Option<&Function>) -> String {
    match existing {
        Some(function) => {
            let stop = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
            format!("{reason}{stop} Version {} is still in force.", function.current.version)
        }
        None => reason.to_owned(),
    }
}

/// Why a version is not put in force.
enum Stopped {
    NotLoaded(String),
    Failure(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn try_and_keep(
    shared: &Arc<Shared>,
    database: &Database,
    view: &View,
    name: &FunctionName,
    version: u32,
    new: New,
    change: Change,
) -> Result<Function, Stopped> {
    let (content, object, about) = match new {
        New::Alias { target } => {
            check_target(view, name, &target)?;
            let about = About {
                description: String::new(),
                docstring: super::stored::NO_DOCSTRING.to_owned(),
                schema: None,
                is_public: false,
                dependencies: vec![target.clone()],
            };
            (Content::Alias { target }, None, about)
        }
        New::Archive { object, python } => {
            let published = try_out(shared, &object, Kind::Archive, None, python).await?;
            let published = published.into_iter().next();
            let about = published.as_ref().map(About::of).ok_or_else(|| nothing_in_it(name))?;
            // It loads here, so that is the Python it is for.
            let python = Some(shared.settings.python.to_owned());
            (Content::Archive { object: object.id().to_owned(), python }, Some(object), about)
        }
        New::Source { object, function } => {
            let all = try_out(shared, &object, Kind::Source, function, None).await?;
            let (function, about) = choose(name, all)?;
            (Content::Source { object: object.id().to_owned(), function }, Some(object), about)
        }
    };
    let before = view.get(name.as_str());
    let time = now();
    let stored = Stored {
        name: name.as_str().to_owned(),
        version,
        content,
        about: changed(about, &change)?,
        uuid: uuid()
            .map_err(|error| Failure::new(500, "There are no random numbers.").info(error.to_string()))?,
        size: object.as_ref().map_or(0, Object::size),
        deployed_by: change.user.as_deref().map(str::to_owned),
        creation_time: before.map_or(time, |function| function.current.creation_time),
        last_modified_time: time,
        deployed_time: time,
    };
    Ok(keep(shared, database, before, stored, object.as_ref()).await?)
}

/// Writes the version down and puts it in force.
async fn keep(
    shared: &Arc<Shared>,
    database: &Database,
    before: Option<&Function>,
    stored: Stored,
    object: Option<&Object>,
) -> Result<Function, Failure> {
    let deployed = before.filter(|function| function.origin == Origin::Deployed);
    let expected = deployed.map(|function| function.current.version);
    let kept = shared.settings.versions;
    let _order = shared.order.lock().await;
    database.put(expected, &stored, object, kept).await.map_err(|why| unchanged(&stored.name, why))?;
    tracing::info!(
        name = stored.name,
        version = stored.version,
        user = stored.deployed_by,
        size = stored.size,
        "function deployed"
    );
    let stored = Arc::new(stored);
    in_force(shared, &stored.name, |state| {
        let versions = state.deployed.entry(stored.name.clone()).or_default();
        versions.push(Arc::clone(&stored));
        versions.retain(|one| stored.version - one.version < kept);
    })
}

pub(super) async fn describe(
    shared: Arc<Shared>,
    name: FunctionName,
    change: Change,
) -> Result<Function, Failure> {
    let _turn = turn(&shared, &name)?;
    let database = shared.database().map_err(|trouble| trouble.failure())?;
    let view = shared.view();
    let function = deployed(&view, &name)?;
    let mut stored = Stored::clone(&function.current);
    stored.about = changed(stored.about, &change)?;
    if let (Content::Alias { target }, Some(new)) = (&mut stored.content, &change.target) {
        check_target(&view, &name, new)?;
        new.clone_into(target);
        stored.about.dependencies = vec![new.clone()];
    }
    stored.last_modified_time = now();
    let _order = shared.order.lock().await;
    database.describe(&stored).await.map_err(|why| unchanged(&stored.name, why))?;
    let user = change.user.as_deref();
    tracing::info!(name = stored.name, version = stored.version, user, "function described anew");
    let stored = Arc::new(stored);
    in_force(&shared, name.as_str(), |state| {
        let versions = state.deployed.entry(stored.name.clone()).or_default();
        versions.retain(|one| one.version != stored.version);
        versions.push(Arc::clone(&stored));
    })
}

pub(super) async fn roll_back(
    shared: Arc<Shared>,
    name: FunctionName,
    version: u32,
    user: Option<Arc<str>>,
) -> Result<Function, Failure> {
    let _turn = turn(&shared, &name)?;
    let database = shared.database().map_err(|trouble| trouble.failure())?;
    let view = shared.view();
    let function = deployed(&view, &name)?;
    let Some(old) = function.version(version) else {
        let kept: Vec<String> = function.versions.iter().map(|one| one.version.to_string()).collect();
        return Err(Failure::new(404, format!("Function {name} has no version {version}."))
            .info(format!("Kept are: {}. TABPY_FUNCTION_VERSIONS says how many are.", kept.join(", "))));
    };
    if version == function.current.version {
        return Err(Failure::new(400, format!("Version {version} of {name} is in force already.")));
    }
    let tried = match &old.content {
        Content::Alias { target } => check_target(&view, &name, target).map_err(Stopped::from),
        Content::Archive { object, python } => {
            load(&shared, object, Kind::Archive, None, python.clone()).await.map(drop)
        }
        Content::Source { object, function } => {
            load(&shared, object, Kind::Source, Some(function.clone()), None).await.map(drop)
        }
    };
    tried.map_err(|stopped| match stopped {
        Stopped::Failure(failure) => failure,
        Stopped::NotLoaded(reason) => {
            Failure::new(422, format!("LoadFailed: version {version} of {name} was not put in force again."))
                .info(with_what_is_in_force(&reason, Some(function)))
        }
    })?;
    let mut stored = Stored::clone(old);
    stored.version = function.current.version.saturating_add(1);
    stored.uuid =
        uuid().map_err(|error| Failure::new(500, "There are no random numbers.").info(error.to_string()))?;
    stored.deployed_by = user.as_deref().map(str::to_owned);
    stored.deployed_time = now();
    stored.last_modified_time = stored.deployed_time;
    // The files of a version that is kept are there already.
    keep(&shared, &database, Some(function), stored, None).await
}

pub(super) async fn remove(
    shared: Arc<Shared>,
    name: FunctionName,
    user: Option<Arc<str>>,
) -> Result<(), Failure> {
    let _turn = turn(&shared, &name)?;
    let database = shared.database().map_err(|trouble| trouble.failure())?;
    let view = shared.view();
    let function = deployed(&view, &name)?;
    let dependents = view.dependents(name.as_str());
    let uncovers = shared.state().published.contains_key(name.as_str());
    if !dependents.is_empty() && !uncovers {
        let list: Vec<String> = dependents.iter().map(|name| format!("'{name}'")).collect();
        return Err(Failure::new(
            400,
            format!(
                "Error when removing endpoint: Cannot remove endpoint {name}, it is currently used by [{}] endpoints.",
                list.join(", ")
            ),
        ));
    }
    let version = function.current.version;
    {
        let _order = shared.order.lock().await;
        database.remove(name.as_str(), version).await.map_err(|why| unchanged(name.as_str(), why))?;
        tracing::info!(name = name.as_str(), version, user = user.as_deref(), "function removed");
        shared
            .change(|state| {
                state.deployed.remove(name.as_str());
                state.attempts.remove(name.as_str());
            })
            .map_err(|error| Trouble::from(error).failure())?;
    }
    let state_path = shared.settings.state_path.clone();
    // What the client has left in the staging folder goes too, as with TabPy.
    let _ = tokio::task::spawn_blocking(move || staging::clear(&state_path, name.as_str())).await;
    Ok(())
}

pub(super) async fn staged(
    shared: &Shared,
    name: &FunctionName,
    src_path: String,
) -> Result<Object, Failure> {
    let (state_path, most) = (shared.settings.state_path.clone(), shared.settings.max_function_bytes);
    let reading = tokio::task::spawn_blocking(move || {
        let below = staging::below(&state_path, &src_path)?;
        staging::read(&state_path, &below, most)
    });
    let read = reading.await.unwrap_or_else(|error| Err(Refused::Invalid(error.to_string())));
    read.map_err(|refused| refusal(name, refused, most))
}

pub(super) fn check_staging_path(
    shared: &Shared,
    name: &FunctionName,
    src_path: &str,
) -> Result<(), Failure> {
    let checked = staging::below(&shared.settings.state_path, src_path);
    checked.map(drop).map_err(|refused| refusal(name, refused, shared.settings.max_function_bytes))
}

fn refusal(name: &FunctionName, refused: Refused, most: usize) -> Failure {
    let why = match refused {
        Refused::TooLarge => return too_large(most),
        Refused::Missing => {
            "There is nothing at that path. The client has to share the disk with this server; PUT /functions/NAME needs no shared disk.".to_owned()
        }
        Refused::Invalid(why) => format!("It cannot be read from there: {why}."),
    };
    Failure::new(400, format!("Invalid source path for endpoint {name}")).info(why)
}

/// A function that is larger than allowed.
pub fn too_large(most: usize) -> Failure {
    Failure::new(413, "The function is too large.")
        .info(format!("It may be {} MB, which is set by TABPY_MAX_FUNCTION_SIZE_MB.", most >> 20))
}

async fn try_out(
    shared: &Arc<Shared>,
    object: &Object,
    kind: Kind,
    function: Option<String>,
    python: Option<String>,
) -> Result<Vec<Published>, Stopped> {
    let shelved = shared.shelve(object.clone()).await;
    shelved.map_err(|error| Trouble::from(error).failure())?;
    load(shared, object.id(), kind, function, python).await
}

async fn load(
    shared: &Shared,
    object: &str,
    kind: Kind,
    function: Option<String>,
    python: Option<String>,
) -> Result<Vec<Published>, Stopped> {
    let trial = Trial { object: object.to_owned(), kind, function, python };
    let tried = shared.workers.try_out(&trial).await;
    tried.map(|tried| tried.functions).map_err(|error| Stopped::NotLoaded(error.reason))
}

/// The one that is meant among those that a source publishes.
fn choose(name: &FunctionName, all: Vec<Published>) -> Result<(String, About), Stopped> {
    let identifier = name.identifier();
    let named = |published: &&Published| {
        published.name.as_deref() == Some(name.as_str()) || published.function.as_deref() == Some(&identifier)
    };
    let chosen = match all.as_slice() {
        [only] => Some(only),
        several => several.iter().find(named),
    };
    let chosen = chosen.and_then(|published| Some((published.function.clone()?, About::of(published))));
    chosen.ok_or_else(|| {
        if all.is_empty() {
            return nothing_in_it(name);
        }
        let names: Vec<&str> = all.iter().filter_map(|published| published.function.as_deref()).collect();
        Stopped::NotLoaded(format!(
            "The source has several functions ({}) and none is called {identifier}: say which with ?function=NAME.",
            names.join(", ")
        ))
    })
}

fn nothing_in_it(name: &FunctionName) -> Stopped {
    Stopped::NotLoaded(format!("There is no function in it that could be called as {name}."))
}

fn changed(mut about: About, change: &Change) -> Result<About, Failure> {
    // As TabPy does, an empty text changes nothing.
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    about.description = given(&change.description).unwrap_or(about.description);
    about.docstring = given(&change.docstring).unwrap_or(about.docstring);
    if change.schema.is_some() || change.schema_is_replaced {
        about.schema.clone_from(&change.schema);
    }
    about.is_public = change.is_public.unwrap_or(about.is_public);
    if let Some(dependencies) = change.dependencies.as_ref().filter(|given| !given.is_empty()) {
        about.dependencies.clone_from(dependencies);
    }
    if let Some(excess) = about.excess() {
        return Err(
            Failure::new(413, "The function says too much of itself.").info(format!("That is, {excess}."))
        );
    }
    Ok(about.plain())
}

fn check_target(view: &View, name: &FunctionName, target: &str) -> Result<(), Failure> {
    if target == name.as_str() || view.would_loop(name.as_str(), target) {
        return Err(Failure::new(
            400,
            format!("Error when changing TabPy state: alias {name} would lead back to itself."),
        ));
    }
    if view.get(target).is_none() {
        return Err(Failure::new(400, "Error when changing TabPy state: target endpoint is not valid.")
            .info(format!("There is no function {target}.")));
    }
    Ok(())
}

/// The function, if it is one of the database's.
fn deployed<'view>(view: &'view View, name: &FunctionName) -> Result<&'view Function, Failure> {
    let function = view.get(name.as_str()).ok_or_else(|| missing(name))?;
    match &function.origin {
        Origin::Deployed => Ok(function),
        Origin::Folder { file } => Err(Failure::new(
            400,
            format!("endpoint {name} is published from the file {file} and can only be changed there."),
        )
        .info("Change or remove the file in TABPY_FUNCTIONS_PATH and start the server again, or deploy a function of the same name over it.")),
    }
}

fn missing(name: &FunctionName) -> Failure {
    Failure::new(404, format!("endpoint {name} does not exist."))
}

fn turn(shared: &Arc<Shared>, name: &FunctionName) -> Result<Turn, Failure> {
    if !shared.state().turns.insert(name.as_str().to_owned()) {
        return Err(overtaken(name.as_str()));
    }
    Ok(Turn { shared: Arc::clone(shared), name: name.as_str().to_owned() })
}

fn overtaken(name: &str) -> Failure {
    Failure::new(409, "Another endpoint update is already in progress, please wait a while and try again")
        .info(format!("Somebody else is changing {name} or has just changed it; this change was not made."))
        .retry_after(1)
}

fn unchanged(name: &str, why: Unchanged) -> Failure {
    match why {
        Unchanged::Overtaken => overtaken(name),
        Unchanged::Trouble(trouble) => {
            tracing::error!(name, "a function could not be changed: {trouble}");
            trouble.failure()
        }
    }
}

/// Lets workers know, and gives what is in force now.
fn in_force(shared: &Shared, name: &str, change: impl FnOnce(&mut State)) -> Result<Function, Failure> {
    let changed = shared.change(|state| {
        state.attempts.remove(name);
        change(state);
    });
    if let Err(error) = changed {
        tracing::error!(name, "the index of functions could not be written: {error}");
        return Err(Failure::new(
            507,
            format!("endpoint {name} is kept, but cannot be called from here yet."),
        )
        .info(format!("There is no room for it beside the server's temporary files (TMPDIR): {error}.")));
    }
    let function = shared.view().get(name).cloned();
    function.ok_or_else(|| Failure::new(409, format!("endpoint {name} was removed meanwhile.")))
}

fn note<T>(shared: &Shared, change: impl FnOnce(&mut State) -> T) {
    if let Err(error) = shared.change(change) {
        tracing::error!("the index of functions could not be written: {error}");
    }
}
