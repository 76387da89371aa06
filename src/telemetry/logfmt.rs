//! One line an event, `key=value` as platforms search it: time, level, the event's own fields, and those of the
//! spans around it. Each tiny call is a line, so a line is put together as text and handed over once; a
//! formatter that is asked character by character costs such a call a tenth of its time.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::time::UNIX_EPOCH;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Longer than most lines.
const USUAL: usize = 512;

/// A request's id and its name.
const USUAL_OF_SPAN: usize = 64;

pub(super) struct Logfmt {
    pub(super) timestamps: bool,
}

/// The fields of spans and events.
pub(super) struct LogfmtFields;

impl<S, N> FormatEvent<S, N> for Logfmt
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
        let mut line = String::with_capacity(USUAL);
        if self.timestamps {
            line.push_str("ts=");
            push_time(&mut line)?;
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
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                line.push_str(fields);
            }
        }
        line.push('\n');
        writer.write_str(&line)
    }
}

impl<'writer> FormatFields<'writer> for LogfmtFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut text = String::with_capacity(USUAL_OF_SPAN);
        fields.record(&mut Fields(&mut text));
        writer.write_str(&text)
    }
}

/// Appends the time. Most lines are of a second that has been put into text already.
fn push_time(line: &mut String) -> fmt::Result {
    thread_local! {
        /// A second, and how it begins in text, to the last digit before the point.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = || std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let moment = now();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second == moment.as_secs() {
            line.push_str(text);
            let micros = moment.subsec_micros();
            let digit = |place| char::from(b'0' + (micros / place % 10) as u8);
            line.push('.');
            line.extend([100_000, 10_000, 1000, 100, 10, 1].map(digit));
            line.push('Z');
            return Ok(());
        }
        let start = line.len();
        SystemTime.format_time(&mut Writer::new(line))?;
        // The formatter has looked at the clock, too, perhaps in the next second.
        if now().as_secs() == moment.as_secs()
            && let Some((whole, _)) = line[start..].split_once('.')
        {
            (*second, *text) = (moment.as_secs(), whole.to_owned());
        }
        Ok(())
    })
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
            .fmt_fields(LogfmtFields)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), events);
        let lines = kept.0.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_line_has_the_events_fields_and_those_around_it() {
        let text = lines(false, || {
            let request = tracing::error_span!("request", request_id = %"4-a");
            let _entered = request.enter();
            let left_out: Option<u64> = None;
            tracing::info!(
                status = 200,
                left_out,
                ms = 0.25,
                whole = 3.0,
                least = -1,
                fits = true,
                "answered"
            );
            tracing::warn!("two words");
        });
        assert_eq!(
            text,
            "level=info message=answered status=200 ms=0.25 whole=3.0 least=-1 fits=true request_id=4-a\n\
             level=warn message=\"two words\" request_id=4-a\n"
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

    #[test]
    fn the_time_is_the_same_however_it_is_put_together() {
        let until = std::time::Instant::now() + std::time::Duration::from_millis(1500);
        let (mut before, mut again) = (String::new(), 0);
        while std::time::Instant::now() < until {
            let (mut earlier, mut ours, mut later) = (String::new(), String::new(), String::new());
            SystemTime.format_time(&mut Writer::new(&mut earlier)).unwrap();
            push_time(&mut ours).unwrap();
            SystemTime.format_time(&mut Writer::new(&mut later)).unwrap();
            assert!(before <= ours && earlier <= ours && ours <= later, "{earlier} {ours} {later}");
            assert_eq!(ours.len(), later.len());
            again += usize::from(ours.starts_with(&earlier[..19]));
            before = ours;
        }
        assert!(again > 2);
    }
}
