//! Comments on the lines and files of a pull request by REST, one at a time, and answers to them.

use serde_json::{Value, json};

use super::Call;
use super::issues::LONGEST_BODY;
use super::pulls::this_pull;
use crate::github::answer::Answer;
use crate::github::reviews::acts::{Misplaced, NewInline, spot_of};
use crate::github::reviews::{Inline, Side, Spot};

type Result = std::result::Result<Answer, Answer>;

/// Oldest first unless asked; comments of pending reviews are not among them.
pub(crate) fn list(call: &mut Call<'_>) -> Result {
    let number = this_pull(call)?.number;
    let since = call.asked("since").unwrap_or_default();
    let mut all: Vec<&Inline> = call
        .state
        .inlines_of(call.repo, number)
        .filter(|it| crate::clock::iso(it.updated_at).as_str() >= since)
        .collect();
    if call.asked("direction") == Some("desc") && call.asked("sort").is_some() {
        all.reverse();
    }
    Ok(call.page(all.into_iter().map(|it| call.world.inline_object(call.state, it)).collect()))
}

/// All of a repository, by id unless asked.
pub(crate) fn of_repo(call: &mut Call<'_>) -> Result {
    let since = call.asked("since").unwrap_or_default();
    let numbers: Vec<u64> = call.state.repo(call.repo).issues.keys().copied().collect();
    let mut all: Vec<&Inline> = numbers.iter().flat_map(|it| call.state.inlines_of(call.repo, *it)).collect();
    all.retain(|it| crate::clock::iso(it.updated_at).as_str() >= since);
    match call.asked("sort") {
        Some("updated") => all.sort_by_key(|it| it.updated_at),
        _ => all.sort_by_key(|it| it.id),
    }
    if call.asked("direction") == Some("desc") && call.asked("sort").is_some() {
        all.reverse();
    }
    Ok(call.page(all.into_iter().map(|it| call.world.inline_object(call.state, it)).collect()))
}

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let comment = this_comment(call)?;
    Ok(Answer::ok(&call.world.inline_object(call.state, &comment)))
}

/// A comment on a line, or with `subject_type: "file"` on a file.
pub(crate) fn create(call: &mut Call<'_>) -> Result {
    let number = this_pull(call)?.number;
    let body = body(call)?;
    if let Some(to) = call.body["in_reply_to"].as_u64() {
        return answer(call, number, to, &body);
    }
    for field in ["commit_id", "path"] {
        if call.text(field).is_none_or(str::is_empty) {
            return Err(Answer::invalid_field("PullRequestReviewComment", field, "missing_field"));
        }
    }
    no_pending(call, number)?;
    let commit = call.text("commit_id").unwrap_or_default().to_owned();
    if commit.len() != 40 || !call.world.is_of_pull(call.state, call.repo, number, &commit) {
        return Err(wrong("commit_id", "is not part of the pull request"));
    }
    let (mut spot, start_side) = spot_of(&call.body).ok_or_else(|| wrong("side", "is invalid"))?;
    if call.text("subject_type") == Some("file") {
        spot = Spot { path: spot.path, line: None, side: Side::Right, start: None };
    } else if spot.line.is_none() {
        return Err(out_of_diff());
    }
    let diff_hunk = call.world.hunk_for(call.state, call.repo, number, &commit, &spot, start_side);
    let diff_hunk = diff_hunk.map_err(|why| match why {
        Misplaced::Path => Answer::invalid(&[
            json!({ "resource": "PullRequestReviewComment", "code": "invalid",
                    "field": "pull_request_review_thread.path" }),
            no_hunk(),
        ]),
        Misplaced::Line => out_of_diff(),
        Misplaced::Start => wrong("start_line", "must be part of the same hunk as the line."),
    })?;
    call.creates()?;
    let new = NewInline { spot, body, diff_hunk };
    let (id, events) = call.world.comments_inline(call.state, call.by, (call.repo, number), &commit, new);
    call.events.extend(events);
    Ok(created(call, id))
}

