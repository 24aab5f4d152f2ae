//! What can go wrong, in words that say what to do next, and the exit code of it.

use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

/// How `ca` ends, as its help tells.
pub const FAILED: u8 = 1;
pub const WRONG_USAGE: u8 = 2;
pub const CANCELLED: u8 = 3;
pub const TIMED_OUT: u8 = 4;
pub const NOT_ALLOWED: u8 = 5;
/// What shells make of Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// What a server's problem says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    pub status: u16,
    pub code: String,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is not shown to people.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// How long it asks to be left alone.
    #[serde(skip)]
    pub pause: Option<Duration>,
}

#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(
        "no server answers at {url}: {why}\n  Start it with `cloud-agent serve`, or name another one: `ca login URL` or CA_URL."
    )]
    Unreached { url: Url, why: String },
    #[error("{url} answered with something else than JSON ({status}); is a cloud-agent server there? See CA_URL.")]
    Strange { url: Url, status: u16, pause: Option<Duration> },
    #[error("{url} sends us to {to}: name that one with `ca login URL` or CA_URL.")]
    Moved { url: Url, to: String },
    #[error(
        "there is no key for {0}: run `ca login`, or set CA_API_KEY. The server's first key stands in its DATA_DIR/admin-api-key."
    )]
    NoKey(Url),
    #[error("{0} does not take this key: run `ca login` with one that is valid, or set CA_API_KEY. (unauthorized)")]
    BadKey(Url),
    #[error("{}", problem(.0))]
    Told(Box<Told>),
    #[error("{0}")]
    Usage(String),
    #[error("{why}; the task goes on. Come back with: ca task logs --follow {task}")]
    Lost { task: String, why: String },
    #[error("{last}\n  The server may have heard it: to make no second task, repeat it with --idempotency-key {key}")]
    Unsure { last: Box<Trouble>, key: String },
}

impl Trouble {
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::NoKey(_) | Self::BadKey(_) => NOT_ALLOWED,
            Self::Usage(_) => WRONG_USAGE,
            Self::Told(problem) => match problem.status {
                401 | 403 => NOT_ALLOWED,
                400 | 422 => WRONG_USAGE,
                _ => FAILED,
            },
            _ => FAILED,
        })
    }

    /// Whether the server was away, or not itself: the same may go well later.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Unreached { .. }) || self.status().is_some_and(|it| (500..600).contains(&it))
    }

    /// Whether it was too much at once.
    pub fn is_too_much(&self) -> bool {
        self.status() == Some(429)
    }

    /// How long the server asks to be left alone.
    pub fn pause(&self) -> Option<Duration> {
        match self {
            Self::Told(problem) => problem.pause,
            Self::Strange { pause, .. } => *pause,
            _ => None,
        }
    }

    /// What the server answered.
    fn status(&self) -> Option<u16> {
        match self {
            Self::Told(problem) => Some(problem.status),
            Self::Strange { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// For programs: the server's own problem where there is one, and else one of the same shape.
    fn as_problem(&self) -> Value {
        let code = match self {
            Self::Told(problem) => return serde_json::to_value(problem).unwrap_or_default(),
            Self::Unsure { last, key } => {
                let mut problem = last.as_problem();
                problem["idempotency_key"] = key.as_str().into();
                return problem;
            }
            Self::Unreached { .. } => "unreached",
            Self::Strange { .. } => "no_json",
            Self::Moved { .. } => "moved",
            Self::NoKey(_) => "no_key",
            Self::BadKey(_) => "unauthorized",
            Self::Usage(_) => "usage",
            Self::Lost { .. } => "lost",
        };
        let mut problem = json!({ "code": code, "detail": self.to_string() });
        if let Some(status) = self.status() {
            problem["status"] = status.into();
        }
        problem
    }
}

/// Whatever went wrong, as one object.
pub fn as_problem(error: &anyhow::Error) -> Value {
    match error.downcast_ref::<Trouble>() {
        Some(trouble) => trouble.as_problem(),
        None => json!({ "code": "failed", "detail": format!("{error:#}") }),
    }
}

/// What the server says is wrong, with its code, and the command that helps.
fn problem(it: &Told) -> String {
    let field = it.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
    let next = match it.code.as_str() {
        "no_such_task" => "\n  `ca task list` shows the newest.",
        "no_such_delivery" => "\n  `ca deliveries` shows the newest.",
        "no_such_key" => "\n  `ca keys list` shows them.",
        "forbidden" => "\n  `ca login` shows what your key may do.",
        "invalid" if it.field.as_deref() == Some("repository_url") => {
            "\n  CA_GITHUB_URL says where a number is looked for."
        }
        "no_such_route" => "\n  This server is older than this `ca`.",
        _ => "",
    };
    format!("{field}{} ({}){next}", it.detail, it.code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn programs_get_what_went_wrong_as_one_object() {
        let url: Url = "http://localhost:3000".parse().unwrap();
        let told = json!({
            "type": "about:blank", "title": "Conflict", "status": 409, "code": "paused", "detail": "wait", "hint": [1]
        });
        let problem: Told = serde_json::from_value(told.clone()).unwrap();
        assert_eq!(as_problem(&Trouble::Told(Box::new(problem)).into()), told);
        let last = Trouble::Strange { url, status: 502, pause: None };
        assert!(last.is_away() && !last.is_too_much());
        let problem = as_problem(&Trouble::Unsure { last: Box::new(last), key: "mine".to_owned() }.into());
        assert_eq!(
            (&problem["code"], &problem["status"], &problem["idempotency_key"]),
            (&json!("no_json"), &json!(502), &json!("mine"))
        );
        let other = as_problem(&anyhow::anyhow!("no room").context("write it"));
        assert_eq!(other, json!({ "code": "failed", "detail": "write it: no room" }));
    }
}
