//! The review itself: one call, whatever the number of comments; then what GitHub takes only singly.

use std::collections::BTreeMap;

use tracing::{info, warn};

use super::words::{comment, finding_marker, review_marker, summary};
use crate::config::Config;
use crate::github::{NewLine, NewReview, Repo, Review, ReviewEvent, Thread};
use crate::report::{Outbox, Undone, View};
use crate::store::StoredTask;
use crate::task::review::{Entry, Reviewed, Spot};

/// A review that stands on GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    pub review: Option<u64>,
    /// GitHub did not take the comments on lines: all of them stand in the review's text.
    pub plain: bool,
}

/// The writes that are the review: with comments on lines, and without.
pub fn post_keys(task: &StoredTask) -> [String; 2] {
    [format!("task:{}:review", task.id), format!("task:{}:review-plain", task.id)]
}

/// Post the review, once. GitHub refuses all of it for one comment that it does not like; then it is posted without
/// comments, and nothing is lost.
pub async fn post(
    outbox: &Outbox<'_>,
    repo: &Repo,
    config: &Config,
    task: &StoredTask,
    view: &View,
    reviewed: &Reviewed,
    event: ReviewEvent,
) -> Result<Posted, Undone> {
    let comments: Vec<NewLine> = reviewed.found.iter().filter_map(line).collect();
    let body = summary(config, task, view, reviewed, false);
    let [whole, plain] = post_keys(task);
    match once(outbox, repo, task, &whole, &reviewed.head, &body, event, &comments).await {
        Ok(review) => return Ok(Posted { review: Some(review.id), plain: false }),
        Err(Undone::Refused(why)) => warn!("GitHub did not take the review as it is: {why}"),
        Err(other) => return Err(other),
    }
    let body = summary(config, task, view, &in_the_table(reviewed), false);
    match once(outbox, repo, task, &plain, &reviewed.head, &body, event, &[]).await {
        Ok(review) => Ok(Posted { review: Some(review.id), plain: true }),
        Err(Undone::Refused(why)) => {
            warn!("GitHub took no review at all, the check run has it: {why}");
            Ok(Posted { review: None, plain: true })
        }
        Err(other) => Err(other),
    }
}

/// The same review with everything said in its text.
pub fn in_the_table(reviewed: &Reviewed) -> Reviewed {
    let mut told = reviewed.clone();
    for entry in &mut told.found {
        entry.spot = Spot::Table;
    }
    told
}

#[expect(clippy::too_many_arguments, reason = "the parts of one call")]
async fn once(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    key: &str,
    head: &str,
    body: &str,
    event: ReviewEvent,
    comments: &[NewLine],
) -> Result<Review, Undone> {
    let number = task.place.number;
    let marker = review_marker(task);
    let new = NewReview { commit_id: head, body, event, comments };
    let write = || async {
        // There can be one pending review of ours, and while it is there GitHub refuses every other.
        if repo.delete_pending_review(number).await? {
            info!("Deleted a pending review that was left over");
        }
        repo.create_review(number, &new).await
    };
    outbox.once(key, || repo.find_review(number, &marker), write).await
}

fn line(entry: &Entry) -> Option<NewLine> {
    let Spot::Line { path, start_line, line, side, .. } = &entry.spot else { return None };
    Some(NewLine { path: path.clone(), body: comment(entry), line: *line, side: *side, start_line: *start_line })
}

/// Comment on files as a whole; a review's own call does not take that. What GitHub refuses stands in the table.
pub async fn file_comments(
    outbox: &Outbox<'_>,
    repo: &Repo,
    task: &StoredTask,
    reviewed: &mut Reviewed,
) -> Result<(), Undone> {
    let number = task.place.number;
    for entry in &mut reviewed.found {
        let Spot::File { path } = &entry.spot else { continue };
        let (body, marker) = (comment(entry), finding_marker(&entry.id));
        let key = format!("finding:{}:file", entry.id);
        let made = outbox.once(
            &key,
            || repo.find_review_comment(number, &marker),
            || repo.file_comment(number, &reviewed.head, path, &body),
        );
        match made.await {
            Ok(_) => (),
            Err(Undone::Refused(why)) => {
                warn!("GitHub did not take a comment on a file: {why}");
                entry.spot = Spot::Table;
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// The comments that say these findings, by the findings' ids.
pub async fn comment_ids(repo: &Repo, number: u64, us: u64) -> Result<BTreeMap<String, u64>, crate::github::Error> {
    let mut found = BTreeMap::new();
    for it in repo.review_comments(number).await? {
        let ours = it.user.as_ref().is_some_and(|user| user.id == us);
        let body = it.body.unwrap_or_default();
        let marked = body.split_once("<!-- cloud-agent:finding=").and_then(|(_, rest)| rest.split_once(" -->"));
        if let (true, Some((id, _))) = (ours, marked) {
            found.insert(id.to_owned(), it.id);
        }
    }
    Ok(found)
}

/// Resolve the thread that begins with this comment. Without the right to, it stays open for people.
pub async fn resolve(
    outbox: &Outbox<'_>,
    repo: &Repo,
    threads: &[Thread],
    finding: &str,
    comment: u64,
) -> Result<(), Undone> {
    let begins = |thread: &&Thread| thread.comments.first().and_then(|it| it.database_id) == Some(comment);
    let Some(thread) = threads.iter().find(begins).filter(|thread| !thread.is_resolved) else {
        return Ok(());
    };
    let key = format!("finding:{finding}:resolve");
    match outbox.repeatedly(&key, || repo.resolve_thread(&thread.id)).await {
        Err(Undone::Refused(why)) => {
            info!("GitHub does not let us resolve a thread: {why}");
            Ok(())
        }
        other => other,
    }
}
