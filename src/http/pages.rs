//! The server's page: what it is and how it is guarded, readable without JavaScript, with nothing
//! loaded from elsewhere.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::service::{Admission, Service};
use crate::failure::Failure;

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'service> {
    name: &'service str,
    version: &'static str,
    python: &'static str,
    authentication: bool,
    evaluate: bool,
    workers: usize,
    base: &'service str,
}

const STYLE: &str = include_str!("../../assets/page.css");

pub(super) async fn index(service: web::Data<Service>) -> HttpResponse {
    let page = Index {
        name: &service.name,
        version: env!("CARGO_PKG_VERSION"),
        python: env!("TABPY_LINKED_PYTHON_VERSION"),
        authentication: matches!(service.admission, Admission::Credentials(_)),
        evaluate: service.evaluate_enabled,
        workers: service.pool.snapshot().alive,
        base: &service.subdirectory,
    };
    match page.render() {
        Ok(page) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(page),
        Err(error) => {
            tracing::error!("the page could not be made: {error}");
            super::answer::refused(&Failure::new(500, "The page could not be made."))
        }
    }
}

pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "max-age=3600"))
        .body(STYLE)
}
