//! What a client learns beside the answer if it asks with `TabPy-Details: true`, as the page's editor does:
//! where the time went, and what the script printed. The answer itself stays the same.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::pool::Answer;

static ASKED: HeaderName = HeaderName::from_static("tabpy-details");
const TIMING: HeaderName = HeaderName::from_static("server-timing");
const OUTPUT: HeaderName = HeaderName::from_static("tabpy-output");

/// Proxies take a few kilobytes of headers.
const MOST_OUTPUT: usize = 3000;

pub(super) fn wanted(request: &HttpRequest) -> bool {
    request.headers().get(&ASKED).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

/// The headers that say it; what was printed is base64 of UTF-8.
pub(super) fn of(answer: &Answer) -> Vec<(HeaderName, HeaderValue)> {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let (queue, python) = (milliseconds(answer.queued), milliseconds(answer.ran));
    let timing = format!("queue;dur={queue:.3}, python;dur={python:.3}");
    let timing = HeaderValue::from_str(&timing).ok().map(|value| (TIMING, value));
    timing.into_iter().chain(answer.printed.as_deref().and_then(printed)).collect()
}

/// The header with what a script has printed, if it has printed anything.
pub(super) fn printed(text: &str) -> Option<(HeaderName, HeaderValue)> {
    if text.is_empty() {
        return None;
    }
    let end = text.floor_char_boundary(MOST_OUTPUT);
    let cut = if end < text.len() { "\n(cut here; the server's log has more)" } else { "" };
    let value = STANDARD.encode(format!("{}{cut}", &text[..end]));
    Some((OUTPUT, HeaderValue::from_str(&value).ok()?))
}
