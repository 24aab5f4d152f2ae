//! Reviews: what an agent says of a pull request becomes comments that GitHub takes, once each. Pure.
//!
//! ```text
//!  git diff ─▶ diff ─▶ scope: what is looked at ─▶ (the agent) ─▶ finding ─▶ ledger: what is new ─▶ place: where it goes
//! ```
//!
//! The agent is not trusted to know what a diff is. Whatever it names is looked up in the diff of the head SHA that the
//! review is posted for, because one bad line makes GitHub refuse the whole review.

mod diff;
mod dismiss;
mod finding;
mod ledger;
mod made;
mod parse;
mod place;
mod scope;

pub use diff::{Diff, FileDiff, Hunk, Line, LineKind, Status};
pub use dismiss::dismisses;
pub use finding::{
    Category, EarlierAnswer, EarlierState, Finding, MOST_FINDINGS, ReviewAnswer, SecondLook, Severity, Side, Verdict,
    meant, read_answer, read_verdicts,
};
pub use ledger::{Found, Known, KnownState, Now, Reconciled, fingerprint, fingerprint_of, reconcile, still_there};
pub use made::{Entry, LeftOutLine, Reviewed, Spot, Still};
pub use place::{Annotation, Inline, Level, Placed, Rung, name_files, place, suggestion_block};
pub use scope::{Attributes, LeftOut, Limits, Part, Plan, Why, plan};

/// The JSON schema of a review's answer.
pub const REVIEW_SCHEMA: &str = include_str!("../../../templates/prompt/review.schema.json");
/// The JSON schema of the answer of the pass that tries to refute findings.
pub const VERIFY_SCHEMA: &str = include_str!("../../../templates/prompt/verify.schema.json");

#[cfg(test)]
mod tests;
