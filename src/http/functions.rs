//! Our own management of functions: source or archive come in the request, so nobody has to share a disk
//! with the server, and earlier versions are listed and put in force again.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::json;
use super::endpoints::{self, user};
use super::openapi::schema::{
    self, Archive, ChangeRefused, ErrorBody, FunctionList, FunctionVersions, Refused,
};
use super::service::Service;
use super::{Handled, body, listing};
use crate::failure::Failure;
use crate::store::{self, Change, Deploy, Expected, Function, FunctionName, New, Object, WHAT_A_NAME_TAKES};

/// What may follow the name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    function: Option<String>,
    description: Option<String>,
    public: Option<String>,
    schema: Option<String>,
    python: Option<String>,
}

#[derive(Deserialize)]
struct Rollback {
    version: Option<String>,
}

/// All deployed functions, with their versions.
#[utoipa::path(
    get, path = "/functions", tag = "functions", operation_id = "functions",
    responses((status = 200, description = "All of them", body = FunctionList), Refused)
)]
pub(super) async fn list(service: web::Data<Service>) -> HttpResponse {
    let view = service.store.view();
    let mut body = b"{\"functions\": [".to_vec();
    for (number, function) in view.functions.values().enumerate() {
        if number > 0 {
            body.extend_from_slice(b", ");
        }
        listing::function(function, &view, &service.subdirectory, &mut body);
    }
    body.extend_from_slice(b"]}");
    json(200, body)
}

/// One deployed function, with its versions.
#[utoipa::path(
    get, path = "/functions/{name}", tag = "functions", operation_id = "function",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add")),
    responses((status = 200, description = "The function", body = schema::Function), Refused,
        (status = 404, description = "There is no such function", body = ErrorBody))
)]
pub(super) async fn one(name: web::Path<String>, service: web::Data<Service>) -> Handled {
    let view = service.store.view();
    let function = view.get(&name).ok_or_else(|| missing(&name))?;
    Ok(answer(200, function, &service))
}

/// The versions of a function that are kept.
#[utoipa::path(
    get, path = "/functions/{name}/versions", tag = "functions", operation_id = "versions",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add")),
    responses((status = 200, description = "The newest first", body = FunctionVersions), Refused,
        (status = 404, description = "There is no such function", body = ErrorBody))
)]
pub(super) async fn versions(name: web::Path<String>, service: web::Data<Service>) -> Handled {
    let view = service.store.view();
    let function = view.get(&name).ok_or_else(|| missing(&name))?;
    let mut body = Vec::new();
    listing::Members::of(&mut body, |members| {
        members.text("name", &function.current.name);
        listing::versions(function, members.key("versions"));
    });
    Ok(json(200, body))
}

/// Deploys Python source, or a cloudpickle archive. It is tried before it replaces what works.
#[utoipa::path(
    put, path = "/functions/{name}", tag = "functions", operation_id = "deploy",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add"),
        ("function" = Option<String>, Query, nullable = false, description = "Which function of the source; without it the one called as the route says, or the only one"),
        ("description" = Option<String>, Query, nullable = false),
        ("public" = Option<bool>, Query, nullable = false),
        ("schema" = Option<String>, Query, nullable = false, description = "JSON Schema of the arguments; it is shown, not checked"),
        ("python" = Option<String>, Query, nullable = false, description = "Which Python made an archive, such as 3.11", pattern = r"^3\.\d+$", example = "3.11")),
    request_body(
        content((String = "text/x-python", example = "def add(x, y):\n    return [a + b for a, b in zip(x, y)]\n"), (Archive = "application/octet-stream")),
        description = "Source in UTF-8, or an archive"),
    responses((status = 200, description = "The next version is in force", body = schema::Function),
        (status = 201, description = "A new function is in force", body = schema::Function), ChangeRefused)
)]
pub(super) async fn put(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    let limit = service.store.max_function_bytes();
    let body = body::read(&request, payload, limit, None).await;
    // The words for other requests name another setting.
    let body =
        body.map_err(|failure| if failure.status == 413 { store::too_large(limit) } else { failure })?;
    let name = named(&name)?;
    if body.is_empty() {
        return Err(Failure::new(400, "The function is missing.")
            .info("Send Python source, or a cloudpickle archive with Content-Type: application/octet-stream, as the body.")
            .into());
    }
    let parameters = parameters(&request)?;
    let change = Change {
        description: parameters.description.clone(),
        schema: schema(&request, &parameters)?,
        is_public: parameters.public.as_deref().map(boolean).transpose()?,
        user: user(&request),
        ..Change::default()
    };
    let new = new(&request, parameters, body)?;
    let deploy = Deploy { name: name.clone(), new, change, expected: Expected::Either };
    let function = service.store.deploy(deploy).await?;
    let status = if function.versions.len() == 1 && function.current.version == 1 { 201 } else { 200 };
    Ok(answer(status, &function, &service))
}

