//! The span around a request, with the id that every line about it carries, and the one line that says
//! how it went.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderName;
use actix_web::{HttpMessage as _, HttpRequest};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use uuid::Uuid;

use crate::metrics::{METRICS, Note};

/// What is found out about a request while it is answered; kept among its extensions.
#[derive(Debug, Clone)]
pub struct Record {
    began: Instant,
    /// The pattern of the URL table, where a handler knows it; looking it up walks the whole table.
    pub route: Option<Arc<str>>,
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
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub worker: u64,
    pub queued: Duration,
    /// None where there was no answer.
    pub rows: Option<Rows>,
}

/// The longest argument, and the answer.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    pub taken: u32,
    pub given: u32,
}

/// What Tableau says of itself.
static CLIENT: HeaderName = HeaderName::from_static("tabpy-client");
static TABLEAU_USER: HeaderName = HeaderName::from_static("tabpy-user");

/// Builds the root span; see the fields in [`crate::telemetry`].
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let id = request.extensions().get::<RequestId>().copied();
        request.extensions_mut().insert(Record {
            began: Instant::now(),
            route: None,
            user: None,
            caller: None,
            work: None,
            error: None,
        });
        match (given_id(request), id) {
            // Of the highest level, so that the id is on every line that is logged at all.
            (Some(given), _) => tracing::error_span!("request", request_id = given),
            (None, Some(id)) => {
                let mut text = Uuid::encode_buffer();
                let id: &str = id.hyphenated().encode_lower(&mut text);
                tracing::error_span!("request", request_id = id)
            }
            (None, None) => Span::none(),
        }
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let Ok(response) = outcome else {
            // actix turns the error into an answer; it is about the connection, not about a script.
            tracing::info!("the request could not be answered");
            return;
        };
        let request = response.request();
        let extensions = request.extensions();
        let Some(record) = extensions.get::<Record>() else { return };
        // Tableau's users have names beyond ASCII, which a header carries as bytes.
        let header = |name: &HeaderName| request.headers().get(name).map(|value| short(value.as_bytes()));
        let duration = record.began.elapsed();
        let duration_ms = milliseconds(duration);
        let (method, status) = (request.method().as_str(), response.status().as_u16());
        let path = short(request.path().as_bytes());
        let path = path.as_ref();
        let peer = || request.peer_addr().map(|address| address.ip());
        let caller = DETAILS.load(Ordering::Relaxed).then(|| record.caller.or_else(peer)).flatten();
        let caller = caller.map(|address| address.to_string());
        let user = record.user.as_deref();
        let (client, tableau_user) = (header(&CLIENT), header(&TABLEAU_USER));
        let (client, tableau_user) = (client.as_deref(), tableau_user.as_deref());
        if record.route.is_none() && matches!(request.match_name(), Some("probe")) {
            tracing::debug!(method, path, status, duration_ms, "probed");
            return;
        }
        note(request, status, duration, record);
        let work = record.work;
        let rows = work.and_then(|work| work.rows);
        // A field without a value is left out of the line.
        tracing::info!(
            method,
            path,
            status,
            user,
            client,
            tableau_user,
            caller,
            duration_ms,
            queue_ms = work.map(|work| milliseconds(work.queued)),
            worker = work.map(|work| work.worker),
            rows_in = rows.map(|rows| rows.taken),
            rows_out = rows.map(|rows| rows.given),
            "answered"
        );
    }
}

/// Counts a request among the figures.
fn note(request: &HttpRequest, status: u16, duration: Duration, record: &Record) {
    let matched = || request.match_pattern().unwrap_or_else(|| "(none)".to_owned()).into();
    let route: Arc<str> = record.route.clone().unwrap_or_else(matched);
    METRICS.answered(&route, status, duration);
    let Some(work) = route.rsplit('/').find(|part| matches!(*part, "evaluate" | "query")) else { return };
    METRICS.recent.answered(status, duration);
    if let Some(work) = record.work {
        METRICS.queued(work.queued);
    }
    if work == "query" {
        METRICS.called(request.match_info().get("name").unwrap_or_default(), status);
    }
    if let Some(what) = &record.error {
        let id = request.extensions().get::<RequestId>().map(ToString::to_string);
        METRICS.recent.failed(Note {
            at: Note::now(),
            route: route.to_string(),
            status,
            kind: what.kind.clone(),
            line: what.line,
            request_id: given(request).map(str::to_owned).or(id).unwrap_or_default(),
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
fn given_id(request: &ServiceRequest) -> Option<&str> {
    given(request.request())
}

fn given(request: &HttpRequest) -> Option<&str> {
    if !TRUST_IDS.load(Ordering::Relaxed) {
        return None;
    }
    let id = request.headers().get("X-Request-Id")?.to_str().ok()?;
    let plain = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then_some(id)
}

/// Text of the client's, no longer than a log line should be, and nothing that a terminal would obey.
fn short(text: &[u8]) -> Cow<'_, str> {
    const LONGEST: usize = 256;
    let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]);
    if text.contains(char::is_control) { text.replace(char::is_control, "\u{fffd}").into() } else { text }
}

/// With three decimals, which is what a clock can be trusted for.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
