//! What GitHub can answer besides yes, sorted by what a caller does about it.

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::line::{Limit, UNSAID};
use super::own::TokenProblem;
use crate::clock::{self, Millis};
use crate::task::Gone;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Not there, or not visible to us.
    #[error("GitHub has no such thing: {0}")]
    NotFound(String),
    /// A permission is missing, or the repository is archived, or an allow list stands in the way.
    #[error("GitHub does not allow it: {0}")]
    Forbidden(String),
    #[error("GitHub refused the request: {0}")]
    Invalid(String),
    #[error("GitHub did not accept our credentials: {0}")]
    Unauthorized(String),
    /// The repository has another name now.
    #[error("the repository was renamed or transferred")]
    Moved,
    #[error("the installation is suspended")]
    Suspended,
    /// Its owner has taken the App away.
    #[error("the App is not installed there any more")]
    Uninstalled,
    /// The installation goes on without it.
    #[error("the installation no longer covers the repository")]
    Uncovered,
    /// A rate limit; nothing may be sent before `until`.
    #[error("{}", limited(*until, *limit))]
    Limited { until: Millis, limit: Limit },
    /// No answer, half an answer, or a 5xx. A write may have happened.
    #[error("GitHub could not be reached: {0}")]
    Unreachable(String),
    /// What a person's own token is refused. It is theirs to mend; asking again with it changes nothing.
    #[error("{}: {said} ({})", problem.code(), problem.says(needs))]
    Token { problem: TokenProblem, needs: &'static str, said: String },
    /// Our own mistake: an unusable route or token.
    #[error("{0}")]
    Ours(String),
}

impl Error {
    /// Whether trying again can't help.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::NotFound(_)
                | Self::Forbidden(_)
                | Self::Invalid(_)
                | Self::Moved
                | Self::Suspended
                | Self::Uninstalled
                | Self::Uncovered
                | Self::Token { .. }
                | Self::Ours(_)
        )
    }

    /// In words, for a call with the App's own credentials: with what to look at when GitHub does not know them.
    pub fn of_app(&self) -> String {
        match self {
            Self::Unauthorized(_) | Self::NotFound(_) => format!(
                "{self}; is the private key one of the App that GITHUB_APP_ID names, does the App's page still list it, and \
                 is this machine's clock right?"
            ),
            _ => self.to_string(),
        }
    }

    /// What is no longer there for us, if that is it: then nothing can be read or said there at all.
    pub fn gone(&self) -> Option<Gone> {
        match self {
            Self::Suspended => Some(Gone::Suspended),
            Self::Uninstalled => Some(Gone::Uninstalled),
            Self::Uncovered => Some(Gone::Uncovered),
            _ => None,
        }
    }

    /// Read a refusal. `None` for a 2xx.
    pub(super) fn read(status: StatusCode, headers: &HeaderMap, body: &str) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        let said = words(status, body);
        if status.is_redirection() {
            return Some(Self::Moved);
        }
        if matches!(status.as_u16(), 403 | 429) {
            if let Some((until, limit)) = limited_until(status, headers, &said) {
                return Some(Self::Limited { until, limit });
            }
            if said.contains("has been suspended") {
                return Some(Self::Suspended);
            }
        }
        Some(match status.as_u16() {
            401 => Self::Unauthorized(said),
            403 | 451 => Self::Forbidden(said),
            404 | 410 => Self::NotFound(said),
            // Passing troubles: a time-out, a conflict with another write, too early.
            408 | 409 | 425 | 500.. => Self::Unreachable(said),
            _ => Self::Invalid(said),
        })
    }

    /// Read a refusal that GraphQL gives with status 200: `errors` beside or instead of `data`. GitHub names the sort
    /// in `errors[].type`; a missing permission is `FORBIDDEN`, "Resource not accessible by integration"
    /// (github/gh-aw#35726). A part of an answer is not taken for the whole.
    pub(super) fn read_graphql(headers: &HeaderMap, body: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Refused {
            #[serde(default)]
            errors: Vec<Said>,
        }
        #[derive(Deserialize)]
        struct Said {
            #[serde(default, rename = "type")]
            kind: String,
            #[serde(default)]
            message: String,
        }
        // Not JSON: whoever reads the data will say so.
        let errors = serde_json::from_str::<Refused>(body).ok()?.errors;
        let first = errors.first()?;
        let said = errors.iter().map(|it| it.message.as_str()).collect::<Vec<_>>().join("; ");
        Some(match first.kind.as_str() {
            "RATE_LIMITED" | "RATE_LIMIT" => {
                let said = limited_until(StatusCode::TOO_MANY_REQUESTS, headers, &said);
                let (until, limit) = said.unwrap_or((clock::now() + UNSAID, Limit::Secondary));
                Self::Limited { until, limit }
            }
            "NOT_FOUND" => Self::NotFound(said),
            "FORBIDDEN" | "INSUFFICIENT_SCOPES" => Self::Forbidden(said),
            _ if said.contains("not accessible by integration") => Self::Forbidden(said),
            // "Something went wrong while executing your query": its own time-out.
            "INTERNAL" | "SERVICE_UNAVAILABLE" | "TIMEOUT" => Self::Unreachable(said),
            _ if said.contains("Something went wrong") => Self::Unreachable(said),
            _ => Self::Invalid(said),
        })
    }
}

