//! The durable steps of a run. What is set here is behind us; a run that is taken up again goes on after it.

use serde::{Deserialize, Serialize};

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The agent has answered and its work was looked at: what is to be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// The work stands on its branch: nothing of this machine is needed any more, and nothing stops what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

/// What the agent left, checked and ready to be pushed by whoever has the run's directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Work {
    /// The commit to push; `None` when nothing was changed.
    pub head: Option<String>,
    pub branch: String,
    pub title: String,
    pub summary: String,
    pub details: String,
    pub verification: String,
    /// `path +added -deleted`, for the pull request and the check run.
    pub files: Vec<FileLine>,
    pub todos: Vec<TodoLine>,
    /// Hosts that the sandbox was refused: `host:port`, times.
    pub blocked: Vec<(String, u64)>,
}

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    pub path: String,
    pub added: u64,
    pub deleted: u64,
}

/// A line of the agent's checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TodoLine {
    pub text: String,
    /// `pending`, `active` or `done`.
    pub state: String,
}

/// What stands on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Published {
    pub branch: String,
    pub head: String,
    /// Once it is open.
    #[serde(default)]
    pub pull: Option<u64>,
}
