//! Why the model could not be used, kept so that a run that fails can say why.

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The last request to the model that came to nothing. Forgotten as soon as one is answered to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamTrouble {
    pub kind: Trouble,
    /// The API's status; none when it was not reached or not asked.
    pub status: Option<u16>,
    /// What the API or the gateway said, at most 500 characters.
    pub message: String,
    /// Seconds that the API asks to wait.
    pub retry_after: Option<u64>,
}

/// Sorted by who has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// There is no key, or the API does not take it.
    KeyRefused,
    /// The account behind the key has no money left.
    OutOfCredit,
    /// The API does not have this model, or the run may not use it.
    ModelUnknown,
    RateLimited,
    Overloaded,
    /// Not reached, or broken: a 5xx.
    Unreachable,
    /// The API found fault with the request.
    BadRequest,
}

/// Why the model API can't be used at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoModel {
    #[error("ANTHROPIC_API_KEY is not set")]
    NoKey,
    #[error("{0} does not take the key in ANTHROPIC_API_KEY")]
    KeyRefused(String),
    #[error("{0}")]
    Away(String),
}

impl UpstreamTrouble {
    /// What an error answer of the API means. Types and statuses: <https://docs.claude.com/en/api/errors>
    pub fn of_answer(status: StatusCode, body: &[u8], retry_after: Option<u64>) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let said = json["error"]["message"].as_str().map(str::to_owned);
        let message = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
        let type_ = json["error"]["type"].as_str().unwrap_or_default();
        Self {
            kind: kind(status, type_, &message),
            status: Some(status.as_u16()),
            message: short(&message),
            retry_after,
        }
    }

    /// The stream of an answer carried an error event.
    pub fn of_event(type_: &str, message: &str) -> Self {
        let status = match type_ {
            "overloaded_error" => 529,
            "rate_limit_error" => 429,
            "authentication_error" => 401,
            _ => 500,
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { kind: kind(status, type_, message), status: None, message: short(message), retry_after: None }
    }

    pub fn own(kind: Trouble, message: &str) -> Self {
        Self { kind, status: None, message: short(message), retry_after: None }
    }
}

fn kind(status: StatusCode, type_: &str, message: &str) -> Trouble {
    // An empty account is a 400 like any other; only the words tell it apart.
    if type_ == "billing_error" || message.contains("credit balance is too low") {
        return Trouble::OutOfCredit;
    }
    match status.as_u16() {
        401 | 403 => Trouble::KeyRefused,
        402 => Trouble::OutOfCredit,
        404 => Trouble::ModelUnknown,
        429 => Trouble::RateLimited,
        503 | 529 => Trouble::Overloaded,
        500.. => Trouble::Unreachable,
        _ => Trouble::BadRequest,
    }
}

fn short(message: &str) -> String {
    message.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let check = |status: u16, body: &str, kind| {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(UpstreamTrouble::of_answer(status, body.as_bytes(), None).kind, kind, "{status} {body}");
        };
        check(
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            Trouble::KeyRefused,
        );
        check(
            400,
            r#"{"error":{"message":"Your credit balance is too low to access the Anthropic API."}}"#,
            Trouble::OutOfCredit,
        );
        check(400, r#"{"error":{"message":"max_tokens: must be positive"}}"#, Trouble::BadRequest);
        check(404, r#"{"error":{"type":"not_found_error","message":"model: claude-nope-1"}}"#, Trouble::ModelUnknown);
        check(429, "", Trouble::RateLimited);
        check(529, "", Trouble::Overloaded);
        check(502, "<html>", Trouble::Unreachable);
    }
}
