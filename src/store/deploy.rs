//! A new version, from the request to what is in force: it is tried in a worker of its own and then
//! replaces the old one in one step, or nothing changes and whoever asked is told why.

use std::sync::Arc;

use super::Shared;
use super::database::Database;
use super::describe::{Change, changed};
use super::in_force::keep;
use super::name::FunctionName;
use super::object::Object;
use super::stored::{About, Stored, new_uuid, now};
use super::trial::{Stopped, check_target, choose, nothing_in_it, try_out, with_what_is_in_force};
use super::turn::{missing, turn};
use super::view::{Attempt, Function, Load, View};
use crate::catalogue::{Content, Kind};
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

/// What must be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Nothing,
    AnOlderVersion,
    Either,
}

/// Names that never loaded are remembered up to this many, so that nobody fills the memory with them.
const MOST_ATTEMPTS: usize = 1000;

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
    shared.note(|state| state.attempts.insert(text.clone(), attempt(Load::InProgress)));
    let outcome = try_and_keep(&shared, &database, &view, &name, version, new, change).await;
    shared.note(|state| match &outcome {
        Err(Stopped::NotLoaded(reason)) if existing.is_some() || state.attempts.len() < MOST_ATTEMPTS => {
            let reason = with_what_is_in_force(reason, existing);
            state.attempts.insert(text.clone(), attempt(Load::Failed(reason)));
        }
        _ => {
            state.attempts.remove(&text);
        }
    });
    if let Err(Stopped::NotLoaded(_)) = &outcome {
        // The reason may quote the source, which is nothing for a log.
        tracing::warn!(name = name.as_str(), version, "not deployed: it does not load, /status tells why");
    }
    outcome.map_err(|stopped| stopped.failure(&format!("endpoint {name} was not deployed."), existing))
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
        uuid: new_uuid()?,
        size: object.as_ref().map_or(0, Object::size),
        deployed_by: change.user.as_deref().map(str::to_owned),
        creation_time: before.map_or(time, |function| function.current.creation_time),
        last_modified_time: time,
        deployed_time: time,
    };
    Ok(keep(shared, database, before, stored, object.as_ref()).await?)
}
