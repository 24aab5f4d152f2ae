//! Check runs: ours, those of other Apps, jobs of GitHub Actions with their logs, and the merge queue that asks for more.

mod acts;
pub(crate) mod logs;
pub(crate) mod look;
mod people;
mod queue;
mod shapes;

/// GitHub Actions, which is an App like others.
pub(crate) const ACTIONS_APP: u64 = 15_368;
/// An App that is neither ours nor GitHub's.
pub(crate) const OTHER_APP: u64 = 8_329;
