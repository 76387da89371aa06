//! The server's page: what it is, how it is guarded, what to paste into Tableau, and places to try things.
//! All that is to be read is there without JavaScript, and nothing is loaded from elsewhere.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use askama::Template;

use super::answer;
use super::assets::DIGEST;
use super::edge::{self, Scheme};
use super::service::{Admission, Service};
use crate::failure::Failure;
use crate::telemetry::Record;

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'service> {
    name: &'service str,
    version: &'static str,
    python: &'static str,
    /// A class of the style, and words.
    state: (&'static str, &'static str),
    authentication: bool,
    /// Whether only this machine reaches the server.
    loopback: bool,
    evaluate: bool,
    timeout: &'service str,
    gzip: bool,
    workers: usize,
    most_workers: usize,
    /// Megabytes.
    memory: u64,
    confinement: String,
    functions_kept: String,
    uptime: String,
    packages: Vec<(String, String)>,
    /// Of this server, as the browser knows it.
    secure: bool,
    host: String,
    port: String,
    url: String,
    user: String,
    base: &'service str,
    assets: &'static str,
}

/// What pages may load and do: what comes from this server, and nothing written into them.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn index(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    let python = service.python.clone();
    let packages = tokio::task::spawn_blocking(move || super::packages::installed(&python)).await;
    let page = Index::new(&request, &service, packages.unwrap_or_default());
    match page.render() {
        Ok(page) => html(&request, &page),
        Err(error) => {
            tracing::error!("the page could not be made: {error}");
            answer::refused(&Failure::new(500, "The page could not be made."))
        }
    }
}

pub(super) fn html(request: &HttpRequest, page: &str) -> HttpResponse {
    let response = HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish();
    answer::with_body(request, response, page.as_bytes())
}

impl<'service> Index<'service> {
    fn new(request: &HttpRequest, service: &'service Service, packages: Vec<(String, String)>) -> Self {
        let pool = service.pool.snapshot();
        let secure = edge::scheme(request.headers(), service) == Scheme::Https;
        let asked = edge::host(request.headers(), service).unwrap_or("localhost");
        let (host, port) = parted(asked, secure);
        let scheme = if secure { "https" } else { "http" };
        let user = request.extensions().get::<Record>().and_then(|record| record.user.clone());
        Self {
            name: &service.name,
            version: env!("CARGO_PKG_VERSION"),
            python: env!("TABPY_LINKED_PYTHON_VERSION"),
            state: match (service.is_stopping(), pool.alive) {
                (true, _) => ("bad", "stopping"),
                (false, 0) => ("bad", "workers are starting"),
                (false, _) => ("good", "ready"),
            },
            authentication: matches!(service.admission, Admission::Credentials(_)),
            loopback: service.answers_to_loopback_only,
            evaluate: service.evaluate_enabled,
            timeout: &service.evaluate_timeout.text,
            gzip: service.gzip,
            workers: pool.alive,
            most_workers: service.most_workers,
            memory: service.worker_memory_bytes >> 20,
            confinement: pool.confinement,
            functions_kept: service.functions_kept(),
            uptime: in_words(service.started.elapsed()),
            packages,
            secure,
            url: format!("{scheme}://{asked}{}", service.subdirectory),
            host: format!("{host}{}", service.subdirectory),
            port,
            user: user.map_or_else(|| "user".to_owned(), |user| user.to_string()),
            base: &service.subdirectory,
            assets: &DIGEST,
        }
    }
}

/// Host and port of a `Host` header.
fn parted(host: &str, secure: bool) -> (&str, String) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, port.to_owned())
        }
        _ => (host, if secure { "443" } else { "80" }.to_owned()),
    }
}

fn in_words(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parted_and_times_said() {
        assert_eq!(parted("app.example.com", true), ("app.example.com", "443".to_owned()));
        assert_eq!(parted("localhost:9004", false), ("localhost", "9004".to_owned()));
        assert_eq!(parted("[::1]", false), ("[::1]", "80".to_owned()));
        assert_eq!(parted("[::1]:9004", false), ("[::1]", "9004".to_owned()));
        let said = [0, 90, 3700, 200_000].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(said, ["less than a minute", "1 min", "1 h 1 min", "2 d 7 h"]);
    }
}
