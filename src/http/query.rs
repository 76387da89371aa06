//! `/query/{name}`: calls a deployed function with the body's `data`. The answer is the worker's; what is
//! added here is an `Etag` that is the same for the same result.

use std::fmt::Write as _;

use actix_web::http::header::{ETAG, HeaderValue};
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::openapi::schema::{BodyRefused, ErrorBody, Queried, Query};
use super::service::Service;
use super::{Handled, answer, body, evaluate};
use crate::failure::Failure;
use crate::pool::{self, Body, Trouble};
use crate::wire::Task;

/// An answer ends with `"<uuid>"}`, and each one's uuid is another.
const UUID: usize = 39;

/// Longer answers are digested where nobody else waits for the thread.
const QUICKLY_DIGESTED: usize = 64 << 10;

/// What may follow the name.
#[derive(serde::Deserialize)]
pub(super) struct Parameters {
    version: Option<String>,
}

/// Calls a deployed function.
#[utoipa::path(
    post, path = "/query/{name}", tag = "functions", operation_id = "query",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add"),
        ("version" = Option<u32>, Query, nullable = false, minimum = 1, description = "An earlier version; the current one if left out")),
    request_body(content = Query),
    responses((status = 200, description = "What the function returned", body = Queried), BodyRefused,
        (status = 404, description = "There is no such function or version", body = ErrorBody),
        (status = 500, description = "The function failed, or its result is no JSON", body = ErrorBody))
)]
pub(super) async fn query(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    let body = body::read(&request, payload, service.max_request_bytes, None).await?;
    let version = wanted(&request)?;
    let name = name.into_inner().into_boxed_str();
    let mut call = evaluate::Call {
        task: Task::Query,
        name: name.clone(),
        version,
        body,
        wants_printed: false,
        light: false,
    };
    let as_for_function = |trouble, timeout: &str| failure(trouble, &name, timeout);
    let answer = evaluate::work(&request, &service, &mut call, None, as_for_function).await?;
    let body = answer.body.whole();
    let tag = if answer.status == 200 { tag(&body).await } else { None };
    let mut response = answer::json_for(&request, answer.status, Body::Whole(body)).await;
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// The same, as TabPy takes it, too: the body comes with a GET.
#[utoipa::path(
    get, path = "/query/{name}", tag = "functions", operation_id = "query_by_get",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add"),
        ("version" = Option<u32>, Query, nullable = false, minimum = 1, description = "An earlier version; the current one if left out")),
    request_body(content = Query),
    responses((status = 200, description = "What the function returned", body = Queried), BodyRefused,
        (status = 404, description = "There is no such function or version", body = ErrorBody),
        (status = 500, description = "The function failed, or its result is no JSON", body = ErrorBody))
)]
pub(super) async fn query_by_get(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    query(request, name, payload, service).await
}

/// The version that is asked for; 0 where none is.
fn wanted(request: &HttpRequest) -> Result<u32, Failure> {
    let refused = || {
        Failure::new(400, "The version must be a whole number from 1 on.")
            .info("For the current version, leave it out: /query/NAME.")
    };
    let parameters = web::Query::<Parameters>::from_query(request.query_string()).map_err(|_| refused())?;
    match &parameters.version {
        None => Ok(0),
        Some(text) => text.parse().ok().filter(|version| *version > 0).ok_or_else(refused),
    }
}

fn failure(trouble: Trouble, name: &str, timeout: &str) -> Failure {
    match trouble {
        Trouble::TimedOut { .. } => Failure::new(
            408,
            format!("User defined function '{name}' timed out. Timeout is set to {timeout} s."),
        )
        .info("TABPY_QUERY_TIMEOUT is the time that a function may take."),
        Trouble::Died { how, .. } => {
            Failure::new(500, format!("Error querying function '{name}'")).info(pool::of_function(&how))
        }
        other => other.failure(String::new),
    }
}

async fn tag(body: &Bytes) -> Option<HeaderValue> {
    let result = body.slice(..body.len().checked_sub(UUID)?);
    if result.len() <= QUICKLY_DIGESTED {
        return digest(&result);
    }
    tokio::task::spawn_blocking(move || digest(&result)).await.ok()?
}

/// Thirty-two digits, as many as TabPy's have.
fn digest(result: &[u8]) -> Option<HeaderValue> {
    let mut text = String::from("\"");
    for byte in &Sha256::digest(result)[..16] {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    HeaderValue::from_str(&text).ok()
}
