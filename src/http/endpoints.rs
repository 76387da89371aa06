//! The management of deployed functions as TabPy's client speaks it: statuses, bodies and the order in
//! which a request is found wanting are TabPy's. What it takes to deploy is known to the store.

use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::json;
use super::openapi::schema::{
    ChangeRefused, ChangedEndpoint, Destination, Endpoint, ErrorBody, NewEndpoint, Refused, StatusLine,
};
use super::service::Service;
use super::{Handled, body, listing};
use crate::failure::{Failure, write_json_string};
use crate::store::{
    Change, Deploy, Expected, Function, FunctionName, New, WHAT_A_NAME_TAKES, staging_folder,
};
use crate::telemetry::Record;

/// The body of POST and PUT. Of types that may be wrong, so that the answer can say which one is.
#[derive(Deserialize)]
struct Given {
    name: Option<Value>,
    description: Option<Value>,
    docstring: Option<Value>,
    r#type: Option<Value>,
    dependencies: Option<Value>,
    target: Option<Value>,
    schema: Option<Box<RawValue>>,
    src_path: Option<Value>,
    is_public: Option<Value>,
    should_update_version: Option<Value>,
}

/// All deployed functions by name.
#[utoipa::path(
    get, path = "/endpoints", tag = "endpoints", operation_id = "endpoints",
    responses((status = 200, description = "By name", body = BTreeMap<String, Endpoint>), Refused)
)]
pub(super) async fn list(service: web::Data<Service>) -> HttpResponse {
    json(200, listing::endpoints(&service.store.view()))
}

/// Whether each deployed function has loaded.
#[utoipa::path(
    get, path = "/status", tag = "endpoints", operation_id = "status",
    responses((status = 200, description = "By name", body = BTreeMap<String, StatusLine>), Refused)
)]
pub(super) async fn status(service: web::Data<Service>) -> HttpResponse {
    json(200, listing::status(&service.store.view()))
}

/// One deployed function.
#[utoipa::path(
    get, path = "/endpoints/{name}", tag = "endpoints", operation_id = "endpoint",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "sum")),
    responses((status = 200, description = "The function", body = Endpoint), Refused,
        (status = 404, description = "There is no such function", body = ErrorBody))
)]
pub(super) async fn one(name: web::Path<String>, service: web::Data<Service>) -> Handled {
    let view = service.store.view();
    let Some(function) = view.get(&name) else {
        return Err(Failure::new(404, "Unknown endpoint")
            .info(format!("Endpoint {name} is not found"))
            .into());
    };
    let mut body = Vec::new();
    listing::endpoint(&function.current, &mut body);
    Ok(json(200, body))
}

/// The folder in which TabPy's client leaves an archive before it posts its path.
#[utoipa::path(
    get, path = "/configurations/endpoint_upload_destination", tag = "endpoints", operation_id = "upload_destination",
    responses((status = 200, description = "A folder of the server", body = Destination), Refused)
)]
pub(super) async fn upload_destination(service: web::Data<Service>) -> HttpResponse {
    let mut body = b"{\"path\": ".to_vec();
    write_json_string(&staging_folder(&service.state_path).to_string_lossy(), &mut body);
    body.push(b'}');
    json(200, body)
}

/// Deploys an archive from the upload folder, or an alias.
#[utoipa::path(
    post, path = "/endpoints", tag = "endpoints", operation_id = "add_endpoint",
    request_body(content = NewEndpoint),
    responses((status = 201, description = "It is deployed", body = BTreeMap<String, Endpoint>), ChangeRefused)
)]
pub(super) async fn add(request: HttpRequest, payload: web::Payload, service: web::Data<Service>) -> Handled {
    let given = read(&request, payload, &service).await?;
    let Some(name) = given.name.clone() else {
        return Err(Failure::new(400, "name is required to add an endpoint.").into());
    };
    let Value::String(name) = name else {
        return Err(Failure::new(400, "Endpoint name must be a string").into());
    };
    if service.store.view().get(&name).is_some() {
        return Err(Failure::new(400, format!("endpoint {name} already exists.")).into());
    }
    let function = deploy(&request, &service, &name, given, None).await?;
    Ok(json(201, listing::named_endpoint(&function.current)))
}

