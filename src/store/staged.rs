//! The archive that TabPy's client has put into the staging folder, taken for a function. Why it is not
//! taken is told in TabPy's words; how it is read is `staging`'s.

use super::Shared;
use super::name::FunctionName;
use super::object::Object;
use super::staging::{self, Refused};
use crate::failure::Failure;

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

/// A function that is larger than allowed.
pub fn too_large(most: usize) -> Failure {
    Failure::new(413, "The function is too large.")
        .info(format!("It may be {} MB, which is set by TABPY_MAX_FUNCTION_SIZE_MB.", most >> 20))
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
