//! The time, as UTC milliseconds; everything that is stored or compared uses these.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

/// The present moment.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as Millis
}

/// A moment as GitHub writes it, such as `2026-01-31T12:00:00Z`, with or without parts of a second.
pub fn read_iso(text: &str) -> Option<Millis> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, part) = time.split_once('.').unwrap_or((time, "0"));
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let part: Millis = format!("{part:0<3}").get(..3)?.parse().ok()?;
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    fits.then_some(seconds * 1000 + part)
}

/// A moment as GitHub reads it, in whole seconds.
pub fn iso(at: Millis) -> String {
    let (seconds, day) = (at.div_euclid(1000).rem_euclid(86_400), at.div_euclid(86_400_000));
    // The year is a guess that is at most a day off at its ends, and then corrected; so is the month.
    let mut year = 1970 + day.div_euclid(366);
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= day).unwrap_or(1);
    let day = day - days(year, month, 1) + 1;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn numbers(text: &str, between: char) -> Option<[Millis; 3]> {
    let numbers: Option<Vec<Millis>> = text.split(between).map(|it| it.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// Days from 1970 to a day of the Gregorian calendar. Years begin in March here, so that a leap day is their last.
fn days(year: Millis, month: Millis, day: Millis) -> Millis {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (text, at) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799_000),
            ("2024-12-31T00:00:00Z", 1_735_603_200_000),
            ("2026-11-21T18:44:59Z", 1_795_286_699_000),
            ("2027-01-01T00:00:00Z", 1_798_761_600_000),
        ] {
            assert_eq!(read_iso(text), Some(at), "{text}");
            assert_eq!(iso(at), text);
        }
        assert_eq!(read_iso("2019-06-03T00:57:16.5Z"), Some(1_559_523_436_500));
        for text in ["", "soon", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+01:00"] {
            assert_eq!(read_iso(text), None, "{text}");
        }
    }
}