/// Until when a 403 or 429 asks us to be silent, in the order GitHub documents: `retry-after`, then the reset of an
/// exhausted limit, then a minute for a secondary limit that names no time.
fn limited_until(status: StatusCode, headers: &HeaderMap, said: &str) -> Option<(Millis, Limit)> {
    let exhausted = number(headers, "x-ratelimit-remaining") == Some(0);
    if let Some(seconds) = number(headers, "retry-after") {
        let limit = if exhausted { Limit::Primary } else { Limit::Secondary };
        return Some((clock::now() + seconds.max(1) * 1000, limit));
    }
    if exhausted {
        let reset = number(headers, "x-ratelimit-reset")? * 1000 + 1000;
        return Some((reset - ahead(headers), Limit::Primary));
    }
    let said = said.to_lowercase();
    let limited = ["secondary rate limit", "rate limit exceeded", "abuse detection"];
    let limited = status == StatusCode::TOO_MANY_REQUESTS || limited.iter().any(|words| said.contains(words));
    limited.then(|| (clock::now() + UNSAID, Limit::Secondary))
}

/// Whether a refusal names its end.
pub(super) fn says_when(headers: &HeaderMap) -> bool {
    let is = |name: &str| number(headers, name);
    is("retry-after").is_some() || (is("x-ratelimit-remaining") == Some(0) && is("x-ratelimit-reset").is_some())
}

/// A header that is a number.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

fn limited(until: Millis, limit: Limit) -> String {
    let until = clock::of_day(until);
    match limit {
        Limit::Primary => format!("GitHub asks us to wait until {until} (no requests left for this hour)"),
        Limit::Secondary => format!("GitHub asks us to wait until {until} (secondary rate limit)"),
        Limit::Content => format!("waiting until {until}, to stay within the comments that GitHub takes in an hour"),
        Limit::Pace => format!("waiting until {until}, to stay within the requests that GitHub takes in a minute"),
    }
}

