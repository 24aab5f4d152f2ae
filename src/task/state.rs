//! The states of a task, the legal moves between them, and the ways it can end.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::Gone;

/// Where a task stands. Only the store moves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Queued,
    Running,
    Publishing,
    /// For GitHub, the model or this machine: `Waiting` says which.
    Waiting,
    Completed,
    Failed,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Publishing, Self::Waiting, Self::Completed, Self::Failed, Self::Cancelled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Publishing => "publishing",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The legal moves. A task that is taken up again after a crash moves to the state it was in.
    pub fn may_become(self, next: Self) -> bool {
        use State::*;
        match self {
            Queued => matches!(next, Running | Waiting | Failed | Cancelled),
            Running => matches!(next, Running | Publishing | Waiting | Completed | Failed | Cancelled),
            // Back to running when another machine takes over and does not have the work.
            Publishing => matches!(next, Running | Publishing | Waiting | Completed | Failed),
            Waiting => matches!(next, Running | Publishing | Waiting | Completed | Failed | Cancelled),
            Completed | Failed | Cancelled => false,
        }
    }
}

/// How a task ended; `code` is stable, templates turn it into words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// `pull_request`, `pushed`, `reviewed`, `no_change`, `cancelled`, `budget`, `turns`, `time`, …
    pub code: String,
    /// What a person needs to know besides: the agent's summary, GitHub's refusal, the last words of a crash.
    #[serde(default)]
    pub says: String,
    #[serde(default)]
    pub pull: Option<u64>,
    /// The review that it has posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<NonZeroU64>,
    /// Who stopped it.
    #[serde(default)]
    pub by: Option<String>,
    /// What was held back, for whoever has to decide about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

impl Ending {
    pub fn new(code: impl Into<String>, says: impl Into<String>) -> Self {
        Self { code: code.into(), says: says.into(), pull: None, review: None, by: None, diff: String::new() }
    }

    /// The state that a task rests in after this.
    pub fn state(&self) -> State {
        match self.code.as_str() {
            "pull_request" | "no_change" | "pushed" | "patch" | "answered" | "reviewed" => State::Completed,
            "cancelled" | "superseded" | "closed" => State::Cancelled,
            code if Gone::coded(code).is_some() => State::Cancelled,
            _ => State::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_stays_ended() {
        for end in State::ALL.into_iter().filter(|it| it.is_final()) {
            for next in State::ALL {
                assert!(!end.may_become(next), "{end:?} -> {next:?}");
            }
        }
    }

    #[test]
    fn every_open_state_can_end() {
        for state in State::ALL.into_iter().filter(|it| !it.is_final()) {
            assert!(State::ALL.into_iter().any(|end| end.is_final() && state.may_become(end)), "{state:?}");
            assert_eq!(State::named(state.name()), Some(state));
        }
    }
}
