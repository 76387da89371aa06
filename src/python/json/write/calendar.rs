//! Dates and durations as ISO 8601 text, made from the counts that numpy keeps. The text is what
//! `isoformat` of a pandas Timestamp or Timedelta would be, so that a column reads the same
//! whichever way it is stored.

use std::io::Write as _;

/// What a count of numpy's datetime64 or timedelta64 counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    Years,
    Months,
    Days,
    /// Whole seconds of so many each.
    Seconds(i64),
    /// Parts of a second; as many as ten to this power make one.
    Fraction(u32),
}

impl Unit {
    /// By numpy's name for it.
    pub(super) fn named(name: &str) -> Option<(Self, i64)> {
        Some(match name {
            "Y" => (Self::Years, 1),
            "M" => (Self::Months, 1),
            "W" => (Self::Days, 7),
            "D" => (Self::Days, 1),
            "h" => (Self::Seconds(3600), 1),
            "m" => (Self::Seconds(60), 1),
            "s" => (Self::Seconds(1), 1),
            "ms" => (Self::Fraction(3), 1),
            "us" => (Self::Fraction(6), 1),
            "ns" => (Self::Fraction(9), 1),
            "ps" => (Self::Fraction(12), 1),
            "fs" => (Self::Fraction(15), 1),
            "as" => (Self::Fraction(18), 1),
            _ => return None,
        })
    }

    /// A count as seconds and a fraction of one, in so many digits.
    fn split(self, count: i64) -> Option<(i64, i64, u32)> {
        match self {
            Self::Years | Self::Months | Self::Days => None,
            Self::Seconds(each) => Some((count.checked_mul(each)?, 0, 0)),
            Self::Fraction(digits) => {
                let whole = 10_i64.pow(digits);
                Some((count.div_euclid(whole), count.rem_euclid(whole), digits))
            }
        }
    }
}

/// Years beyond this are no dates that anybody meant, and the arithmetic below would not hold.
const FARTHEST_DAY: i64 = 365_250_000_000;

/// Writes the point in time that lies `count` units after 1970 began. None, if it lies too far.
pub(super) fn date(out: &mut Vec<u8>, unit: Unit, count: i64) -> Option<()> {
    match unit {
        Unit::Years => day(out, days_before_month(count.checked_mul(12)?)?),
        Unit::Months => day(out, days_before_month(count)?),
        Unit::Days => day(out, count),
        _ => {
            let (seconds, fraction, digits) = unit.split(count)?;
            day(out, seconds.div_euclid(86_400))?;
            let second = seconds.rem_euclid(86_400);
            out.push(b'T');
            two(out, second / 3600);
            out.push(b':');
            two(out, second / 60 % 60);
            out.push(b':');
            two(out, second % 60);
            if fraction != 0 {
                // Python writes six digits, pandas nine where six don't do.
                let (mut fraction, mut digits) = (fraction, digits);
                while digits > 6 && fraction % 1000 == 0 {
                    fraction /= 1000;
                    digits -= 3;
                }
                while digits < 6 {
                    fraction *= 10;
                    digits += 1;
                }
                let _ = write!(out, ".{fraction:0width$}", width = digits as usize);
            }
            Some(())
        }
    }
}

/// Writes a duration of `count` units. None, if it is too long.
pub(super) fn span(out: &mut Vec<u8>, unit: Unit, count: i64) -> Option<()> {
    match unit {
        Unit::Years => write!(out, "P{count}Y").ok(),
        Unit::Months => write!(out, "P{count}M").ok(),
        Unit::Days => {
            duration(out, count, 0, 0, 0);
            Some(())
        }
        _ => {
            let (seconds, fraction, digits) = unit.split(count)?;
            duration(out, seconds.div_euclid(86_400), seconds.rem_euclid(86_400), fraction, digits);
            Some(())
        }
    }
}

/// Writes days (negative, if the duration is), seconds of a day, and a fraction in so many digits.
pub(super) fn duration(out: &mut Vec<u8>, days: i64, seconds: i64, fraction: i64, digits: u32) {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let _ = write!(out, "P{days}DT{hours}H{minutes}M{seconds}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:0width$}", width = digits as usize);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'S');
}

/// Writes the day that lies `days` after 1970-01-01, in the Gregorian calendar.
fn day(out: &mut Vec<u8>, days: i64) -> Option<()> {
    if days.checked_abs()? > FARTHEST_DAY {
        return None;
    }
    // Counted from 1 March of year 0, each 400 years are alike and a leap day ends its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..10_000).contains(&year) {
        two(out, year / 100);
        two(out, year % 100);
    } else {
        let _ = write!(out, "{year:05}");
    }
    out.push(b'-');
    two(out, month);
    out.push(b'-');
    two(out, day);
    Some(())
}

/// How many days lie between 1970-01-01 and the month that many months later.
fn days_before_month(months: i64) -> Option<i64> {
    if months.checked_abs()? > FARTHEST_DAY / 31 {
        return None;
    }
    let (year, month) = (1970 + months.div_euclid(12), months.rem_euclid(12) + 1);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let of_year = (153 * shifted_month + 2) / 5;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468)
}

fn two(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}
