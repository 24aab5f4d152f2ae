//! A review that is made: all that is needed to post it, whoever does.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{Finding, Severity, Side, Verdict};
use crate::text::Tally;

/// What a review came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// The commit that was looked at.
    pub head: String,
    /// The commit that the last review had looked at, when this one is about what came since.
    pub since: Option<String>,
    pub summary: String,
    pub verdict: Verdict,
    /// What is new, the worst first.
    pub found: Vec<Entry>,
    /// What was found before, is still there and was not said again.
    pub still: Vec<Still>,
    /// Ledger ids of what is fixed.
    pub fixed: Vec<String>,
    /// Findings that the second pass has refuted.
    pub refuted: usize,
    /// Files that were looked at, and those that were not.
    pub files: usize,
    pub left_out: Vec<LeftOutLine>,
    /// Hosts that the sandbox was refused: `host:port`, times.
    pub blocked: Vec<(String, u64)>,
    /// Hidden things that were taken out of what people wrote.
    #[serde(default, skip_serializing_if = "Tally::is_empty")]
    pub removed: Tally,
    /// No review of this pull request came to its end before.
    pub first: bool,
    /// It stands on GitHub.
    #[serde(default)]
    pub posted: bool,
    /// Its id there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<NonZeroU64>,
}

/// A new finding and where it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id in the ledger.
    pub id: String,
    pub finding: Finding,
    pub fingerprint: String,
    pub spot: Spot,
}

/// Where a finding is said; the rungs of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "at")]
pub enum Spot {
    /// A comment of the review.
    Line {
        path: String,
        start_line: Option<u32>,
        line: u32,
        side: Side,
        /// The lines that it is about, when those are not in the diff.
        moved_from: Option<(Option<u32>, u32)>,
        suggestion: Option<String>,
    },
    /// A comment on a file as a whole.
    File { path: String },
    /// An annotation of the check run.
    Annotation { path: String, start_line: u32, end_line: u32 },
    /// The table alone.
    Table,
}

/// A finding of an earlier review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Still {
    pub id: String,
    pub severity: Severity,
    pub title: String,
    pub path: String,
    /// A person has said that it is to stay: it is not counted.
    pub dismissed: bool,
}

/// Files that were not looked at for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutLine {
    /// `generated`, `vendored`, `lockfile`, `binary`, `filtered`, `too_large`, `too_many`, `budget`; `before` for
    /// what an earlier review has left out; `cut` for whatever came after more bytes of diff than are read at all.
    pub why: String,
    pub count: usize,
    /// The first few.
    pub paths: Vec<String>,
}

impl Reviewed {
    /// Serious findings that are open: those that a gate is for.
    pub fn serious(&self) -> usize {
        let new = self.found.iter().filter(|it| it.finding.severity == Severity::High).count();
        let old = self.still.iter().filter(|it| !it.dismissed && it.severity == Severity::High).count();
        new + old
    }

    /// Whether all was looked at that people have written: a part beyond the budget or the limits may hold anything.
    pub fn is_whole(&self) -> bool {
        !self
            .left_out
            .iter()
            .any(|it| matches!(it.why.as_str(), "budget" | "too_many" | "too_large" | "cut" | "before"))
    }

    /// Earlier findings that still count.
    pub fn open_before(&self) -> usize {
        self.still.iter().filter(|it| !it.dismissed).count()
    }

    /// Everything that is open.
    pub fn open(&self) -> usize {
        self.found.len() + self.open_before()
    }
}
