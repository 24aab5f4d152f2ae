//! Comments in the conversation of an issue or pull request.

use serde_json::{Value, json};

use super::Call;
use super::issues::LONGEST_BODY;
use crate::github::answer::Answer;

type Result = std::result::Result<Answer, Answer>;

/// Ascending by id.
pub(crate) fn list(call: &mut Call<'_>) -> Result {
    let number = call.issue()?.number;
    let since = call.asked("since").unwrap_or_default();
    let notes = call.state.notes.values().filter(|it| it.repo == call.repo && it.number == number);
    let recent = notes.filter(|it| crate::clock::iso(it.updated_at).as_str() >= since);
    let all: Vec<Value> = recent.map(|it| call.world.comment_object(call.state, it)).collect();
    Ok(call.page(all))
}

/// All of a repository: by id unless asked.
pub(crate) fn of_repo(call: &mut Call<'_>) -> Result {
    let since = call.asked("since").unwrap_or_default();
    let notes = call.state.notes.values().filter(|it| it.repo == call.repo);
    let mut all: Vec<_> = notes.filter(|it| crate::clock::iso(it.updated_at).as_str() >= since).collect();
    if call.asked("sort") == Some("updated") {
        all.sort_by_key(|it| it.updated_at);
    }
    if call.asked("direction") == Some("desc") && call.asked("sort").is_some() {
        all.reverse();
    }
    Ok(call.page(all.into_iter().map(|it| call.world.comment_object(call.state, it)).collect()))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result {
    let issue = call.issue()?;
    if issue.locked {
        return Err(Answer::refuse(403, "Unable to create comment because issue is locked."));
    }
    let body = body(call)?;
    call.creates()?;
    let (id, events) = call.world.comments_on(call.state, call.by, call.repo, issue.number, &body);
    call.events.extend(events);
    let comment = call.world.comment_object(call.state, &call.state.notes[&id]);
    let location = comment["url"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::created(&comment).with("location", location))
}

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let note = call.note()?;
    Ok(Answer::ok(&call.world.comment_object(call.state, &note)))
}

pub(crate) fn edit(call: &mut Call<'_>) -> Result {
    let id = call.note()?.id;
    let body = body(call)?;
    let events = call.world.edits_comment(call.state, call.by, id, &body);
    call.events.extend(events);
    read(call)
}

pub(crate) fn delete(call: &mut Call<'_>) -> Result {
    let id = call.note()?.id;
    let events = call.world.deletes_comment(call.state, call.by, id);
    call.events.extend(events);
    Ok(Answer::nothing())
}

fn body(call: &Call<'_>) -> std::result::Result<String, Answer> {
    let wrong = |message: &str| {
        let error = json!({ "resource": "IssueComment", "code": "unprocessable", "field": "data", "message": message });
        Err(Answer::invalid(&[error]))
    };
    match call.text("body") {
        None => Err(Answer::invalid_field("IssueComment", "body", "missing_field")),
        Some(blank) if blank.trim().is_empty() => wrong("Body cannot be blank"),
        Some(long) if long.chars().count() > LONGEST_BODY => wrong("Body is too long (maximum is 65536 characters)"),
        Some(body) => Ok(body.to_owned()),
    }
}
