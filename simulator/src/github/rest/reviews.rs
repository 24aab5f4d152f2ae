//! Reviews by REST. A review is written with all its comments or not at all.

use serde_json::Value;

use super::Call;
use super::issues::LONGEST_BODY;
use super::pulls::this_pull;
use crate::github::answer::Answer;
use crate::github::reviews::acts::{Misplaced, NewInline, NewReview, spot_of};
use crate::github::reviews::{Review, Verdict};
use crate::github::state::Issue;

type Result = std::result::Result<Answer, Answer>;

const ONE_PENDING: &str = "User can only have one pending review per pull request";

/// Oldest first. Pending reviews are their author's alone.
pub(crate) fn list(call: &mut Call<'_>) -> Result {
    let number = this_pull(call)?.number;
    let seen = call.state.reviews_seen_by(call.viewer(), call.repo, number);
    Ok(call.page(seen.map(|it| call.world.review_object(call.state, it)).collect()))
}

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let review = this_review(call)?;
    Ok(Answer::ok(&call.world.review_object(call.state, &review)))
}

/// The comments written with a review, also those of one's own pending review.
pub(crate) fn comments(call: &mut Call<'_>) -> Result {
    let review = this_review(call)?;
    let all = call.state.inlines_of_review(review.id).map(|it| call.world.inline_object(call.state, it)).collect();
    Ok(call.page(all))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result {
    let issue = this_pull(call)?;
    let verdict = match &call.body["event"] {
        Value::Null => Verdict::Pending,
        event => verdict(event)?,
    };
    if call.state.pending_review(call.by, call.repo, issue.number).is_some() {
        return Err(Answer::unprocessable(&[ONE_PENDING]));
    }
    let comments = call.body["comments"].as_array().cloned().unwrap_or_default();
    may_say(call.by, &issue, verdict, call.text("body"), !comments.is_empty())?;
    let (_, head) = call.world.ends(call.state, call.repo, issue.number);
    let commit = call.text("commit_id").unwrap_or(&head).to_owned();
    if commit.len() != 40 || !call.world.is_of_pull(call.state, call.repo, issue.number, &commit) {
        return Err(Answer::unprocessable(&["Commit is not part of the pull request"]));
    }
    let comments = placed(call, issue.number, &commit, &comments)?;
    call.creates()?;
    let body = call.text("body").unwrap_or_default().to_owned();
    let new = NewReview { commit, verdict, body, comments };
    let (id, events) = call.world.reviews_pull(call.state, call.by, (call.repo, issue.number), new);
    call.events.extend(events);
    Ok(Answer::ok(&call.world.review_object(call.state, &call.state.reviews[&id])))
}

/// Changes the text above a review.
pub(crate) fn edit(call: &mut Call<'_>) -> Result {
    let review = this_review(call)?;
    if review.author != call.by {
        return Err(Answer::refuse(403, "Resource not accessible by integration"));
    }
    let body = call.text("body").map(str::to_owned);
    let body = body.ok_or_else(|| Answer::invalid_field("PullRequestReview", "body", "missing_field"))?;
    fits(&body)?;
    let events = call.world.edits_review(call.state, call.by, review.id, &body);
    call.events.extend(events);
    read(call)
}

/// Only a pending review can be deleted.
pub(crate) fn delete(call: &mut Call<'_>) -> Result {
    let review = this_review(call)?;
    if review.verdict != Verdict::Pending {
        return Err(Answer::refuse(422, "Can not delete a non-pending pull request review"));
    }
    let gone = call.world.review_object(call.state, &review);
    call.world.drops_review(call.state, review.id);
    Ok(Answer::ok(&gone))
}

/// Submits a pending review.
pub(crate) fn submit(call: &mut Call<'_>) -> Result {
    let (issue, review) = (this_pull(call)?, this_review(call)?);
    let verdict = verdict(&call.body["event"])?;
    if review.verdict != Verdict::Pending {
        return Err(Answer::unprocessable(&["Can not submit a review that is not pending"]));
    }
    let body = call.text("body").map(str::to_owned);
    let has_comments = call.state.inlines_of_review(review.id).next().is_some();
    may_say(call.by, &issue, verdict, body.as_deref().or(Some(&review.body)), has_comments)?;
    call.creates()?;
    let events = call.world.submits(call.state, call.by, review.id, verdict, body.as_deref());
    call.events.extend(events);
    read(call)
}

/// Whether `by` may say this about this pull request.
fn may_say(
    by: u64,
    issue: &Issue,
    verdict: Verdict,
    body: Option<&str>,
    has_comments: bool,
) -> std::result::Result<(), Answer> {
    let body = body.unwrap_or_default();
    fits(body)?;
    let own = issue.author == by;
    let blank = body.trim().is_empty();
    match verdict {
        Verdict::Approve if own => Err(Answer::unprocessable(&["Can not approve your own pull request"])),
        Verdict::RequestChanges if own => {
            Err(Answer::unprocessable(&["Can not request changes on your own pull request"]))
        }
        Verdict::RequestChanges if blank => Err(Answer::unprocessable(&["Body can't be blank"])),
        Verdict::Comment if blank && !has_comments => Err(Answer::unprocessable(&["Body can't be blank"])),
        _ => Ok(()),
    }
}

fn fits(body: &str) -> std::result::Result<(), Answer> {
    if body.chars().count() > LONGEST_BODY {
        return Err(Answer::unprocessable(&["Body is too long (maximum is 65536 characters)"]));
    }
    Ok(())
}

fn verdict(event: &Value) -> std::result::Result<Verdict, Answer> {
    let wrong = "Variable $event of type PullRequestReviewEvent was provided invalid value";
    event.as_str().and_then(Verdict::of_event).ok_or_else(|| Answer::unprocessable(&[wrong]))
}

/// Checks every comment against the diff of that commit. GitHub says that one is wrong, never which.
fn placed(
    call: &Call<'_>,
    number: u64,
    commit: &str,
    comments: &[Value],
) -> std::result::Result<Vec<NewInline>, Answer> {
    let mut placed = Vec::new();
    let mut wrong: Vec<&str> = Vec::new();
    for comment in comments {
        let body = comment["body"].as_str().unwrap_or_default();
        if body.trim().is_empty() {
            wrong.push("Pull request review comment body can't be blank");
            continue;
        }
        if body.chars().count() > LONGEST_BODY {
            wrong.push("Body is too long (maximum is 65536 characters)");
            continue;
        }
        let Some((spot, start_side)) = spot_of(comment).filter(|it| it.0.line.is_some()) else {
            wrong.push(if comment["path"].is_string() { LINE } else { PATH });
            continue;
        };
        match call.world.hunk_for(call.state, call.repo, number, commit, &spot, start_side) {
            Ok(diff_hunk) => placed.push(NewInline { spot, body: body.to_owned(), diff_hunk }),
            Err(Misplaced::Path) => wrong.push(PATH),
            Err(Misplaced::Line) => wrong.push(LINE),
            Err(Misplaced::Start) => wrong.push(START),
        }
    }
    wrong.dedup();
    if wrong.is_empty() { Ok(placed) } else { Err(Answer::unprocessable(&wrong)) }
}

const PATH: &str = "Path could not be resolved";
const LINE: &str = "Line could not be resolved";
const START: &str = "Pull request review thread start line must be part of the same hunk as the line.";

fn this_review(call: &Call<'_>) -> std::result::Result<Review, Answer> {
    let (number, id) = (this_pull(call)?.number, call.number("id")?);
    let mut seen = call.state.reviews_seen_by(call.viewer(), call.repo, number);
    seen.find(|it| it.id == id).cloned().ok_or_else(Answer::not_found)
}
