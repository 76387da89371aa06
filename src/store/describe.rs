//! What is said of a function beside its code, and changing that: nothing is loaded for it, and no new
//! version comes of it.

use std::sync::Arc;

use super::Shared;
use super::in_force::{in_force, unchanged};
use super::name::FunctionName;
use super::stored::{About, Stored, now};
use super::trial::check_target;
use super::turn::{deployed, turn};
use super::view::Function;
use crate::catalogue::Content;
use crate::failure::Failure;

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

pub(super) fn changed(mut about: About, change: &Change) -> Result<About, Failure> {
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
