//! What a repository asks for in its `.github/cloud-agent.yml`, always read from the default branch.
//!
//! Whoever may push to the default branch decides here how the bot behaves in their repository; a pull request can't change
//! the rules that it is looked at by. An operator's own limits stand above them: see [`Rules::under`].

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use super::Role;
use crate::config::{self, Dollars, Kind};

mod effective;
mod mistake;
mod paths;
mod read;
mod schema;
mod tree;
mod value;
mod words;

pub use mistake::{Mistake, counted};
pub use paths::Paths;
pub use read::{read, read_bytes};
pub use schema::SCHEMA;
pub use words::check_words;

/// Where the file is in a repository.
pub const FILE: &str = ".github/cloud-agent.yml";

/// All settings of a repository. The default is what holds without a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rules {
    pub review: Review,
    pub fix: Fix,
    pub gate: Gate,
    pub ask: Ask,
    /// The model that works here; the operator's when absent. What the operator's key can't use ends the run.
    pub model: Option<String>,
    /// Added to what the agent is told.
    pub instructions: String,
    pub budget: Budget,
}

/// When pull requests are reviewed, and what comes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Review {
    /// What starts a review by itself; nothing unless somebody wishes it.
    pub on: BTreeSet<On>,
    pub paths: Paths,
    /// Whether serious findings fail the check.
    pub gate: bool,
    /// Whether a second, cheap pass may refute findings.
    pub verify: bool,
    pub verdict: Verdict,
    /// Logins of bots whose pull requests are reviewed, without `[bot]`.
    pub bots: BTreeSet<String>,
}

/// How issues are worked on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Fix {
    /// The label that starts work on an issue, and a review on a pull request; the operator's when absent.
    pub label: Option<String>,
    /// Whether pull requests are opened as drafts.
    pub draft: bool,
}

/// What of the agent's work is published.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Gate {
    /// Kinds of change that are not held back, as far as the operator allows.
    pub allow: BTreeSet<Kind>,
    /// The largest file in MiB, at most what the operator allows; that itself when absent.
    pub file_mb: Option<u32>,
    /// The most files at once, by the same measure.
    pub files: Option<u32>,
}

/// Who is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Ask {
    pub who: Who,
}

/// What may be spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Budget {
    /// What one run may spend on the model, at most what the operator allows; that itself when absent.
    #[serde(serialize_with = "in_dollars")]
    pub run: Option<Dollars>,
}

/// What on a pull request starts a review by itself; GitHub's names of the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    Opened,
    ReadyForReview,
    Synchronize,
    Reopened,
}

/// The most that a review may say to GitHub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Findings, and never a verdict on the pull request.
    #[default]
    Comment,
    /// Serious findings request changes.
    RequestChanges,
    /// Serious findings request changes, and none at all approves.
    Approve,
}

/// Who may ask for answers and reviews. Changing code always needs write access.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    #[default]
    Write,
    Triage,
    /// On a public repository GitHub says of everybody that they may read.
    Read,
    Everyone,
}

/// What the operator says, for where a repository says nothing, or wants more than it may.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    pub label: &'a str,
    pub model: Option<&'a str>,
    pub run: Dollars,
    pub gate: &'a config::Gate,
}

impl Rules {
    /// Whether a review looks at this file of the repository.
    pub fn looks_at(&self, path: &str) -> bool {
        self.review.paths.take(path)
    }

    /// The rules in force under an operator: blanks filled in, and no more let through or spent than the operator allows.
    #[must_use]
    pub fn under(mut self, operator: Operator<'_>) -> Self {
        self.fix.label.get_or_insert_with(|| operator.label.to_owned());
        self.model = self.model.or_else(|| operator.model.map(str::to_owned));
        self.gate = self.gate.under(operator.gate);
        self.budget.run = Some(self.budget.run.map_or(operator.run, |asked| asked.min(operator.run)));
        self
    }
}

