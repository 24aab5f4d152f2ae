//! The durable steps of a run. What is set here is behind us; a run that is taken up again goes on after it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::review::Reviewed;
use crate::text::Tally;

/// How far a run has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The agent is at work. Who takes over goes on with its conversation where that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStep>,
    /// The questions of a review that are answered: none is paid for twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passes: Vec<Pass>,
    /// The agent has answered and its work was looked at: what is to be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// The work stands on its branch: nothing of this machine is needed any more, and nothing stops what is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// A review is made, and what of it is new is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed: Option<Reviewed>,
}

impl Progress {
    /// What was taken out of people's texts before the agent read them.
    pub fn removed(&self) -> Tally {
        let (work, reviewed) = (self.work.as_ref(), self.reviewed.as_ref());
        work.map(|it| &it.removed).or(reviewed.map(|it| &it.removed)).cloned().unwrap_or_default()
    }

    /// Whether what is needed to go on lies on the disk of the machine that has come so far.
    pub fn needs_its_machine(&self) -> bool {
        let unpublished = self.work.as_ref().is_some_and(|work| work.head.is_some()) && self.published.is_none();
        self.agent.is_some() || unpublished
    }
}

/// How far the agent has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentStep {
    /// Its conversation is found by this.
    pub session: String,
    /// The checkout that it works on. Machines that take turns at a task may each have a tree of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tree: String,
    /// What it answered, as it was given; what it did lies in the working tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

/// An answered question.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pass {
    /// Of the question and all that it was about.
    pub fingerprint: String,
    pub answer: Value,
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
    /// What `head` adds to where it began, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<CommitLine>,
    pub todos: Vec<TodoLine>,
    /// Hosts that the sandbox was refused: `host:port`, times.
    pub blocked: Vec<(String, u64)>,
    /// Hidden things that were taken out of what people wrote.
    #[serde(default, skip_serializing_if = "Tally::is_empty")]
    pub removed: Tally,
    /// Where the branch has to stand for the push: a pull request's head, or where a person has moved it meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// What is to be said in the conversations on lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<ThreadLine>,
    /// The work as a patch, where it can't be pushed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub patch: String,
    /// Why it does not stand on the pull request's own branch: `fork`, `lane`, `default`, `refused`, `conflict`; of a fork
    /// that was approved `beside` (a pull request of its own), `moved`, `retargeted`, `closed` or `gate` (a patch all the
    /// same). `rebased`: it does, after what somebody else has pushed meanwhile.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aside: String,
    /// The commits change files below `.github/workflows`, and the gate has let them through: the push needs a permission more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub workflows: bool,
    /// Files that an approved fork changes and that may not go onto a branch of the repository, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contributed: String,
}

impl Work {
    /// Whether it goes onto the pull request's own branch.
    pub fn is_on_the_pull(&self) -> bool {
        matches!(self.aside.as_str(), "" | "rebased")
    }
}

impl Work {
    /// Whether it is only told, as a patch: nothing of it may be pushed.
    pub fn is_a_patch(&self) -> bool {
        matches!(self.aside.as_str(), "fork" | "lane" | "moved" | "retargeted" | "closed" | "gate")
    }
}

/// An answer to a conversation on a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadLine {
    /// Its first comment.
    pub thread: u64,
    pub reply: String,
    /// The commits do what it asks.
    pub settled: bool,
}

/// A changed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    pub path: String,
    pub added: u64,
    pub deleted: u64,
}

/// Most bytes of one thing that is kept for scripts.
pub const LARGEST_ARTIFACT: usize = 16 << 20;

/// A commit, with the first line of its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    pub sha: String,
    pub subject: String,
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
