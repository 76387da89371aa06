//! The description of all routes in OpenAPI 3.1, gathered from what stands at each handler, and a page that
//! shows it. What bodies look like is in [`schema`].

pub(super) mod schema;

mod page;

use std::sync::OnceLock;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
pub(super) use page::page;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Info, License, Server};
use utoipa::{Modify, OpenApi};

use super::Handled;
use super::answer::json;
use super::service::Service;
use super::{endpoints, evaluate, functions, health, metrics, query, service};
use crate::failure::Failure;

#[derive(OpenApi)]
#[openapi(
    paths(
        service::info,
        evaluate::evaluate,
        query::query,
        query::query_by_get,
        endpoints::list,
        endpoints::add,
        endpoints::one,
        endpoints::change,
        endpoints::remove,
        endpoints::status,
        endpoints::upload_destination,
        functions::list,
        functions::one,
        functions::put,
        functions::remove,
        functions::versions,
        functions::roll_back,
        health::alive,
        health::ready,
        metrics::text,
        metrics::live,
        document,
    ),
    tags(
        (name = "scripts", description = "What Tableau calls: a script and its columns go in, values come out."),
        (name = "functions", description = "Deployed functions, with their source or archive in the request."),
        (name = "endpoints", description = "Deployed functions as TabPy's own Python client manages them."),
        (name = "server", description = "What the server is, and how it fares."),
    ),
    modifiers(&Whole),
)]
struct Routes;

/// What concerns all routes.
struct Whole;

impl Modify for Whole {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut info = Info::new("tabpy-rs", env!("CARGO_PKG_VERSION"));
        info.description = Some(
            "Runs the Python of Tableau's calculations: the API of TabPy 2.16.0, and functions deployed over HTTP. \
             Errors are always {\"message\": ..., \"info\": ...}; methods that a route does not take are 405."
                .to_owned(),
        );
        let mut license = License::new("MIT");
        license.identifier = Some("MIT".to_owned());
        info.license = Some(license);
        document.info = info;
        let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
        document.components.get_or_insert_with(Components::new).add_security_scheme("basic", basic);
        document.security = Some(vec![SecurityRequirement::new::<_, _, &str>("basic", [])]);
    }
}

/// The document, made once.
fn routes(service: &Service) -> utoipa::openapi::OpenApi {
    let mut document = Routes::openapi();
    let base = if service.subdirectory.is_empty() { "/" } else { &service.subdirectory };
    document.servers = Some(vec![Server::new(base)]);
    document
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value), schema::Refused)
)]
pub(super) async fn document(service: web::Data<Service>) -> Handled {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    if let Some(text) = TEXT.get() {
        return Ok(json(200, text.clone()));
    }
    let text = routes(&service).to_pretty_json();
    let text = text
        .map_err(|error| Failure::new(500, "The document could not be written.").info(error.to_string()))?;
    Ok(json(200, TEXT.get_or_init(|| text.into()).clone()))
}

/// Answers for which no route has words of its own.
fn unmade(error: impl std::fmt::Display) -> HttpResponse {
    tracing::error!("the page of the API could not be made: {error}");
    super::answer::refused(&Failure::new(500, "The page could not be made."))
}