/// Deploys another version, or changes what is told of the current one.
#[utoipa::path(
    put, path = "/endpoints/{name}", tag = "endpoints", operation_id = "change_endpoint",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "sum")),
    request_body(content = ChangedEndpoint),
    responses((status = 200, description = "It is changed", body = BTreeMap<String, Endpoint>), ChangeRefused)
)]
pub(super) async fn change(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    let given = read(&request, payload, &service).await?;
    let view = service.store.view();
    let Some(function) = view.get(&name) else { return Err(missing(&name).into()) };
    let function = match given.should_update_version.as_ref().is_some_and(is_true) {
        true => deploy(&request, &service, &name, given, Some(function)).await?,
        false => describe(&request, &service, &name, given, function).await?,
    };
    Ok(json(200, listing::named_endpoint(&function.current)))
}

/// Removes a function with all its versions.
#[utoipa::path(
    delete, path = "/endpoints/{name}", tag = "endpoints", operation_id = "remove_endpoint",
    params(("name" = String, Path, description = "Of the function; letters, digits, underscores, hyphens and spaces", pattern = "^[a-zA-Z0-9 _-]+$", example = "sum")),
    responses((status = 204, description = "It is removed"), ChangeRefused)
)]
pub(super) async fn remove(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Handled {
    body::read(&request, payload, service.max_request_bytes, None).await?;
    let name = FunctionName::new(&name).ok_or_else(|| missing(&name))?;
    service.store.remove(name, user(&request)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The user who signed in.
pub(super) fn user(request: &HttpRequest) -> Option<Arc<str>> {
    request.extensions().get::<Record>().and_then(|record| record.user.clone())
}

pub(super) fn missing(name: &str) -> Failure {
    Failure::new(404, format!("endpoint {name} does not exist."))
}

async fn read(request: &HttpRequest, payload: web::Payload, service: &Service) -> Result<Given, Failure> {
    let body = body::read(request, payload, service.max_request_bytes, None).await?;
    if body.is_empty() {
        return Err(Failure::new(400, "Input body cannot be empty"));
    }
    let undecodable =
        |error: serde_json::Error| Failure::new(400, "Failed to decode input body").info(error.to_string());
    let raw: &RawValue = serde_json::from_slice(&body).map_err(undecodable)?;
    if !raw.get().starts_with('{') {
        return Err(Failure::new(400, "name is required to add an endpoint."));
    }
    serde_json::from_str(raw.get()).map_err(undecodable)
}

/// A new version, of a function that is there if `before` is.
async fn deploy(
    request: &HttpRequest,
    service: &Service,
    name: &str,
    given: Given,
    before: Option<&Function>,
) -> Result<Function, Failure> {
    let name = FunctionName::new(name).ok_or_else(|| Failure::new(400, WHAT_A_NAME_TAKES))?;
    let kind = kind(&given, before)?;
    let new = match kind {
        "alias" => {
            let target = text(&given.target, "target")?.filter(|target| !target.is_empty());
            let target = target.ok_or_else(|| Failure::new(400, "Target is required for alias endpoint."))?;
            New::Alias { target }
        }
        _ => {
            let src_path = src_path(&given, &name)?;
            New::Archive { object: service.store.staged(&name, &src_path).await?, python: None }
        }
    };
    let mut change = change_of(request, &given)?;
    if let Some(before) = before {
        // What the client leaves out stays as it is.
        let about = &before.current.about;
        let or = |given: Option<String>, old: &String| {
            given.filter(|text| !text.is_empty()).or_else(|| Some(old.clone()))
        };
        change.description = or(change.description, &about.description);
        change.docstring = or(change.docstring, &about.docstring);
        change.is_public = change.is_public.or(Some(about.is_public));
    }
    let expected = if before.is_some() { Expected::AnOlderVersion } else { Expected::Nothing };
    service.store.deploy(Deploy { name, new, change, expected }).await
}

/// What is told of the version that is in force; the client names the old place of its archive, where
/// nothing need be left.
async fn describe(
    request: &HttpRequest,
    service: &Service,
    name: &str,
    given: Given,
    before: &Function,
) -> Result<Function, Failure> {
    let name = FunctionName::new(name).ok_or_else(|| missing(name))?;
    match kind(&given, Some(before))? {
        kind if kind != before.current.kind() => {
            return Err(Failure::new(
                400,
                format!("Error when changing TabPy state: endpoint {name} is no {kind}."),
            )
            .info("Set should_update_version to true to replace it."));
        }
        "alias" => {}
        _ => {
            let src_path = src_path(&given, &name)?;
            service.store.check_staging_path(&name, &src_path)?;
        }
    }
    let change = change_of(request, &given)?;
    service.store.describe(name, change).await
}

fn src_path(given: &Given, name: &FunctionName) -> Result<String, Failure> {
    match &given.src_path {
        Some(Value::String(path)) if !path.is_empty() => {
            let plain = |letter: char| {
                letter.is_ascii_alphanumeric() || letter.is_whitespace() || "\\:-_~/.()".contains(letter)
            };
            // The state path may have other letters in it than TabPy takes in a path.
            let odd = path.chars().any(|letter| !plain(letter) && letter.is_ascii());
            if odd {
                Err(Failure::new(400, format!("Invalid source path for endpoint {name}")))
            } else {
                Ok(path.clone())
            }
        }
        None | Some(Value::Null) => Err(Failure::new(400, "src_path is required to add/update an endpoint.")),
        Some(Value::String(_)) => Err(Failure::new(400, "src_path is required to add/update an endpoint.")),
        Some(_) => Err(Failure::new(400, "src_path must be a string.")),
    }
}

fn kind(given: &Given, before: Option<&Function>) -> Result<&'static str, Failure> {
    let wrong = |what: &str| Failure::new(400, format!("Error when changing TabPy state: {what}"));
    match (&given.r#type, before) {
        (Some(Value::String(kind)), _) if kind == "model" => Ok("model"),
        (Some(Value::String(kind)), _) if kind == "alias" => Ok("alias"),
        (None | Some(Value::Null), Some(before)) => Ok(before.current.kind()),
        // Without a source it is that which is missing first.
        (None | Some(Value::Null), None) if given.src_path.is_none() => Ok("model"),
        (Some(Value::String(_)), _) => Err(wrong("endpoint type must be model or alias.")),
        _ => Err(wrong("endpoint type must be a string.")),
    }
}

fn change_of(request: &HttpRequest, given: &Given) -> Result<Change, Failure> {
    let wrong = |what: &str| Failure::new(400, format!("Error when changing TabPy state: {what}"));
    let dependencies = match &given.dependencies {
        None | Some(Value::Null) => None,
        Some(list) => {
            let list = Vec::<String>::deserialize(list);
            Some(list.map_err(|_| wrong("dependencies must be a list."))?)
        }
    };
    let is_public = match &given.is_public {
        None | Some(Value::Null) => None,
        Some(Value::Bool(is_public)) => Some(*is_public),
        Some(_) => return Err(wrong("is_public must be true or false.")),
    };
    Ok(Change {
        description: text(&given.description, "description")?,
        docstring: text(&given.docstring, "docstring")?,
        schema: given.schema.as_ref().map(|schema| schema.get().to_owned()),
        schema_is_replaced: true,
        is_public,
        dependencies,
        target: text(&given.target, "target")?,
        user: user(request),
    })
}

fn text(given: &Option<Value>, what: &str) -> Result<Option<String>, Failure> {
    match given {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => {
            Err(Failure::new(400, format!("Error when changing TabPy state: {what} must be a string.")))
        }
    }
}

/// As Python sees it.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
