//! GitHub's times: ISO 8601 in answers, HTTP dates in headers.

use http::{HeaderMap, header};

use crate::clock::{self, Millis};

/// `2026-11-21T18:00:00Z`, also with a fraction or an offset.
pub(super) fn iso(text: &str) -> Option<Millis> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let rest = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match rest.split_at_checked(1) {
        Some(("+" | "-", zone)) => {
            let (hours, minutes) = zone.split_once(':').unwrap_or((zone, "0"));
            let long = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if rest.starts_with('-') { -long } else { long }
        }
        _ => 0,
    };
    Some((days(year, month, day) * 86_400 + seconds - offset) * 1000)
}

/// How far GitHub's clock is ahead of ours, by the `Date` of its answer; nothing when it does not say.
pub(super) fn ahead(headers: &HeaderMap) -> Millis {
    let date = headers.get(header::DATE).and_then(|it| it.to_str().ok()).and_then(http_date);
    date.map_or(0, |date| date - clock::now())
}

/// `Sat, 21 Nov 2026 18:00:00 GMT`.
fn http_date(text: &str) -> Option<Millis> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let word = words.next()?;
    let month = MONTHS.iter().position(|it| *it == word)? as i64 + 1;
    let year = words.next()?.parse().ok()?;
    let mut parts = words.next()?.split(':').map(str::parse::<i64>);
    let mut part = || parts.next()?.ok();
    let seconds = part()? * 3600 + part()? * 60 + part()?;
    Some((days(year, month, day) * 86_400 + seconds) * 1000)
}

/// Days since 1970 in the Gregorian calendar, whose year begins in March here, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `14:05:10 UTC`.
pub(super) fn of_day(at: Millis) -> String {
    let seconds = at.div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_shapes_are_read() {
        assert_eq!(iso("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(iso("2026-11-21T18:00:05Z"), Some(1_795_284_005_000));
        assert_eq!(iso("2026-11-21T18:00:05.250Z"), Some(1_795_284_005_000));
        assert_eq!(iso("2026-11-21T20:00:05+02:00"), Some(1_795_284_005_000));
        assert_eq!(iso("2026-11-21T10:00:05-08:00"), Some(1_795_284_005_000));
        assert_eq!(iso("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
        assert_eq!(iso("soon"), None);
        assert_eq!(http_date("Sat, 21 Nov 2026 18:00:05 GMT"), Some(1_795_284_005_000));
        assert_eq!(http_date("yesterday"), None);
        assert_eq!(of_day(1_795_284_005_999), "18:00:05 UTC");
    }
}
