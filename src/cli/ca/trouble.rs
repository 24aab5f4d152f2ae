//! What can go wrong, in words that say what to do next, and the exit code of it.

use std::process::ExitCode;

use serde::Deserialize;
use url::Url;

/// How `ca` ends, as its help tells.
pub const FAILED: u8 = 1;
pub const WRONG_USAGE: u8 = 2;
pub const CANCELLED: u8 = 3;
pub const TIMED_OUT: u8 = 4;
pub const NOT_ALLOWED: u8 = 5;
/// What shells make of Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// What a server's problem says, as far as it is shown.
#[derive(Debug, Deserialize)]
pub struct Told {
    pub status: u16,
    pub code: String,
    pub detail: String,
    #[serde(default)]
    pub field: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error(
        "no server answers at {url}: {why}\n  Start it with `cloud-agent serve`, or name another one: `ca login URL` or CA_URL."
    )]
    Unreached { url: Url, why: String },
    #[error("{url} answered with something else than JSON ({status}); is a cloud-agent server there? See CA_URL.")]
    Strange { url: Url, status: u16 },
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
}

/// What the server says is wrong, with its code, and the command that helps.
fn problem(it: &Told) -> String {
    let field = it.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
    let next = match it.code.as_str() {
        "no_such_task" => "\n  `ca task list` shows the newest.",
        "no_such_delivery" => "\n  `ca deliveries` shows the newest.",
        "no_such_key" => "\n  `ca keys list` shows them.",
        "forbidden" => "\n  `ca login` shows what your key may do.",
        "no_such_route" => "\n  This server is older than this `ca`.",
        _ => "",
    };
    format!("{field}{} ({}){next}", it.detail, it.code)
}
        "invalid" if it.field.as_deref() == Some("repository_url") => {
            "\n  CA_GITHUB_URL says where a number is looked for."
        }
