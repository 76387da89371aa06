//! An earlier version that is put in force again, as a new one. It is tried like any other first: what it
//! needs may be gone by now.

use std::sync::Arc;

use super::Shared;
use super::in_force::keep;
use super::name::FunctionName;
use super::stored::{Stored, new_uuid, now};
use super::trial::{Stopped, check_target, load};
use super::turn::{deployed, turn};
use super::view::Function;
use crate::catalogue::{Content, Kind};
use crate::failure::Failure;

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
    tried.map_err(|stopped| {
        stopped.failure(&format!("version {version} of {name} was not put in force again."), Some(function))
    })?;
    let mut stored = Stored::clone(old);
    stored.version = function.current.version.saturating_add(1);
    stored.uuid = new_uuid()?;
    stored.deployed_by = user.as_deref().map(str::to_owned);
    stored.deployed_time = now();
    stored.last_modified_time = stored.deployed_time;
    // The files of a version that is kept are there already.
    keep(&shared, &database, Some(function), stored, None).await
}