/// GitHub's message and its details; `errors` holds objects or plain strings.
fn words(status: StatusCode, body: &str) -> String {
    #[derive(Deserialize)]
    struct Refused {
        message: String,
        #[serde(default)]
        errors: Vec<Detail>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Detail {
        Text(String),
        Object { message: Option<String>, field: Option<String>, code: Option<String> },
    }
    let Ok(refused) = serde_json::from_str::<Refused>(body) else {
        return status.to_string();
    };
    let details: Vec<String> = refused
        .errors
        .into_iter()
        .map(|detail| match detail {
            Detail::Text(text) => text,
            Detail::Object { message: Some(message), .. } => message,
            Detail::Object { field, code, .. } => {
                format!("{} {}", field.unwrap_or_default(), code.unwrap_or_default()).trim().to_owned()
            }
        })
        .collect();
    match details.is_empty() {
        true => format!("{} {}", status.as_u16(), refused.message),
        false => format!("{} {} ({})", status.as_u16(), refused.message, details.join("; ")),
    }
}

/// How far GitHub's clock is ahead of ours, by the `Date` of its answer; nothing when it does not say.
pub(super) fn ahead(headers: &HeaderMap) -> Millis {
    let date = headers.get(http::header::DATE).and_then(|it| it.to_str().ok()).and_then(clock::read_http);
    date.map_or(0, |date| date - clock::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(&'static str, &str)], body: &str) -> Error {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Error::read(StatusCode::from_u16(status).unwrap(), &map, body).unwrap()
    }

    #[test]
    fn both_shapes_of_422_are_read() {
        let objects = r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"No commits between main and x"}]}"#;
        let strings = r#"{"message":"Unprocessable Entity","errors":["line must be part of the diff"]}"#;
        assert!(read(422, &[], objects).to_string().contains("(No commits between main and x)"));
        assert!(read(422, &[], strings).to_string().contains("(line must be part of the diff)"));
        assert!(read(422, &[], "<html>").to_string().contains("422"));
    }

    #[test]
    fn credentials_that_are_not_taken_come_with_what_to_look_at() {
        let says = |status: u16| read(status, &[], r#"{"message":"no"}"#).of_app();
        for status in [401, 404] {
            assert!(says(status).contains("is the private key one of the App that GITHUB_APP_ID names"), "{status}");
        }
        assert!(!says(502).contains("private key"), "that is GitHub's trouble");
    }

    #[test]
    fn what_graphql_refuses_with_200_is_sorted_too() {
        let read = |body: &str| Error::read_graphql(&HeaderMap::new(), body);
        let of = |kind: &str| {
            read(&format!(r#"{{"data":{{"x":null}},"errors":[{{"type":"{kind}","path":["x"],"message":"said"}}]}}"#))
                .unwrap()
        };
        assert!(matches!(of("FORBIDDEN"), Error::Forbidden(said) if said == "said"));
        assert!(matches!(of("NOT_FOUND"), Error::NotFound(_)));
        assert!(
            matches!(of("RATE_LIMITED"), Error::Limited { until, limit: Limit::Secondary } if until > clock::now() + 50_000)
        );
        assert!(matches!(of("UNPROCESSABLE"), Error::Invalid(_)));
        let untyped = |said: &str| read(&format!(r#"{{"errors":[{{"message":"{said}"}}]}}"#)).unwrap();
        assert!(matches!(untyped("Resource not accessible by integration"), Error::Forbidden(_)));
        assert!(matches!(untyped("Something went wrong while executing your query."), Error::Unreachable(_)));
        assert!(matches!(untyped("Field 'x' doesn't exist"), Error::Invalid(_)));
        assert!(read(r#"{"data":{"x":1}}"#).is_none());
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-remaining", "0".parse().unwrap());
        headers.insert("x-ratelimit-reset", "2000000000".parse().unwrap());
        let limited =
            Error::read_graphql(&headers, r#"{"errors":[{"type":"RATE_LIMITED","message":"API rate limit"}]}"#);
        assert!(matches!(limited, Some(Error::Limited { until: 2_000_000_001_000, limit: Limit::Primary })));
    }

    #[test]
    fn limits_are_told_from_missing_permissions() {
        let soon = clock::now() + 2000;
        assert!(matches!(read(403, &[("retry-after", "2")], "{}"), Error::Limited { until, .. } if until >= soon));
        let exhausted = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2000000000")];
        assert!(matches!(read(429, &exhausted, "{}"), Error::Limited { until: 2_000_000_001_000, .. }));
        let unsaid = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert!(matches!(read(403, &[], unsaid), Error::Limited { .. }));
        let until = 1_795_284_005_000;
        let words = Error::Limited { until, limit: Limit::Secondary }.to_string();
        assert_eq!(words, "GitHub asks us to wait until 18:00:05 UTC (secondary rate limit)");
        let permission = r#"{"message":"Resource not accessible by integration"}"#;
        assert!(matches!(read(403, &[("x-ratelimit-remaining", "12")], permission), Error::Forbidden(_)));
        let suspended = r#"{"message":"This installation has been suspended"}"#;
        assert!(matches!(read(403, &[], suspended), Error::Suspended));
    }
}
