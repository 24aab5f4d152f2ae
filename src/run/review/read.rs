//! What a review looks at: the diff, in parts that fit a model's head, and what is known from before.

use tracing::warn;

use crate::github::Thread;
use crate::run::checkout::{Tree, git_trouble};
use crate::run::guidance::Guidance;
use crate::run::{Halt, Pause, Run};
use crate::sandbox::git::Sha;
use crate::store::StoredFinding;
use crate::task::review::{Attributes, Diff, KnownState, Limits, Plan, dismisses, plan};
use crate::task::{Ending, PullSnapshot, Trigger};

/// What one part may have, and a file in it; how many parts there are at most. A part of 160 kB is about 50,000 tokens.
const LIMITS: Limits = Limits { part_bytes: 160 << 10, file_bytes: 256 << 10, parts: 8 };
/// Bytes of the diff of what came since the last review.
const LARGEST: usize = 16 << 20;
const LARGEST_ATTRIBUTES: u64 = 256 << 10;

/// All that a review is made of.
pub struct Subject {
    /// The whole of the pull request: what comments can stand on.
    pub whole: Diff,
    pub raw: Vec<u8>,
    /// What is looked at.
    pub plan: Plan,
    /// Files of the pull request beyond what was read of its diff.
    pub cut: bool,
    /// What came before `since` was looked at, all of it.
    pub whole_before: bool,
    /// The commit that the last review had looked at, when this one is about what came since.
    pub since: Option<Sha>,
    /// Where the pull request left its base.
    pub fork_point: Sha,
    pub known: Vec<StoredFinding>,
    /// The first review of this pull request.
    pub first: bool,
    /// What the project asks of whoever works on it.
    pub guidance: Guidance,
}

pub async fn read(run: &Run<'_>, tree: &Tree) -> Result<Subject, Halt> {
    let pull = pull(run)?;
    let trouble = |error| git_trouble("checkout", error);
    let fork_point = run.fork_point(tree).await?;
    let diffed = run.changes(tree).await?;
    let whole = Diff::parse(&diffed.bytes);
    let last = last_review(run).await?;
    let (first, whole_before) = (last.is_none(), last.as_ref().is_none_or(|(_, whole)| *whole));
    // Without being asked, only what is new is looked at. After a force push nothing is known of what that is.
    let since = match last.map(|(sha, _)| sha).filter(|_| run.task.trigger == Trigger::Pull) {
        Some(last) if last != tree.base && tree.mirror.has(&last).await.map_err(trouble)? => {
            let builds = tree.mirror.is_ancestor(&last, &tree.base).await.map_err(trouble)?;
            builds.then_some(last)
        }
        _ => None,
    };
    let attributes = tree.mirror.file(&fork_point, b".gitattributes", LARGEST_ATTRIBUTES).await.map_err(trouble)?;
    let attributes = Attributes::parse(&String::from_utf8_lossy(&attributes.unwrap_or_default()));
    let rules = run.task.snapshot.rules();
    let paths = |path: &str| rules.looks_at(path);
    let mut cut = diffed.cut;
    let plan = match &since {
        None => plan(&whole, &diffed.bytes, &attributes, &paths, LIMITS),
        Some(last) => {
            let names: Vec<&[u8]> = whole.files.iter().flat_map(names).collect();
            let newer = tree.mirror.diff_of(last, &tree.base, &names, LARGEST).await.map_err(trouble)?;
            cut |= newer.cut;
            plan(&Diff::parse(&newer.bytes), &newer.bytes, &attributes, &paths, LIMITS)
        }
    };
    let known = known(run, pull).await?;
    let guidance = run.guidance(tree).await?;
    Ok(Subject {
        guidance,
        whole,
        raw: diffed.bytes,
        plan,
        cut,
        whole_before: since.is_none() || whole_before,
        since,
        fork_point,
        known,
        first,
    })
}

pub fn pull<'a>(run: &'a Run<'_>) -> Result<&'a PullSnapshot, Halt> {
    run.task.snapshot.pull.as_ref().ok_or_else(|| Halt::End(Ending::new("checkout", "this is no pull request")))
}

fn names(file: &crate::task::review::FileDiff) -> impl Iterator<Item = &[u8]> {
    [file.old_path.as_deref(), file.new_path.as_deref()].into_iter().flatten().map(str::as_bytes)
}

/// The newest review that came to its end: its commit, and whether it had looked at everything.
async fn last_review(run: &Run<'_>) -> Result<Option<(Sha, bool)>, Halt> {
    let place = &run.task.place;
    let reviews = run.app.store.reviews_of(place.repository_id, place.number).await.map_err(Pause::Broken)?;
    Ok(reviews.iter().find_map(|task| {
        let reviewed = task.progress.reviewed.as_ref()?;
        Some((reviewed.head.parse().ok()?, reviewed.is_whole()))
    }))
}

/// The ledger, after what people have said on GitHub since.
async fn known(run: &Run<'_>, pull: &PullSnapshot) -> Result<Vec<StoredFinding>, Halt> {
    let place = &run.task.place;
    let mut known = run.app.store.findings(place.repository_id, place.number).await.map_err(Pause::Broken)?;
    if !known.iter().any(|it| it.known.state == KnownState::Open && it.comment_id.is_some()) {
        return Ok(known);
    }
    let threads = match run.repo.threads(place.number).await {
        Ok(threads) => threads,
        Err(error) if error.is_final() => {
            warn!("GitHub does not show us which threads are resolved: {error}");
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    let us = &run.app.github.identity().await?.slug;
    for it in known.iter_mut().filter(|it| it.known.state == KnownState::Open) {
        let Some(comment) = it.comment_id else { continue };
        if by_resolving(&threads, comment, us, run, pull) || by_saying(pull, comment) {
            it.known.state = KnownState::Dismissed;
            let settled = run.app.store.settle_finding(run.job.lease(), &it.known.id, KnownState::Dismissed).await;
            settled.map_err(Pause::Broken)?;
        }
    }
    Ok(known)
}

/// A person has resolved the thread. The author of a fork may do so as well, whose word settles nothing.
fn by_resolving(threads: &[Thread], comment: u64, us: &str, run: &Run<'_>, pull: &PullSnapshot) -> bool {
    let of = threads.iter().find(|it| it.comments.first().and_then(|first| first.database_id) == Some(comment));
    let Some(by) = of.filter(|thread| thread.is_resolved).and_then(|thread| thread.resolved_by.as_deref()) else {
        return false;
    };
    let stranger = !pull.same_repository && by == run.task.snapshot.author;
    by.trim_end_matches("[bot]") != us && !stranger
}

/// Somebody who may write has answered that it is to stay.
fn by_saying(pull: &PullSnapshot, comment: u64) -> bool {
    let thread = pull.threads.iter().find(|thread| thread.id == comment);
    let mut replies = thread.into_iter().flat_map(|thread| thread.said.iter().skip(1));
    replies.any(|said| said.trusted == Some(true) && dismisses(&said.body))
}
