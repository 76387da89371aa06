//! The formats that come with tracing, for people at a terminal and for machines that read JSON, with the id of the
//! request that a line is about.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::moment::Moment;
use super::subject;

/// The fields of a line for people. The id comes first, since a script may print what looks like one.
#[derive(Default)]
pub(super) struct Named;

impl<'writer> FormatFields<'writer> for Named {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        if let Some(id) = subject::current() {
            write!(writer, "request{{request_id={id}}}: ")?;
        }
        DefaultFields::new().format_fields(writer, fields)
    }
}

/// Where the id has always stood in a line of JSON: in the `span`.
pub(super) struct NamedJson(Format<Json, Moment>);

impl Default for NamedJson {
    fn default() -> Self {
        let format = tracing_subscriber::fmt::format().with_timer(Moment).json().flatten_event(true);
        Self(format.with_current_span(false).with_span_list(false))
    }
}

impl<S, N> FormatEvent<S, N> for NamedJson
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
        match (subject::current(), line.trim_end().strip_suffix('}')) {
            (Some(id), Some(members)) => {
                let span = serde_json::json!({"name": "request", "request_id": id.to_string()});
                writeln!(writer, "{members},\"span\":{span}}}")
            }
            _ => writer.write_str(&line),
        }
    }
}
