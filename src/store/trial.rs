//! Whether a version would work, which is known before it is put in force: a function is loaded once, by a
//! worker of its own, and an alias's target is looked up. Nothing is put in force here.

use std::sync::Arc;

use super::Shared;
use super::name::FunctionName;
use super::object::Object;
use super::stored::About;
use super::trouble::Trouble;
use super::view::{Function, View};
use crate::catalogue::{Kind, Published, Trial};
use crate::failure::Failure;

/// Why a version is not put in force.
pub(super) enum Stopped {
    NotLoaded(String),
    Failure(Failure),
}

impl Stopped {
    /// The answer to whoever asked, where `what` did not come about.
    pub(super) fn failure(self, what: &str, existing: Option<&Function>) -> Failure {
        match self {
            Self::Failure(failure) => failure,
            Self::NotLoaded(reason) => Failure::new(422, format!("LoadFailed: {what}"))
                .info(with_what_is_in_force(&reason, existing)),
        }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

pub(super) async fn try_out(
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

pub(super) async fn load(
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
pub(super) fn choose(name: &FunctionName, all: Vec<Published>) -> Result<(String, About), Stopped> {
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

pub(super) fn nothing_in_it(name: &FunctionName) -> Stopped {
    Stopped::NotLoaded(format!("There is no function in it that could be called as {name}."))
}

pub(super) fn check_target(view: &View, name: &FunctionName, target: &str) -> Result<(), Failure> {
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

pub(super) fn with_what_is_in_force(reason: &str, existing: Option<&Function>) -> String {
    match existing {
        Some(function) => {
            let stop = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
            format!("{reason}{stop} Version {} is still in force.", function.current.version)
        }
        None => reason.to_owned(),
    }
}
