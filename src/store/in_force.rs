//! The last steps of a change: it is written down, and then what is in force says so, to clients and to
//! workers. Whoever asked is told where one of these steps fails.

use std::sync::Arc;

use super::database::{Database, Unchanged};
use super::object::Object;
use super::stored::Stored;
use super::turn::overtaken;
use super::view::{Function, Origin};
use super::{Shared, State};
use crate::failure::Failure;

/// Writes the version down and puts it in force.
pub(super) async fn keep(
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

/// Lets workers know, and gives what is in force now.
pub(super) fn in_force(
    shared: &Shared,
    name: &str,
    change: impl FnOnce(&mut State),
) -> Result<Function, Failure> {
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

pub(super) fn unchanged(name: &str, why: Unchanged) -> Failure {
    match why {
        Unchanged::Overtaken => overtaken(name),
        Unchanged::Trouble(trouble) => {
            tracing::error!(name, "a function could not be changed: {trouble}");
            trouble.failure()
        }
    }
}
