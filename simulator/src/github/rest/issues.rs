//! Issues (pull requests are issues too) and their labels.

use serde_json::{Value, json};

use super::Call;
use crate::github::answer::Answer;
use crate::github::shapes::label;
use crate::github::state::{Issue, Labeling};

type Result = std::result::Result<Answer, Answer>;

/// GitHub's limit for the text of an issue or pull request, in characters.
pub(crate) const LONGEST_BODY: usize = 65_536;

/// Newest first, open ones unless asked; pull requests included. `since` is about the last change.
pub(crate) fn list(call: &mut Call<'_>) -> Result {
    let since = call.asked("since").unwrap_or_default();
    let state = call.asked("state").unwrap_or("open");
    let wanted: Vec<&str> = call.asked("labels").map(|it| it.split(',').collect()).unwrap_or_default();
    let mut issues: Vec<&Issue> = call.state.repo(call.repo).issues.values().rev().collect();
    if call.asked("sort") == Some("updated") {
        issues.sort_by_key(|it| std::cmp::Reverse(it.updated_at));
    }
    if call.asked("direction") == Some("asc") {
        issues.reverse();
    }
    let shown = issues
        .into_iter()
        .filter(|it| crate::clock::iso(it.updated_at).as_str() >= since)
        .filter(|it| state == "all" || (state == "open") == it.open)
        .filter(|it| wanted.iter().all(|name| it.labels.iter().any(|has| has == name)));
    let all = shown.map(|it| call.world.issue(call.state, call.repo, it)).collect();
    Ok(call.page(all))
}

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let issue = call.issue()?;
    Ok(Answer::ok(&call.world.issue(call.state, call.repo, &issue)))
}

pub(crate) fn edit(call: &mut Call<'_>) -> Result {
    let number = call.issue()?.number;
    check_texts(call)?;
    let change = call.body.clone();
    let events = call.world.edits_issue(call.state, call.by, call.repo, number, &change);
    call.events.extend(events);
    if let Some(names) = strings(&change["labels"]) {
        let old = call.issue()?.labels;
        for gone in old.iter().filter(|it| !names.contains(it)) {
            let events = call.world.unlabels_issue(call.state, call.by, call.repo, number, gone);
            call.events.extend(events);
        }
        let events = call.world.labels_issue(call.state, call.by, call.repo, number, &names);
        call.events.extend(events);
    }
    read(call)
}

/// What holds for title, body and state of issues and pull requests alike.
pub(crate) fn check_texts(call: &Call<'_>) -> std::result::Result<(), Answer> {
    if call.text("body").is_some_and(|it| it.chars().count() > LONGEST_BODY) {
        return Err(Answer::invalid(&[json!({
            "resource": "Issue", "code": "custom", "field": "body",
            "message": "body is too long (maximum is 65536 characters)",
        })]));
    }
    if call.text("title").is_some_and(|it| it.trim().is_empty()) {
        return Err(Answer::invalid_field("Issue", "title", "missing_field"));
    }
    if call.text("title").is_some_and(|it| it.chars().count() > 256) {
        return Err(Answer::invalid(&[json!({
            "resource": "Issue", "code": "custom", "field": "title",
            "message": "title is too long (maximum is 256 characters)",
        })]));
    }
    match call.text("state") {
        None | Some("open" | "closed") => Ok(()),
        Some(_) => Err(Answer::invalid_field("Issue", "state", "invalid")),
    }
}

/// What happened to an issue, oldest first; of all that GitHub tells here it is the labels that were set.
pub(crate) fn events(call: &mut Call<'_>) -> Result {
    let number = call.issue()?.number;
    let set = call.state.labelings.iter().filter(|it| it.repo == call.repo && it.number == number);
    let event = |it: &Labeling| {
        json!({
            "id": it.id,
            "node_id": format!("LE_{}", it.id),
            "event": "labeled",
            "actor": call.world.user(call.state, it.by),
            "label": { "name": it.name, "color": "ededed" },
            "created_at": crate::clock::iso(it.at),
            "commit_id": null,
            "commit_url": null,
            "performed_via_github_app": null,
        })
    };
    Ok(call.page(set.map(event).collect()))
}

pub(crate) fn labels(call: &mut Call<'_>) -> Result {
    let issue = call.issue()?;
    Ok(call.page(issue.labels.iter().map(|it| label(it)).collect()))
}

/// Adds labels; one that the repository does not have yet is made.
pub(crate) fn add_labels(call: &mut Call<'_>) -> Result {
    let number = call.issue()?.number;
    let Some(names) = strings(&call.body["labels"]) else {
        return Err(Answer::invalid_field("Label", "labels", "missing_field"));
    };
    let events = call.world.labels_issue(call.state, call.by, call.repo, number, &names);
    call.events.extend(events);
    labels(call)
}

pub(crate) fn remove_label(call: &mut Call<'_>) -> Result {
    let issue = call.issue()?;
    let name = call.param("name").to_owned();
    if !issue.labels.contains(&name) {
        return Err(Answer::refuse(404, "Label does not exist"));
    }
    let events = call.world.unlabels_issue(call.state, call.by, call.repo, issue.number, &name);
    call.events.extend(events);
    labels(call)
}

/// Label names, given as strings or as objects.
fn strings(value: &Value) -> Option<Vec<String>> {
    let name = |it: &Value| it.as_str().or_else(|| it["name"].as_str()).map(str::to_owned);
    Some(value.as_array()?.iter().filter_map(name).collect())
}
