//! The formats that come with tracing, for people at a terminal and for machines that read JSON, with the id of the
//! request that a line is about.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::moment::Moment;
use super::subject;

pub(super) struct Named<F>(F);

pub(super) fn pretty(colours: bool) -> Named<Format<Full, Moment>> {
    Named(tracing_subscriber::fmt::format().with_timer(Moment).with_ansi(colours).with_target(false))
}

pub(super) fn json() -> Named<Format<Json, Moment>> {
    Named(tracing_subscriber::fmt::format().with_timer(Moment).json().flatten_event(true))
}

impl<S, N> FormatEvent<S, N> for Named<Format<Full, Moment>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match subject::look(|id| id.map(ToString::to_string)) {
            Some(id) => writeln!(writer, "{} request_id={id}", line.trim_end()),
            None => writer.write_str(&line),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Named<Format<Json, Moment>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let id = subject::look(|id| id.map(ToString::to_string));
        match (id, line.trim_end().strip_suffix('}')) {
            (Some(id), Some(members)) => {
                writeln!(
                    writer,
                    "{members},\"span\":{}}}",
                    serde_json::json!({"name": "request", "request_id": id})
                )
            }
            _ => writer.write_str(&line),
        }
    }
}
