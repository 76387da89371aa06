//! One line an event, `key=value` as platforms search it: time, level, the event's own fields, and the id of the
//! request that it is about. Each tiny call is a line, so a line is put together as text and handed over once; a
//! formatter that is asked character by character takes three times as long.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{moment, subject};

/// Longer than most lines.
const USUAL: usize = 512;

pub(super) struct Logfmt {
    pub(super) timestamps: bool,
}

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(USUAL);
        if self.timestamps {
            line.push_str("ts=");
            moment::push(&mut line);
            line.push(' ');
        }
        line.push_str("level=");
        line.push_str(match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        });
        event.record(&mut Fields(&mut line));
        if let Some(id) = subject::current() {
            line.push_str(" request_id=");
            Fields(&mut line).text(&id.to_string());
        }
        line.push('\n');
        writer.write_str(&line)
    }
}

/// Appends a space, a key and a value for each field.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn key(&mut self, field: &Field) {
        self.0.push(' ');
        self.0.push_str(field.name());
        self.0.push('=');
    }

    fn text(&mut self, text: &str) {
        if is_plain(text) {
            return self.0.push_str(text);
        }
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' | '\\' => self.0.extend(['\\', letter]),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                // As JSON has it, which all readers of such lines know.
                _ if breaks(letter) => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(letter));
                }
                _ => self.0.push(letter),
            }
        }
        self.0.push('"');
    }
}

/// Whether a text can stand in a line as it is.
fn is_plain(text: &str) -> bool {
    // Nearly all are; all bytes are looked at, which is quicker than to look for the first that is not.
    let graphic = text
        .bytes()
        .fold(true, |graphic, byte| graphic & byte.is_ascii_graphic() & !matches!(byte, b'=' | b'"' | b'\\'));
    graphic || !text.chars().any(|letter| matches!(letter, ' ' | '=' | '"' | '\\') || breaks(letter))
}

/// Whether a terminal obeys it, or a reader takes it for the end of the line.
fn breaks(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.key(field);
        self.0.push_str(zmij::Buffer::new().format(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.key(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.key(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.key(field);
        self.0.push_str(if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.key(field);
        self.text(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.key(field);
        let start = self.0.len();
        // Writing to a text cannot fail.
        let _ = write!(self.0, "{value:?}");
        if !is_plain(&self.0[start..]) {
            let text = self.0.split_off(start);
            self.text(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::subject::{Id, about_now};
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that some events make.
    fn lines(timestamps: bool, events: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Logfmt { timestamps })
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let lines = kept.0.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_line_has_the_events_fields_and_the_id_of_the_request() {
        let text = lines(false, || {
            let left_out: Option<u64> = None;
            about_now(Some(Id::Given("4-a".into())), || {
                tracing::info!(
                    status = 200,
                    left_out,
                    ms = 0.25,
                    whole = 3.0,
                    least = -1,
                    fits = true,
                    "answered"
                );
            });
            about_now(Some(Id::Given("a=b".into())), || tracing::warn!("two words"));
            tracing::warn!("alone");
        });
        assert_eq!(
            text,
            "level=info message=answered status=200 ms=0.25 whole=3.0 least=-1 fits=true request_id=4-a\n\
             level=warn message=\"two words\" request_id=\"a=b\"\n\
             level=warn message=alone\n"
        );
    }

    #[test]
    fn what_would_break_a_line_is_quoted() {
        for (value, shown) in [
            ("plain/é-1", "plain/é-1"),
            ("", ""),
            ("a=b", "\"a=b\""),
            ("say \"no\"", r#""say \"no\"""#),
            ("back\\slash", r#""back\\slash""#),
            ("line\nend\u{1b}", r#""line\nend\u001b""#),
            ("é\u{85}\u{9b}31m\u{2028}", r#""é\u0085\u009b31m\u2028""#),
        ] {
            assert_eq!(lines(false, || tracing::info!(value)), format!("level=info value={shown}\n"));
        }
    }

    #[test]
    fn the_time_comes_first_where_it_is_wanted() {
        let text = lines(true, || tracing::error!("x"));
        assert!(text.starts_with("ts=20") && text.ends_with("Z level=error message=x\n"), "{text}");
    }
}
