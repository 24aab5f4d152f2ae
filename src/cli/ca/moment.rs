//! Moments as people type them: a date, or so long ago or from now.

use std::str::FromStr;

use crate::clock::{self, Millis};
use crate::config::Span;

/// A moment that has been: so long ago, or a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub Millis);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        moment(text, -1).map(Self)
    }
}

/// A moment to come: so long from now, or a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until(pub Millis);

impl FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        moment(text, 1).map(Self)
    }
}

fn moment(text: &str, direction: i64) -> Result<Millis, String> {
    let date = clock::read_iso(text).or_else(|| clock::read_iso(&format!("{text}T00:00:00Z")));
    if let Some(at) = date {
        return Ok(at);
    }
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let span = text.parse::<Span>().ok().filter(|_| has_unit);
    let millis = span.and_then(|it| i64::try_from(it.0.as_millis()).ok());
    millis
        .map(|millis| clock::now().saturating_add(direction * millis))
        .ok_or_else(|| format!("`{text}` is no moment; write 12h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn moments_are_dates_or_lengths_of_time() {
        assert_eq!("2026-11-21T18:44:59Z".parse(), Ok(Since(1_795_286_699_000)));
        assert_eq!("2026-11-21".parse(), Ok(Until(1_795_219_200_000)));
        let (ago, ahead): (Since, Until) = ("2h".parse().unwrap(), "2h".parse().unwrap());
        let between = ahead.0 - ago.0;
        assert!((14_400_000..14_410_000).contains(&between), "{between}");
        for wrong in ["", "7", "soon", "2026-13-01", "-1h", "99999999999999d"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }
}
