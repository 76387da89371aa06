//! Who may change a function: one name is changed by one request at a time, and only what is the
//! database's own. Across instances the database decides who was first.

use std::sync::Arc;

use super::Shared;
use super::name::FunctionName;
use super::view::{Function, Origin, View};
use crate::failure::Failure;

/// A name that this instance is changing, until it is dropped.
pub(super) struct Turn {
    shared: Arc<Shared>,
    name: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.state().turns.remove(&self.name);
    }
}

pub(super) fn turn(shared: &Arc<Shared>, name: &FunctionName) -> Result<Turn, Failure> {
    if !shared.state().turns.insert(name.as_str().to_owned()) {
        return Err(overtaken(name.as_str()));
    }
    Ok(Turn { shared: Arc::clone(shared), name: name.as_str().to_owned() })
}

/// The function, if it is one of the database's.
pub(super) fn deployed<'view>(view: &'view View, name: &FunctionName) -> Result<&'view Function, Failure> {
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

pub(super) fn missing(name: &FunctionName) -> Failure {
    Failure::new(404, format!("endpoint {name} does not exist."))
}

pub(super) fn overtaken(name: &str) -> Failure {
    Failure::new(409, "Another endpoint update is already in progress, please wait a while and try again")
        .info(format!("Somebody else is changing {name} or has just changed it; this change was not made."))
        .retry_after(1)
}
