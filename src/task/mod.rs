//! Stage 2: what was asked: the task, its states, who may ask, what a comment says. Pure: no async, no I/O.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod admit;
mod command;
mod progress;
pub mod rules;
pub mod review;
mod slug;
mod state;

pub use admit::{Admission, Facts, Refusal, Role, admit};
pub use command::{Command, parse};
pub use progress::{FileLine, Progress, Published, TodoLine, Work};
pub use slug::branch;
pub use state::{Ending, State};

/// A task's id: UUIDv7, so that ids sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub Uuid);

impl TaskId {
    /// A new id, later than all before it.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// A person, an App or a bot on GitHub. Logins change; the id does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: u64,
    pub login: String,
}

/// The issue or pull request that a task belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub installation_id: u64,
    pub repository_id: u64,
    /// `owner/name` as of the delivery.
    pub repository: String,
    pub number: u64,
}

/// What asked, and so where the reaction goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Trigger {
    /// A comment that mentions the bot.
    Comment { id: u64 },
    /// The issue's own text mentions the bot.
    Opened,
    /// Somebody set the label.
    Labeled,
}

/// The issue as it was when somebody asked; the agent reads this and never the live one (invariant 7).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub title: String,
    pub body: String,
    pub author: String,
    /// Whether the author may write to the repository; `None` when nobody asked GitHub.
    #[serde(default)]
    pub author_trusted: Option<bool>,
    pub labels: Vec<String>,
    /// The conversation before the comment that asked, oldest first.
    pub thread: Vec<Said>,
    /// The comment that asked, if one did.
    pub comment: Option<Said>,
    pub base_branch: String,
    pub base_sha: String,
}

/// One contribution to a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    pub author: String,
    /// Whether the author may write to the repository; `None` when nobody asked GitHub.
    pub trusted: Option<bool>,
    pub body: String,
    /// As GitHub gives it, ISO 8601.
    pub at: String,
}
