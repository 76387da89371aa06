//! A function taken away with all its versions. One that others call stays, unless a function of the folder
//! takes its place.

use std::sync::Arc;

use super::in_force::unchanged;
use super::name::FunctionName;
use super::trouble::Trouble;
use super::turn::{deployed, turn};
use super::{Shared, staging};
use crate::failure::Failure;

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
