//! What is found out about a request while it is answered, for the one line that says how it went and for the
//! figures.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderName;
use actix_web::{HttpMessage as _, HttpRequest};
use serde::{Deserialize, Serialize};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use uuid::Uuid;

use super::answered::{Answered, milliseconds};
use super::moment;
use super::subject::{self, Id};
use crate::metrics::{METRICS, Note, Route};

/// What is found out about a request while it is answered; kept among its extensions.
#[derive(Debug, Clone)]
pub struct Record {
    began: Instant,
    id: Id,
    /// The pattern of the URL table, where a handler knows it; looking it up walks the whole table.
    pub route: Option<Arc<Route>>,
    pub user: Option<Arc<str>>,
    /// Whom a trusted proxy had the request from.
    pub caller: Option<IpAddr>,
    pub work: Option<Work>,
    pub error: Option<What>,
}

/// What went wrong with a request, without anything of its data.
#[derive(Debug, Clone)]
pub struct What {
    /// The exception's type, or the server's own message.
    pub kind: String,
    /// The line of the script.
    pub line: Option<u32>,
}

/// What the pool did for a request.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Work {
    pub worker: u64,
    pub queued: Duration,
    /// None where there was no answer.
    pub rows: Option<Rows>,
}

/// The longest argument, and the answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Rows {
    pub taken: u32,
    pub given: u32,
}

/// What Tableau says of itself.
static CLIENT: HeaderName = HeaderName::from_static("tabpy-client");
static TABLEAU_USER: HeaderName = HeaderName::from_static("tabpy-user");

/// Begins the record of a request, and notes how it went. The span that is asked for here is none: see
/// [`super::subject`].
pub struct RequestLog;

impl RootSpanBuilder for RequestLog {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let made = || request.extensions().get::<RequestId>().map_or(Uuid::nil(), |id| **id);
        let id = given_id(request.request()).map_or_else(|| Id::Made(made()), |id| Id::Given(id.into()));
        request.extensions_mut().insert(Record {
            began: Instant::now(),
            id,
            route: None,
            user: None,
            caller: None,
            work: None,
            error: None,
        });
        Span::none()
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let Ok(response) = outcome else { return };
        let request = response.request();
        let extensions = request.extensions();
        let Some(record) = extensions.get::<Record>() else { return };
        let now = Instant::now();
        let duration = now - record.began;
        let (method, status) = (request.method().as_str(), response.status().as_u16());
        let path = short(request.path().as_bytes());
        if record.route.is_none() && matches!(request.match_name(), Some("probe")) {
            subject::about_now(Some(record.id.clone()), || {
                tracing::debug!(
                    method,
                    path = &*path,
                    status,
                    duration_ms = milliseconds(duration),
                    "probed"
                );
            });
            return;
        }
        count(request, status, now, record);
        // Tableau's users have names beyond ASCII, which a header carries as bytes.
        let header = |name: &HeaderName| request.headers().get(name).map(|value| short(value.as_bytes()));
        let peer = || request.peer_addr().map(|address| address.ip());
        let (client, tableau_user) = (header(&CLIENT), header(&TABLEAU_USER));
        let answered = Answered {
            id: record.id.clone(),
            at: moment::now(),
            method,
            path: &path,
            status,
            user: record.user.as_deref(),
            client: client.as_deref(),
            tableau_user: tableau_user.as_deref(),
            caller: DETAILS.load(Ordering::Relaxed).then(|| record.caller.or_else(peer)).flatten(),
            duration,
            work: record.work,
        };
        answered.note();
    }
}

/// The id of a request, which all lines about it bear.
pub fn id(request: &ServiceRequest) -> Option<Id> {
    request.extensions().get::<Record>().map(|record| record.id.clone())
}

/// Counts a request among the figures.
fn count(request: &HttpRequest, status: u16, now: Instant, record: &Record) {
    let duration = now - record.began;
    let matched = || Arc::new(Route::new(request.match_pattern().unwrap_or_else(|| "(none)".to_owned())));
    let route = record.route.clone().unwrap_or_else(matched);
    METRICS.answered(&route, status, duration);
    let Some(work) = route.pattern.rsplit('/').find(|part| matches!(*part, "evaluate" | "query")) else {
        return;
    };
    METRICS.recent.answered(now, status, duration);
    if let Some(work) = record.work {
        METRICS.queued(work.queued);
    }
    if work == "query" {
        METRICS.called(request.match_info().get("name").unwrap_or_default(), status);
    }
    if let Some(what) = &record.error {
        METRICS.recent.failed(Note {
            at: Note::now(),
            route: route.pattern.clone(),
            status,
            kind: what.kind.clone(),
            line: what.line,
            request_id: record.id.to_string(),
        });
    }
}

static TRUST_IDS: AtomicBool = AtomicBool::new(false);

/// `TABPY_LOG_DETAILS`: whether the caller's address is logged.
static DETAILS: AtomicBool = AtomicBool::new(false);

pub(super) fn log_details(details: bool) {
    DETAILS.store(details, Ordering::Relaxed);
}

pub(super) fn trust_ids(trust: bool) {
    TRUST_IDS.store(trust, Ordering::Relaxed);
}

/// The id that a trusted proxy gave, if it is one that can stand in a log.
fn given_id(request: &HttpRequest) -> Option<&str> {
    if !TRUST_IDS.load(Ordering::Relaxed) {
        return None;
    }
    let id = request.headers().get("X-Request-Id")?.to_str().ok()?;
    let plain = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(id)
}

/// Text of the client's, no longer than a line of the log should be.
fn short(text: &[u8]) -> Cow<'_, str> {
    const LONGEST: usize = 256;
    String::from_utf8_lossy(&text[..text.len().min(LONGEST)])
}
