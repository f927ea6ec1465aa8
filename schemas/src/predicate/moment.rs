//! Dates, times and timestamps in a condition: `2024-12-31`, `23:59:59.5`, `2024-12-31T23:59:59+09:00`.

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// A timestamp as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Nanoseconds since midnight, in the written time zone.
    pub time: i128,
    /// Offset of the written time zone from UTC in nanoseconds, positive to the east; 0 without an offset.
    pub ahead: i128,
}

/// Whether digits of a second after the sixth count. DuckDB ignores them, except in types with nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    Microseconds,
    Nanoseconds,
}

impl Moment {
    /// Parses a date or a timestamp; `None` for any other text.
    pub(super) fn parse(text: &str, precision: Precision) -> Option<Self> {
        let text = text.trim();
        let end = text.find(['T', 't', ' ']).unwrap_or(text.len());
        let day = date(&text[..end])?;
        match text.get(end + 1..) {
            None => Some(Self { day, time: 0, ahead: 0 }),
            Some(rest) => {
                let (time, ahead) = clock(rest.trim_start(), precision)?;
                Some(Self { day, time, ahead })
            }
        }
    }

    /// Nanoseconds since the epoch, in the written time zone.
    pub(super) fn local(self) -> i128 {
        i128::from(self.day) * 86_400 * SECOND + self.time
    }

    /// Nanoseconds since the epoch, in UTC.
    pub(super) fn utc(self) -> i128 {
        self.local() - self.ahead
    }
}

/// Parses a time of the day into nanoseconds since midnight. An offset has no meaning here and is ignored.
pub(super) fn time_of_day(text: &str, precision: Precision) -> Option<i128> {
    clock(text.trim(), precision).map(|(time, _)| time)
}

/// Days since 1970-01-01 of a Gregorian date.
fn date(text: &str) -> Option<i64> {
    let separator = if text.contains('/') { '/' } else { '-' };
    let mut parts = text.split(separator);
    let (year, month, day) =
        (digits(parts.next()?, 6)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if parts.next().is_some() || !(1..=days).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last day: "days_from_civil" in Howard Hinnant's
    // chrono-compatible date algorithms.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Parses `HH:MM[:SS[.fraction]]` with an optional offset: nanoseconds since midnight, and offset in
/// nanoseconds.
fn clock(text: &str, precision: Precision) -> Option<(i128, i128)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == ':' || c == '.')).unwrap_or(text.len());
    let (time, offset) = text.split_at(end);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hours, minutes, seconds] = three(time)?;
    let fraction = fraction_nanoseconds(fraction, precision)?;
    let is_midnight = minutes == 0 && seconds == 0 && fraction == 0;
    if minutes > 59 || seconds > 59 || hours > 24 || (hours == 24 && !is_midnight) {
        return None;
    }
    let ahead = match offset.trim() {
        "" | "Z" | "z" | "UTC" => 0,
        offset => {
            let sign = if offset.starts_with('-') { -1 } else { 1 };
            let offset = offset.strip_prefix(['+', '-'])?;
            let [hours, minutes, seconds] = three(offset).or_else(|| three(&format!("{offset}:00")))?;
            sign * nanoseconds(hours, minutes, seconds)
        }
    };
    Some((nanoseconds(hours, minutes, seconds) + fraction, ahead))
}

fn nanoseconds(hours: i64, minutes: i64, seconds: i64) -> i128 {
    i128::from((hours * 60 + minutes) * 60 + seconds) * SECOND
}

/// Hours, minutes and, if present, seconds.
fn three(text: &str) -> Option<[i64; 3]> {
    let mut parts = text.split(':');
    let (hours, minutes) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let seconds = parts.next().map_or(Some(0), |seconds| digits(seconds, 2))?;
    parts.next().is_none().then_some([hours, minutes, seconds])
}

/// Digits after a second's point. Digits beyond the precision are cut off.
fn fraction_nanoseconds(text: &str, precision: Precision) -> Option<i128> {
    if !text.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let kept = if precision == Precision::Microseconds { 6 } else { 9 };
    let padded: String = text.chars().take(kept).chain(std::iter::repeat('0')).take(9).collect();
    padded.parse().ok()
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let is_number = (1..=most).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_parsed_exactly_and_other_texts_are_refused() {
        let utc = |text| Moment::parse(text, Precision::Microseconds).map(Moment::utc);
        assert_eq!(utc("1970-01-01"), Some(0));
        assert_eq!(utc("2024-02-29"), Some(1_709_164_800 * SECOND));
        assert_eq!(utc("0001-01-01"), Some(-62_135_596_800 * SECOND));
        assert_eq!(utc("9999-12-31 23:59:59"), Some(253_402_300_799 * SECOND));
        assert_eq!(utc("1970-01-01T09:00:00.1234567+09:00"), Some(123_456_000));
        assert_eq!(utc("1970/1/1 24:00:00Z"), Some(86_400 * SECOND));
        assert_eq!(utc("1969-12-31 19:30-04:30"), Some(0));
        for none in [
            "",
            "x",
            "2024-13-01",
            "2023-02-29",
            "2024-01-01T",
            "2024-01-01 25:00:00",
            "2024-01-01 1:60",
            "20240101",
        ] {
            assert_eq!(utc(none), None, "{none}");
        }
        assert_eq!(
            time_of_day("12:00:00.1234567", Precision::Nanoseconds),
            Some(43_200 * SECOND + 123_456_700)
        );
        assert_eq!(time_of_day("12", Precision::Nanoseconds), None);
    }
}