/// Answers the first comment of a thread; answers to answers are not supported.
pub(crate) fn reply(call: &mut Call<'_>) -> Result {
    let (number, to) = (this_pull(call)?.number, call.number("id")?);
    let body = body(call)?;
    answer(call, number, to, &body)
}

fn answer(call: &mut Call<'_>, number: u64, to: u64, body: &str) -> Result {
    let to = call.state.inlines_of(call.repo, number).find(|it| it.id == to && it.in_reply_to.is_none()).cloned();
    let to = to.ok_or_else(Answer::not_found)?;
    no_pending(call, number)?;
    call.creates()?;
    let (id, events) = call.world.replies(call.state, call.by, &to, body);
    call.events.extend(events);
    Ok(created(call, id))
}

fn created(call: &Call<'_>, id: u64) -> Answer {
    let comment = call.world.inline_object(call.state, &call.state.inlines[&id]);
    let location = comment["url"].as_str().unwrap_or_default().to_owned();
    Answer::created(&comment).with("location", location)
}

pub(crate) fn edit(call: &mut Call<'_>) -> Result {
    let id = this_comment(call)?.id;
    let body = body(call)?;
    let events = call.world.edits_inline(call.state, call.by, id, &body);
    call.events.extend(events);
    read(call)
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result {
    let id = this_comment(call)?.id;
    let events = call.world.deletes_inline(call.state, call.by, id);
    call.events.extend(events);
    Ok(Answer::nothing())
}

/// The comment in the path. One of a pending review is not there yet.
pub(crate) fn this_comment(call: &Call<'_>) -> std::result::Result<Inline, Answer> {
    let id = call.number("id")?;
    let found = call.state.inlines.get(&id).filter(|it| it.repo == call.repo);
    let number = found.map(|it| it.number).ok_or_else(Answer::not_found)?;
    call.state.inlines_of(call.repo, number).find(|it| it.id == id).cloned().ok_or_else(Answer::not_found)
}

/// While a review is pending, a single comment would have to open a second one.
fn no_pending(call: &Call<'_>, number: u64) -> std::result::Result<(), Answer> {
    if call.state.pending_review(call.by, call.repo, number).is_none() {
        return Ok(());
    }
    Err(Answer::invalid(&[json!({
        "resource": "PullRequestReview", "code": "custom", "field": "user_id",
        "message": "user_id can only have one pending review per pull request",
    })]))
}

fn body(call: &Call<'_>) -> std::result::Result<String, Answer> {
    let invalid = |message: &str| {
        let error = json!({
            "resource": "PullRequestReviewComment", "code": "custom", "field": "body", "message": message,
        });
        Err(Answer::invalid(&[error]))
    };
    match call.text("body") {
        None => Err(Answer::invalid_field("PullRequestReviewComment", "body", "missing_field")),
        Some(blank) if blank.trim().is_empty() => invalid("body can't be blank"),
        Some(long) if long.chars().count() > LONGEST_BODY => invalid("body is too long (maximum is 65536 characters)"),
        Some(body) => Ok(body.to_owned()),
    }
}

fn wrong(field: &str, why: &str) -> Answer {
    let field = format!("pull_request_review_thread.{field}");
    Answer::invalid(&[json!({
        "resource": "PullRequestReviewComment", "code": "custom", "field": field, "message": format!("{field} {why}"),
    })])
}

fn out_of_diff() -> Answer {
    let field = "pull_request_review_thread.line";
    let message = format!("{field} must be part of the diff");
    Answer::invalid(&[
        json!({ "resource": "PullRequestReviewComment", "code": "custom", "field": field, "message": message }),
        no_hunk(),
    ])
}

fn no_hunk() -> Value {
    let field = "pull_request_review_thread.diff_hunk";
    json!({ "resource": "PullRequestReviewComment", "code": "missing_field", "field": field })
}
