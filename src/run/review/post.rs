//! The review on GitHub: comments, the ledger's new entries, threads of what is fixed.

use std::num::NonZeroU64;

use tracing::{info, warn};

use super::read::pull;
use crate::github::ReviewEvent;
use crate::report::{self, Outbox};
use crate::run::{Halt, Pause, Run};
use crate::store::StoredFinding;
use crate::task::review::{Known, KnownState, Reviewed, Spot};
use crate::task::rules::Verdict;
use crate::task::{Lane, Progress, Trigger};

/// Whether an earlier attempt has begun to post: what it has said can't be taken back, and the rest belongs to it.
pub async fn is_begun(run: &Run<'_>) -> Result<bool, Halt> {
    let keys = report::review::post_keys(run.task);
    Ok(run.app.store.is_intended(&keys).await.map_err(Pause::from)?)
}

/// The answer is the review's id, where one was posted.
pub async fn post(run: &Run<'_>, outbox: &Outbox<'_>, reviewed: &Reviewed) -> Result<Option<NonZeroU64>, Halt> {
    let pause = |undone| Halt::Pause(Pause::from(undone));
    let (config, repo, task) = (&run.app.config, run.repo, run.task);
    // Somebody may have pushed since. What is said of an older commit decides nothing about the pull request.
    let stale = run.repo.pull(task.place.number).await?.head.sha != reviewed.head;
    let reviewed = &if stale { Reviewed { fixed: Vec::new(), ..reviewed.clone() } } else { reviewed.clone() };
    let event = if stale { ReviewEvent::Comment } else { event(run, reviewed).await? };
    let mut said = None;
    if is_worth_posting(run, reviewed, event) {
        let view = run.view();
        let posted = report::review::post(outbox, repo, config, task, &view, reviewed, event).await.map_err(pause)?;
        run.log.step("review", &posted.review.map_or_else(|| "not taken".to_owned(), |id| id.to_string()));
        if posted.review.is_none() {
            // Nothing was said on the pull request, so nothing counts as said: the next review will say it.
            keep(run, report::review::in_the_table(reviewed)).await?;
            return Ok(None);
        }
        let mut told = if posted.plain { report::review::in_the_table(reviewed) } else { reviewed.clone() };
        report::review::file_comments(outbox, repo, task, &mut told).await.map_err(pause)?;
        // What GitHub did not take as a comment stands in full on the check run.
        told.posted = true;
        told.review = posted.review.and_then(NonZeroU64::new);
        run.show(|view| view.reviewed = Some(told.clone()));
        said = Some(told);
    }
    enter(run, reviewed).await?;
    close_fixed(run, outbox, reviewed).await?;
    let review = said.as_ref().and_then(|told| told.review);
    if let Some(told) = said {
        keep(run, told).await?;
    }
    Ok(review)
}

/// Keep where everything was said for whoever tells how the review ended, which may be another attempt.
async fn keep(run: &Run<'_>, told: Reviewed) -> Result<(), Halt> {
    run.note(&Progress { reviewed: Some(told.clone()), ..Progress::default() }).await?;
    run.show(|view| view.reviewed = Some(told));
    Ok(())
}

/// What the review says of the whole: no more than the repository's settings let it, and nothing on our own work, which
/// GitHub does not take.
async fn event(run: &Run<'_>, reviewed: &Reviewed) -> Result<ReviewEvent, Halt> {
    let snapshot = &run.task.snapshot;
    let us = &run.app.github.identity().await?.bot_login;
    let may = snapshot.rules().review.verdict;
    Ok(match may {
        _ if pull(run)?.by_us => ReviewEvent::Comment,
        Verdict::Approve | Verdict::RequestChanges if reviewed.serious() > 0 => ReviewEvent::RequestChanges,
        // A stranger's code or words could talk the agent into it.
        Verdict::Approve
            if reviewed.open() == 0
                && reviewed.files > 0
                && reviewed.is_whole()
                && snapshot.lane == Lane::Trusted
                && !snapshot.has_strangers_words(us) =>
        {
            ReviewEvent::Approve
        }
        _ => ReviewEvent::Comment,
    })
}

/// A push that changes nothing about what was said is seen on the check run and tells nobody.
fn is_worth_posting(run: &Run<'_>, reviewed: &Reviewed, event: ReviewEvent) -> bool {
    let asked = run.task.trigger != Trigger::Pull;
    !reviewed.found.is_empty() || asked || (reviewed.first && reviewed.files > 0) || event != ReviewEvent::Comment
}

/// Enter what is new into the ledger, with the comments that say it.
async fn enter(run: &Run<'_>, reviewed: &Reviewed) -> Result<(), Halt> {
    if reviewed.found.is_empty() {
        return Ok(());
    }
    let place = &run.task.place;
    let us = run.app.github.identity().await?.bot_id;
    let comments = match report::review::comment_ids(run.repo, place.number, us).await {
        Ok(comments) => comments,
        Err(error) if error.is_final() => {
            warn!("GitHub does not show us our own comments: {error}");
            std::collections::BTreeMap::new()
        }
        Err(error) => return Err(error.into()),
    };
    let entries: Vec<StoredFinding> = reviewed
        .found
        .iter()
        .map(|it| StoredFinding {
            known: Known {
                id: it.id.clone(),
                path: match &it.spot {
                    Spot::Line { path, .. } | Spot::File { path } | Spot::Annotation { path, .. } => path.clone(),
                    Spot::Table => it.finding.path.clone(),
                },
                side: it.finding.side,
                fingerprint: it.fingerprint.clone(),
                title: it.finding.title.clone(),
                state: KnownState::Open,
            },
            finding: it.finding.clone(),
            task_id: run.task.id.to_string(),
            comment_id: comments.get(&it.id).copied(),
            head_sha: reviewed.head.clone(),
        })
        .collect();
    let entered = run.app.store.enter_findings(run.job.lease(), place.repository_id, place.number, &entries).await;
    match entered.map_err(Pause::Broken)? {
        true => Ok(()),
        false => Err(Pause::Lost.into()),
    }
}

/// Resolve the threads of what is fixed, and close it in the ledger.
async fn close_fixed(run: &Run<'_>, outbox: &Outbox<'_>, reviewed: &Reviewed) -> Result<(), Halt> {
    if reviewed.fixed.is_empty() {
        return Ok(());
    }
    let place = &run.task.place;
    let known = run.app.store.findings(place.repository_id, place.number).await.map_err(Pause::Broken)?;
    let threads = match run.repo.threads(place.number).await {
        Ok(threads) => threads,
        Err(error) if error.is_final() => {
            info!("GitHub does not show us the threads, so none is resolved: {error}");
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    for id in &reviewed.fixed {
        let comment = known.iter().find(|it| it.known.id == *id).and_then(|it| it.comment_id);
        if let Some(comment) = comment {
            report::review::resolve(outbox, run.repo, &threads, id, comment)
                .await
                .map_err(|undone| Halt::Pause(undone.into()))?;
        }
        let settled = run.app.store.settle_finding(run.job.lease(), id, KnownState::Fixed).await;
        settled.map_err(Pause::Broken)?;
    }
    Ok(())
}
