//! How single settings are written and read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The name in a mention: with or without its `@`, and one word.
pub(super) fn mention(text: &str) -> Result<String, String> {
    let name = text.trim_start_matches('@');
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    fits.then(|| name.to_owned()).ok_or_else(|| format!("`{text}` can't be mentioned; write letters, digits and -"))
}

/// The parts of a comma separated secret.
pub fn several(secret: &SecretString) -> Vec<SecretString> {
    let parts = secret.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(SecretString::from).collect()
}

/// The password in an address, as it is written where it is used.
pub fn password_in(url: &Url) -> Option<SecretString> {
    let query = || url.query_pairs().find(|(name, _)| name == "password").map(|(_, value)| value.into_owned());
    // The same escapes as in a form, where a plus sign would be a space.
    let form = url.password().map(|it| format!("password={}", it.replace('+', "%2B")));
    let plain = form.and_then(|form| Some(url::form_urlencoded::parse(form.as_bytes()).next()?.1.into_owned()));
    plain.or_else(query).filter(|it| !it.is_empty()).map(SecretString::from)
}

/// An address as it can be shown: without its password.
pub fn shown(url: &Url) -> String {
    const MASK: &str = "********";
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some(MASK));
    }
    if url.query_pairs().any(|(name, _)| name == "password") {
        let pairs: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let masked = |(name, value): &(String, String)| match name.as_str() {
            "password" => (name.clone(), MASK.to_owned()),
            _ => (name.clone(), value.clone()),
        };
        url.query_pairs_mut().clear().extend_pairs(pairs.iter().map(masked));
    }
    url.to_string()
}

/// A SHA-256 in hexadecimal, or nothing at all.
pub(super) fn sha256(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = text.is_empty() || text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then(|| text.to_lowercase()).ok_or_else(|| "a SHA-256 has 64 hexadecimal digits".to_owned())
}

/// A lease long enough to be renewed in time.
pub(super) fn lease(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    (span.0 >= Duration::from_secs(1)).then_some(span).ok_or_else(|| "a lease lasts 1s or longer".to_owned())
}

/// A time that a task can wait for a machine that may be gone for good.
pub(super) fn handover(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    (span.0 <= Duration::from_mins(10))
        .then_some(span)
        .ok_or_else(|| "a task is left to a machine for 10m at most".to_owned())
}

/// A length of time written `90s`, `60m`, `2h` or `14d`; a bare number is minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let amount: u64 =
            digits.parse().map_err(|_| format!("`{text}` is no length of time; write 90s, 60m, 2h or 14d"))?;
        let millis = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "" | "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            unit => return Err(format!("`{unit}` is no unit of time; write 90s, 60m, 2h or 14d")),
        };
        let total = amount.checked_mul(millis).filter(|total| *total > 0);
        total.map(|total| Self(Duration::from_millis(total))).ok_or_else(|| format!("`{text}` is out of range"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            // A day of 24 hours is said in hours, two and more in days.
            _ if millis > 86_400_000 && millis.is_multiple_of(86_400_000) => write!(f, "{}d", millis / 86_400_000),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1000) => write!(f, "{}s", millis / 1000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

/// US dollars in a setting, kept as micro-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars {
    pub micros: i64,
}

impl FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount: f64 =
            text.trim_start_matches('$').parse().map_err(|_| format!("`{text}` is no amount of dollars"))?;
        if !(amount.is_finite() && 0.0 < amount && amount < 1e9) {
            return Err(format!("`{text}` must be more than 0"));
        }
        Ok(Self { micros: (amount * 1e6).round() as i64 })
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.micros as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, millis) in [
            ("90s", 90_000),
            ("60m", 3_600_000),
            ("2h", 7_200_000),
            ("5", 300_000),
            ("250ms", 250),
            ("14d", 1_209_600_000),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().0.as_millis(), millis, "{text}");
        }
        for (text, shown) in
            [("60m", "1h"), ("14d", "14d"), ("336h", "14d"), ("1d", "24h"), ("36h", "36h"), ("90s", "90s")]
        {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown, "{text}");
        }
        assert!("soon".parse::<Span>().is_err());
        assert!("0s".parse::<Span>().is_err());
    }
}