impl Gate {
    /// What is let through under an operator.
    #[must_use]
    pub fn under(self, operator: &config::Gate) -> Self {
        let most = |asked: Option<u32>, most: u32| Some(asked.map_or(most, |asked| asked.min(most)));
        Self {
            allow: self.allow.intersection(&operator.most()).copied().collect(),
            file_mb: most(self.file_mb, operator.file_mb),
            files: most(self.files, operator.files),
        }
    }
}

impl Review {
    /// Whether pull requests of this bot are reviewed; its login with or without `[bot]`.
    pub fn takes_bot(&self, login: &str) -> bool {
        self.bots.contains(&bare(login))
    }
}

/// A bot's login as it is kept: GitHub's logins know no case, and people leave the `[bot]` out.
fn bare(login: &str) -> String {
    let login = login.to_ascii_lowercase();
    login.strip_suffix("[bot]").unwrap_or(&login).to_owned()
}

impl Default for Review {
    fn default() -> Self {
        Self {
            on: BTreeSet::new(),
            paths: Paths::default(),
            gate: false,
            verify: true,
            verdict: Verdict::default(),
            bots: BTreeSet::new(),
        }
    }
}

impl Who {
    /// Whether somebody with this role may ask for an answer or a review.
    pub fn includes(self, role: Role) -> bool {
        match self {
            Self::Everyone => true,
            Self::Read => Role::Read <= role,
            Self::Triage => Role::Triage <= role,
            Self::Write => Role::Write <= role,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn in_dollars<S: Serializer>(amount: &Option<Dollars>, to: S) -> Result<S::Ok, S::Error> {
    amount.map(|it| it.micros as f64 / 1e6).serialize(to)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn the_operator_fills_blanks_and_caps_the_budget() {
        let gate = config::Gate { most: Vec::new(), file_mb: 5, files: 1000 };
        let operator =
            Operator { label: "bot", model: Some("sonnet"), run: Dollars { micros: 5_000_000 }, gate: &gate };
        let blank = Rules::default().under(operator);
        assert_eq!(blank.fix.label.as_deref(), Some("bot"));
        assert_eq!(blank.model.as_deref(), Some("sonnet"));
        for (asked, given) in [(None, 5_000_000), (Some(3_000_000), 3_000_000), (Some(9_000_000), 5_000_000)] {
            let budget = Budget { run: asked.map(|micros| Dollars { micros }) };
            let rules = Rules { budget, model: Some("opus".into()), ..Rules::default() }.under(operator);
            assert_eq!(rules.budget.run, Some(Dollars { micros: given }), "{asked:?}");
            assert_eq!(rules.model.as_deref(), Some("opus"));
        }
    }

    #[test]
    fn the_gate_opens_no_further_than_the_operator_allows() {
        let most = ["lockfiles", "tests"].map(|kind| kind.parse().unwrap()).into();
        let operator = config::Gate { most, file_mb: 5, files: 100 };
        let asked = Gate { allow: [Kind::Workflows, Kind::Tests].into(), file_mb: Some(50), files: Some(10) };
        let given = Gate { allow: [Kind::Tests].into(), file_mb: Some(5), files: Some(10) };
        assert_eq!(asked.under(&operator), given);
        let blank = Gate { allow: [].into(), file_mb: Some(5), files: Some(100) };
        assert_eq!(Gate::default().under(&operator), blank);
    }

    #[test]
    fn who_may_ask() {
        let roles = [Role::None, Role::Read, Role::Triage, Role::Write, Role::Maintain, Role::Admin];
        for (who, refused) in [(Who::Everyone, 0), (Who::Read, 1), (Who::Triage, 2), (Who::Write, 3)] {
            for (rank, role) in roles.into_iter().enumerate() {
                assert_eq!(who.includes(role), refused <= rank, "{who:?} {role:?}");
            }
        }
    }

    #[test]
    fn bots_are_known_by_either_name() {
        let review = Review { bots: [bare("Renovate[bot]"), bare("dependabot")].into(), ..Review::default() };
        assert!(review.takes_bot("renovate[bot]") && review.takes_bot("renovate"));
        assert!(review.takes_bot("dependabot[bot]") && review.takes_bot("Dependabot"));
        assert!(!review.takes_bot("renovate-x[bot]") && !review.takes_bot(""));
    }
}
