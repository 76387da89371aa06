//! What the log tells and in which form: lines for people on a terminal, fields for programs elsewhere.

use super::Machine;
use super::raw::Raw;
use super::sources::Sources;
use super::values::Value;
use crate::telemetry::{Format, Log};

pub(super) fn log(sources: &Sources, raw: &Raw, machine: &Machine) -> anyhow::Result<Log> {
    let level = Value::new(sources, "TABPY_LOG_LEVEL", &raw.tabpy_log_level);
    let format = Value::new(sources, "TABPY_LOG_FORMAT", &raw.tabpy_log_format);
    Ok(Log {
        timestamps: raw.dyno.is_none(),
        level: match level.text().map(str::to_lowercase).as_deref() {
            None | Some("info") => tracing::Level::INFO,
            Some("error") => tracing::Level::ERROR,
            Some("warn" | "warning") => tracing::Level::WARN,
            Some("debug") => tracing::Level::DEBUG,
            Some("trace") => tracing::Level::TRACE,
            Some(_) => return Err(level.wrong("error, warn, info, debug or trace")),
        },
        format: match format.text().map(str::to_lowercase).as_deref() {
            None if machine.terminal => Format::Pretty,
            Some("pretty") => Format::Pretty,
            None | Some("logfmt") => Format::Logfmt,
            Some("json") => Format::Json,
            Some(_) => return Err(format.wrong("pretty, logfmt or json")),
        },
        details: raw
            .tabpy_log_details
            .as_deref()
            .is_some_and(|text| !text.trim().eq_ignore_ascii_case("false")),
    })
}
