//! From texts to numbers, switches and durations, with one form of error: the setting, where its
//! value came from, and what it takes. Numbers and switches are read as Python's `int`, `float` and
//! `getboolean` read them, because files written for TabPy rely on it.

use std::time::Duration;

use anyhow::{anyhow, bail};

use super::Timeout;
use super::sources::Sources;

/// One setting's text, if it was given.
pub(super) struct Value<'a> {
    name: &'static str,
    text: Option<&'a str>,
    sources: &'a Sources,
}

impl<'a> Value<'a> {
    pub(super) fn new(sources: &'a Sources, name: &'static str, text: &'a Option<String>) -> Self {
        Self { name, text: text.as_deref().map(str::trim), sources }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.text
    }

    /// The error for a value that cannot be taken.
    pub(super) fn wrong(&self, takes: &str) -> anyhow::Error {
        let origin = self.sources.origin(self.name);
        let text = self.text.unwrap_or_default();
        anyhow!("{} = {text:?} (from {origin}) cannot be used: it takes {takes}", self.name)
    }

    pub(super) fn boolean(&self, default: bool) -> anyhow::Result<bool> {
        let Some(text) = self.text else { return Ok(default) };
        match text.to_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Ok(true),
            "0" | "no" | "false" | "off" => Ok(false),
            _ => Err(self.wrong("true or false (or yes, no, on, off, 1, 0)")),
        }
    }

    /// `None` when it is not set.
    pub(super) fn integer(&self, smallest: u64, largest: u64) -> anyhow::Result<Option<u64>> {
        let Some(text) = self.text else { return Ok(None) };
        match integer(text) {
            Some(number) if (smallest..=largest).contains(&number) => Ok(Some(number)),
            _ => Err(self.wrong(&format!("a whole number from {smallest} to {largest}"))),
        }
    }

    /// As `integer`, for counts.
    pub(super) fn count(&self, smallest: u64, largest: u64) -> anyhow::Result<Option<usize>> {
        let Some(number) = self.integer(smallest, largest)? else { return Ok(None) };
        usize::try_from(number).map(Some).map_err(|_| self.wrong("a smaller number on this machine"))
    }

    /// A number of units of `unit` bytes each.
    pub(super) fn bytes(&self, default: usize, unit: usize) -> anyhow::Result<usize> {
        const LARGEST: u64 = 1024 * 1024;
        let number = self.count(1, LARGEST)?.unwrap_or(default);
        number.checked_mul(unit).ok_or_else(|| self.wrong("a smaller number on this machine"))
    }

    pub(super) fn timeout(&self, default: u32) -> anyhow::Result<Timeout> {
        /// Some thirty years: far enough, and no sum of it and a clock overflows.
        const LONGEST: f64 = 1e9;
        let Some(text) = self.text else {
            return Ok(Timeout { duration: Duration::from_secs(default.into()), text: default.to_string() });
        };
        let takes = "a number of seconds above 0 and up to 1000000000, such as 30 or 2.5";
        let Some(seconds) = float(text) else { bail!(self.wrong(takes)) };
        // A fraction so small that no time is left of it is no timeout either.
        match Duration::try_from_secs_f64(seconds) {
            Ok(duration) if !duration.is_zero() && seconds <= LONGEST => {
                Ok(Timeout { duration, text: python_repr(seconds) })
            }
            _ => Err(self.wrong(takes)),
        }
    }

    /// Names parted by commas or spaces, each of which must satisfy `valid`.
    pub(super) fn names(
        &self,
        default: &str,
        valid: fn(&str) -> bool,
        takes: &str,
    ) -> anyhow::Result<Vec<String>> {
        let text = self.text.unwrap_or(default);
        let names = text.split([',', ' ', '\n', '\t']).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.iter().all(|name| valid(name)) { Ok(names) } else { Err(self.wrong(takes)) }
    }
}

/// Python's `int(text)` for numbers from 0.
fn integer(text: &str) -> Option<u64> {
    let digits = plain(text)?;
    digits.strip_prefix('+').unwrap_or(&digits).parse().ok().filter(|_| !digits.starts_with("++"))
}

/// Python's `float(text)`.
fn float(text: &str) -> Option<f64> {
    plain(text)?.parse().ok()
}

/// The text without underscores, each of which must stand between two digits.
fn plain(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let lone =
        |(index, byte): (usize, &u8)| *byte == b'_' && (index == 0 || !digit(index - 1) || !digit(index + 1));
    if bytes.iter().enumerate().any(lone) { None } else { Some(text.replace('_', "")) }
}

/// How Python prints a float.
fn python_repr(number: f64) -> String {
    let text = format!("{number:?}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(text: &str, read: impl Fn(Value<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let environment = vec![("TABPY_QUEUE_SIZE".to_owned(), text.to_owned())];
        let sources = Sources::merge(&environment, &Vec::new(), None)?;
        let text = Some(text.to_owned());
        read(Value::new(&sources, "TABPY_QUEUE_SIZE", &text))
    }

    #[test]
    fn switches_are_read_as_python_reads_them() {
        for text in ["1", "yes", "TRUE", "On", " true "] {
            assert!(check(text, |value| value.boolean(false)).unwrap(), "{text}");
        }
        for text in ["0", "no", "False", "oFF"] {
            assert!(!check(text, |value| value.boolean(true)).unwrap(), "{text}");
        }
        let error = check("maybe", |value| value.boolean(true)).unwrap_err().to_string();
        assert_eq!(
            error,
            "TABPY_QUEUE_SIZE = \"maybe\" (from the environment) cannot be used: it takes true or false (or yes, no, on, off, 1, 0)"
        );
    }

    #[test]
    fn whole_numbers() {
        for (text, number) in [("5", 5), ("+5", 5), ("1_000", 1000), (" 7 ", 7), ("0", 0)] {
            assert_eq!(check(text, |value| value.integer(0, 2000)).unwrap(), Some(number), "{text}");
        }
        for text in ["-1", "5.0", "1e3", "_5", "5_", "1__0", "++5", "2001", "99999999999999999999", "five"] {
            assert!(check(text, |value| value.integer(0, 2000)).is_err(), "{text}");
        }
    }

    #[test]
    fn timeouts_and_how_they_are_printed() {
        for (text, millis, printed) in [
            ("3", 3000, "3.0"),
            ("2.5", 2500, "2.5"),
            (".5", 500, "0.5"),
            ("1e1", 10_000, "10.0"),
            ("1_0.", 10_000, "10.0"),
        ] {
            let timeout = check(text, |value| value.timeout(30)).unwrap();
            assert_eq!((timeout.duration.as_millis(), timeout.text.as_str()), (millis, printed), "{text}");
        }
        for text in ["0", "-1", "nan", "inf", "-inf", "1e10", "1e-300", "30s", "soon"] {
            assert!(check(text, |value| value.timeout(30)).is_err(), "{text}");
        }
        let sources = Sources::default();
        assert_eq!(Value::new(&sources, "PORT", &None).timeout(30).unwrap().text, "30");
    }

    #[test]
    fn floats_are_printed_as_python_prints_them() {
        for (number, text) in
            [(3.0, "3.0"), (1e16, "1e+16"), (1e-5, "1e-05"), (0.0001, "0.0001"), (1.5e-7, "1.5e-07")]
        {
            assert_eq!(python_repr(number), text);
        }
    }
}