/// Puts an earlier version in force again.
#[utoipa::path(
    post, path = "/functions/{name}/rollback", tag = "functions", operation_id = "roll_back",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add"),
        ("version" = u32, Query, minimum = 1, description = "One that is kept", example = 1)),
    responses((status = 200, description = "It is in force", body = schema::Function), ChangeRefused)
)]
pub(super) async fn roll_back(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    body::read(&request, payload, service.max_request_bytes, None).await?;
    let refused = || {
        Failure::new(400, "The version must be a whole number from 1 on.")
            .info("POST /functions/NAME/rollback?version=2; GET /functions/NAME/versions lists those that are kept.")
    };
    let parameters = web::Query::<Rollback>::from_query(request.query_string()).map_err(|_| refused())?;
    let version = parameters.version.as_deref().and_then(|text| text.parse().ok());
    let version = version.filter(|version| *version > 0).ok_or_else(refused)?;
    let function = service.store.roll_back(named(&name)?, version, user(&request)).await?;
    Ok(answer(200, &function, &service))
}

/// Removes a function with all its versions.
#[utoipa::path(
    delete, path = "/functions/{name}", tag = "functions", operation_id = "remove",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "add")),
    responses((status = 204, description = "It is removed"), ChangeRefused)
)]
pub(super) async fn remove(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    endpoints::remove(request, name, payload, service).await
}

fn answer(status: u16, function: &Function, service: &Service) -> HttpResponse {
    let mut body = Vec::new();
    listing::function(function, &service.store.view(), &service.subdirectory, &mut body);
    json(status, body)
}

fn missing(name: &str) -> Failure {
    Failure::new(404, "Unknown endpoint").info(format!("Endpoint {name} is not found"))
}

fn named(name: &str) -> Result<FunctionName, Failure> {
    FunctionName::new(name).ok_or_else(|| Failure::new(400, WHAT_A_NAME_TAKES))
}

fn parameters(request: &HttpRequest) -> Result<Parameters, Failure> {
    let parameters = web::Query::<Parameters>::from_query(request.query_string());
    parameters.map(web::Query::into_inner).map_err(|error| {
        Failure::new(400, "The function's parameters cannot be read.").info(format!(
            "They are function, description, public, schema and python, each at most once: {error}."
        ))
    })
}

/// An archive if the client says so, else source.
fn new(request: &HttpRequest, parameters: Parameters, body: Bytes) -> Result<New, Failure> {
    let kind = header(request, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let unkept = || Failure::new(400, "The function is missing.");
    if matches!(kind.as_str(), "application/octet-stream" | "application/x-cloudpickle") {
        let python = parameters.python.or_else(|| header(request, "TabPy-Python").map(str::to_owned));
        let object = Object::archive(body).ok_or_else(unkept)?;
        return Ok(New::Archive { object, python: python.map(|python| minor(&python)).transpose()? });
    }
    if std::str::from_utf8(&body).is_err() {
        return Err(Failure::new(400, "The function's source is not UTF-8.")
            .info("A cloudpickle archive needs the header Content-Type: application/octet-stream."));
    }
    Ok(New::Source { object: Object::source(body).ok_or_else(unkept)?, function: parameters.function })
}

fn schema(request: &HttpRequest, parameters: &Parameters) -> Result<Option<String>, Failure> {
    let text = parameters.schema.as_deref().or_else(|| header(request, "TabPy-Schema"));
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    match serde_json::from_str::<&RawValue>(text) {
        Ok(schema) if schema.get() == "null" => Ok(None),
        Ok(schema) => Ok(Some(schema.get().to_owned())),
        Err(error) => Err(Failure::new(400, "The function's schema is no JSON.").info(error.to_string())),
    }
}

fn boolean(text: &str) -> Result<bool, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Failure::new(400, "public must be true or false.")),
    }
}

/// `3.11` of `3.11.2`.
fn minor(text: &str) -> Result<String, Failure> {
    let mut parts = text.trim().split('.');
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
    match (number(parts.next()), number(parts.next())) {
        (Some(major), Some(minor)) => Ok(format!("{major}.{minor}")),
        _ => Err(Failure::new(400, "python must be the version that made the archive, such as 3.11.")),
    }
}

fn header<'request>(request: &'request HttpRequest, name: &str) -> Option<&'request str> {
    request.headers().get(name).and_then(|value| value.to_str().ok())
}
