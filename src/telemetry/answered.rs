//! How a request went: the one line that each request has. A front thread only notes what the line is to say; it is
//! put into words by the log's own thread, since that takes as long as a tenth of a tiny call.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::request::Work;
use super::subject::{self, Id};
use super::{buffer, moment};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered<'a> {
    pub(super) id: Id,
    /// Since 1970.
    pub(super) at: Duration,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) status: u16,
    pub(super) user: Option<&'a str>,
    pub(super) client: Option<&'a str>,
    pub(super) tableau_user: Option<&'a str>,
    pub(super) caller: Option<IpAddr>,
    pub(super) duration: Duration,
    pub(super) work: Option<Work>,
}

impl Answered<'_> {
    /// Has the line logged in a moment.
    pub(super) fn note(self) {
        if tracing::enabled!(tracing::Level::INFO) {
            buffer::note(self);
        }
    }

    /// Logs the line; a field without a value is left out of it.
    pub(super) fn log(self) {
        let Self { status, user, work, .. } = self;
        let rows = work.and_then(|work| work.rows);
        let line = || {
            tracing::info!(
                // Where it was logged once, which log searches may know.
                target: "tabpy_rs::telemetry::request",
                method = self.method,
                path = &*plain(self.path),
                status,
                user,
                client = self.client.map(plain).as_deref(),
                tableau_user = self.tableau_user.map(plain).as_deref(),
                caller = self.caller.map(|caller| caller.to_string()),
                duration_ms = milliseconds(self.duration),
                queue_ms = work.map(|work| milliseconds(work.queued)),
                worker = work.map(|work| work.worker),
                rows_in = rows.map(|rows| rows.taken),
                rows_out = rows.map(|rows| rows.given),
                "answered"
            );
        };
        moment::at(self.at, || subject::about_now(Some(self.id), line));
    }
}

/// Nothing that a terminal would obey.
fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        text.replace(char::is_control, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// With three decimals, which is what a clock can be trusted for.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
