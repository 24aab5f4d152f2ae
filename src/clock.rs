//! The time, as UTC milliseconds; everything that is stored or compared uses these.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// Milliseconds since 1970, UTC.
pub type Millis = i64;

/// The present moment.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as Millis
}

/// A moment as GitHub's answers say it, such as `2026-01-31T12:00:00Z`, also with a fraction or an offset.
pub fn read_iso(text: &str) -> Option<Millis> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis())
}

/// A moment as HTTP headers say it, such as `Sat, 31 Jan 2026 12:00:00 GMT`.
pub fn read_http(text: &str) -> Option<Millis> {
    DateTime::parse_from_rfc2822(text).ok().map(|at| at.timestamp_millis())
}

/// A moment as GitHub reads it, in whole seconds.
pub fn iso(at: Millis) -> String {
    DateTime::from_timestamp_millis(at).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The time of day for people: `14:05:10 UTC`.
pub fn of_day(at: Millis) -> String {
    DateTime::from_timestamp_millis(at).unwrap_or_default().format("%H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (text, at) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799_000),
            ("2026-11-21T18:44:59Z", 1_795_286_699_000),
        ] {
            assert_eq!(read_iso(text), Some(at), "{text}");
            assert_eq!(iso(at), text);
        }
        assert_eq!(read_iso("2019-06-03T00:57:16.5Z"), Some(1_559_523_436_500));
        assert_eq!(read_iso("2026-11-21T20:00:05+02:00"), Some(1_795_284_005_000));
        for text in ["", "soon", "2026-13-01T00:00:00Z", "2026-01-01"] {
            assert_eq!(read_iso(text), None, "{text}");
        }
        assert_eq!(read_http("Sat, 21 Nov 2026 18:00:05 GMT"), Some(1_795_284_005_000));
        assert_eq!(read_http("yesterday"), None);
        assert_eq!(of_day(1_795_284_005_999), "18:00:05 UTC");
    }
}
