//! When what a line tells of happened, as text: `2026-11-26T09:44:03.120000Z`. Most lines are of a second that has
//! been put into text already.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

thread_local! {
    /// Set where a line is about an earlier moment than its own.
    static EARLIER: Cell<Option<Duration>> = const { Cell::new(None) };
    /// A second since 1970, and its text to the last digit before the point.
    static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
}

/// For tracing's own formats.
pub(super) struct Moment;

impl FormatTime for Moment {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut text = String::new();
        push(&mut text);
        writer.write_str(&text)
    }
}

/// This moment, since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Has the lines that are logged meanwhile be of an earlier moment.
pub(super) fn at(moment: Duration, work: impl FnOnce()) {
    EARLIER.set(Some(moment));
    work();
    EARLIER.set(None);
}

/// Appends the moment that a line is of.
pub(super) fn push(line: &mut String) {
    let since = EARLIER.get().unwrap_or_else(now);
    let whole = i64::try_from(since.as_secs()).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != whole {
            (*second, *text) = (whole, in_words(whole));
        }
        line.push_str(text);
    });
    let micros = since.subsec_micros();
    let digit = |place| char::from(b'0' + (micros / place % 10) as u8);
    line.push('.');
    line.extend([100_000, 10_000, 1000, 100, 10, 1].map(digit));
    line.push('Z');
}

fn in_words(second: i64) -> String {
    // Beyond the year 9999 there is no such text.
    let Ok(moment) = OffsetDateTime::from_unix_timestamp(second) else { return String::new() };
    let (date, time) = (moment.date(), moment.time());
    let mut text = String::new();
    let _ = write!(
        text,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    text
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tracing_subscriber::fmt::time::SystemTime as Reference;

    use super::*;

    #[test]
    fn the_text_is_that_of_tracings_own_clock() {
        let until = Instant::now() + Duration::from_millis(1500);
        let (mut before, mut seconds) = (String::new(), 0);
        while Instant::now() < until {
            let (mut earlier, mut ours, mut later) = (String::new(), String::new(), String::new());
            Reference.format_time(&mut Writer::new(&mut earlier)).unwrap();
            push(&mut ours);
            Reference.format_time(&mut Writer::new(&mut later)).unwrap();
            assert!(before <= ours && earlier <= ours && ours <= later, "{earlier} {ours} {later}");
            assert_eq!(ours.len(), later.len());
            seconds += usize::from(before.get(..19) != ours.get(..19));
            before = ours;
        }
        assert!(seconds > 1);
    }

    #[test]
    fn an_earlier_moment_is_that_of_the_lines_meanwhile() {
        let text = || {
            let mut text = String::new();
            Moment.format_time(&mut Writer::new(&mut text)).unwrap();
            text
        };
        let leap_day = Duration::from_micros(951_868_799_000_012);
        at(leap_day, || assert_eq!(text(), "2000-02-29T23:59:59.000012Z"));
        at(Duration::ZERO, || assert_eq!(text(), "1970-01-01T00:00:00.000000Z"));
        assert!(*text() > *"2026");
    }
}
