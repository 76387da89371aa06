//! What the server tells its operator: one line an event, the same fields everywhere. Fields that are
//! recorded: request_id, method, path, status, user, client, tableau_user, caller (with TABPY_LOG_DETAILS), duration_ms, queue_ms,
//! worker, rows_in, rows_out. Never recorded: a body, a script's data, a header's credentials.

mod answered;
mod buffer;
mod logfmt;
mod moment;
mod named;
mod request;
mod subject;

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use buffer::flush;
use logfmt::Logfmt;
use moment::Moment;
use named::{Named, NamedJson};
pub use request::{Record, RequestLog, Rows, What, Work, id};
pub use subject::{About, Id, about, about_now, still_about};

/// How a line is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Pretty,
    Logfmt,
    Json,
}

/// What of the log can be set.
#[derive(Debug)]
pub struct Log {
    /// `TABPY_LOG_LEVEL`
    pub level: Level,
    /// `TABPY_LOG_FORMAT`
    pub format: Format,
    /// `TABPY_LOG_DETAILS`
    pub details: bool,
    /// Heroku writes its own.
    pub timestamps: bool,
}

/// Installs the subscriber of the process; only the first call has an effect.
///
/// Behind a trusted proxy a request keeps the id that it came with.
pub fn start(log: &Log, trust_proxy: bool) {
    let Log { level, format, timestamps, details } = *log;
    request::log_details(details);
    request::trust_ids(trust_proxy);
    // What the libraries below say in passing is for their developers.
    let filter = Targets::new()
        .with_default(level)
        .with_target("actix_server", level.min(Level::WARN))
        .with_target("actix_http", level.min(Level::WARN));
    let registry = tracing_subscriber::registry().with(filter);
    let writer = buffer::Buffered::start;
    let started = match format {
        Format::Pretty => {
            let layer = tracing_subscriber::fmt::layer().fmt_fields(Named).with_timer(Moment);
            let layer = layer.with_ansi(std::io::stdout().is_terminal()).with_target(false);
            registry.with(layer.with_writer(writer)).try_init()
        }
        Format::Json => {
            let layer = tracing_subscriber::fmt::layer().fmt_fields(JsonFields::new());
            registry.with(layer.event_format(NamedJson::default()).with_writer(writer)).try_init()
        }
        Format::Logfmt => {
            let form = Logfmt { timestamps };
            registry.with(tracing_subscriber::fmt::layer().event_format(form).with_writer(writer)).try_init()
        }
    };
    if let Err(error) = started {
        tracing::debug!("a subscriber was there already: {error}");
    }
}
