//! Answers: JSON as it came from a worker, and failures in their one shape.

use std::io::Write as _;

use actix_web::body::{BoxBody, SizedStream};
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, RETRY_AFTER, VARY};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::details;
use crate::failure::Failure;
use crate::pool::Body;

/// Smaller answers are not worth compressing.
const WORTH_COMPRESSING: usize = 1024;

/// Compressing more than this would keep other requests of the thread waiting.
const QUICKLY_COMPRESSED: usize = 64 << 10;

const JSON: header::HeaderValue = header::HeaderValue::from_static("application/json");

/// A [`Failure`] on its way to the client.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    /// What the script had printed, if the client wants to know.
    pub(super) printed: Option<String>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, printed: None }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.failure.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = refused(&self.failure);
        if let Some((name, value)) = self.printed.as_deref().and_then(details::printed) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

pub(super) fn refused(failure: &Failure) -> HttpResponse {
    let mut response = builder(failure.status);
    if let Some(seconds) = failure.retry_after {
        response.insert_header((RETRY_AFTER, seconds));
    }
    response.body(failure.body())
}

/// A JSON text with a status.
pub(super) fn json(status: u16, body: impl Into<Bytes>) -> HttpResponse {
    builder(status).body(body.into())
}

/// As [`json`], compressed if the client takes that and it pays.
pub(super) async fn json_for(request: &HttpRequest, status: u16, body: Body) -> HttpResponse {
    let body = match body {
        Body::Parts(parts) if !accepts_gzip(request) => {
            return builder(status).body(SizedStream::new(parts.length() as u64, parts));
        }
        body => body.whole(),
    };
    if body.len() < WORTH_COMPRESSING || !accepts_gzip(request) {
        return json(status, body);
    }
    let compressed = if body.len() <= QUICKLY_COMPRESSED {
        compress(&body)
    } else {
        let bytes = body.clone();
        tokio::task::spawn_blocking(move || compress(&bytes)).await.unwrap_or(None)
    };
    match compressed {
        Some(compressed) => builder(status)
            .insert_header((CONTENT_ENCODING, "gzip"))
            .insert_header((VARY, "Accept-Encoding"))
            .body(compressed),
        None => json(status, body),
    }
}

/// A response with a text that comes with the server, compressed if the client takes that.
pub(super) fn with_body(request: &HttpRequest, mut response: HttpResponse, text: &[u8]) -> HttpResponse {
    let compressed = if accepts_gzip(request) { compress(text) } else { None };
    response.headers_mut().insert(VARY, header::HeaderValue::from_static("Accept-Encoding"));
    match compressed {
        Some(compressed) => {
            response.headers_mut().insert(CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
            response.set_body(BoxBody::new(compressed))
        }
        None => response.set_body(BoxBody::new(text.to_vec())),
    }
}

pub(super) async fn not_found(request: HttpRequest) -> HttpResponse {
    refused(&Failure::new(404, "Not Found").info(format!("There is nothing at {}", request.path())))
}

pub(super) fn method_not_allowed(request: &HttpRequest, allowed: &'static str) -> HttpResponse {
    let mut response = refused(&Failure::new(405, "Method Not Allowed").info(format!(
        "{} does not take the method {}",
        request.path(),
        request.method()
    )));
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(allowed));
    response
}

fn builder(status: u16) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_TYPE, JSON));
    response
}

/// Whether `gzip` is among the codings that the client takes, and not with `q=0`.
fn accepts_gzip(request: &HttpRequest) -> bool {
    let Some(accepted) = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// On the fast level: the client waits, and the network is rarely slower than a better level.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
