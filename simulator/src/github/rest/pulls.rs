//! Pull requests: opened, listed, read, changed; with the refusals that a bot meets.

use serde_json::{Value, json};

use super::Call;
use super::issues::check_texts;
use crate::github::World;
use crate::github::answer::Answer;
use crate::github::pulls::NewPull;
use crate::github::reviews::lines::FileDiff;
use crate::github::state::{Issue, PullPart, Role};

type Result = std::result::Result<Answer, Answer>;

/// Newest first, open ones unless asked; `head` is `owner:branch`.
pub(crate) fn list(call: &mut Call<'_>) -> Result {
    let state = call.asked("state").unwrap_or("open");
    let repo = call.state.repo(call.repo);
    // GitHub ignores a head without an owner, and then shows everything.
    let head = call.asked("head").and_then(|it| it.split_once(':'));
    let shown = repo.issues.values().rev().filter(|issue| {
        let Some(pull) = &issue.pull else { return false };
        (state == "all" || (state == "open") == issue.open)
            && head.is_none_or(|(owner, name)| owner.eq_ignore_ascii_case(&pull.head_owner) && name == pull.head)
            && call.asked("base").is_none_or(|it| it == pull.base)
    });
    let all = shown.map(|it| call.world.pull(call.state, call.repo, it, false)).collect();
    Ok(call.page(all))
}

pub(crate) fn create(call: &mut Call<'_>) -> Result {
    for field in ["title", "head", "base"] {
        if call.text(field).is_none_or(|it| it.trim().is_empty()) {
            return Err(Answer::invalid_field("PullRequest", field, "missing_field"));
        }
    }
    check_texts(call)?;
    let text = |name: &str| call.text(name).unwrap_or_default().to_owned();
    let (title, head, base) = (text("title"), text("head"), text("base"));
    let owner = call.state.repo(call.repo).owner.clone();
    let head = match head.split_once(':') {
        Some((other, _)) if !other.eq_ignore_ascii_case(&owner) => {
            return Err(Answer::invalid_field("PullRequest", "head", "invalid"));
        }
        Some((_, branch)) => branch.to_owned(),
        None => head,
    };
    let bare = call.bare();
    let Some(tip) = bare.branch(&head) else {
        return Err(Answer::invalid_field("PullRequest", "head", "invalid"));
    };
    let Some(onto) = bare.branch(&base) else {
        return Err(Answer::invalid_field("PullRequest", "base", "invalid"));
    };
    if bare.is_ancestor(&tip, &onto) {
        let message = format!("No commits between {base} and {head}");
        return Err(Answer::invalid_custom("PullRequest", &message));
    }
    if bare.merge_base(&tip, &onto).is_none() {
        let message = format!("The {head} branch has no history in common with {base}");
        return Err(Answer::invalid_custom("PullRequest", &message));
    }
    let of_branch = |it: &PullPart| it.head_repo == Some(call.repo) && it.head == head && it.base == base;
    let same = |it: &Issue| it.open && it.pull.as_ref().is_some_and(of_branch);
    if call.state.repo(call.repo).issues.values().any(same) {
        let message = format!("A pull request already exists for {owner}:{head}.");
        return Err(Answer::invalid_custom("PullRequest", &message));
    }
    call.creates()?;
    let (body, draft) = (call.text("body").map(str::to_owned), call.body["draft"] == json!(true));
    let new = NewPull { title: &title, body: body.as_deref(), head: &head, base: &base, draft, fork: None };
    let (number, events) = call.world.opens_pull(call.state, call.by, call.repo, &new);
    call.events.extend(events);
    let issue = call.state.issue(call.repo, number).cloned().ok_or_else(Answer::not_found)?;
    let pull = call.world.pull(call.state, call.repo, &issue, true);
    let location = pull["url"].as_str().unwrap_or_default().to_owned();
    Ok(Answer::created(&pull).with("location", location))
}

pub(crate) fn read(call: &mut Call<'_>) -> Result {
    let issue = this_pull(call)?;
    let accept = call.headers.get("accept").and_then(|it| it.to_str().ok()).unwrap_or_default();
    if let (true, Some(pull)) = (accept.contains(".diff"), &issue.pull) {
        let diff = call.bare().diff(&pull.base, &format!("refs/pull/{}/head", issue.number), 3);
        let too_many = diff.lines().filter(|it| it.starts_with("diff --git ")).count() > 300;
        if too_many {
            let message = "Sorry, the diff exceeded the maximum number of files (300).";
            let error = json!({ "resource": "PullRequest", "field": "diff", "code": "too_large" });
            return Err(Answer::json(406, &json!({ "message": message, "errors": [error], "status": "406" })));
        }
        return Ok(Answer::text(200, "application/vnd.github.diff; charset=utf-8", diff));
    }
    let answer = Answer::ok(&call.world.pull(call.state, call.repo, &issue, true));
    // The first read starts the background check of mergeability; the next one knows.
    if let Some(pull) = call.state.issue_mut(call.repo, issue.number).and_then(|it| it.pull.as_mut()) {
        pull.read_before = true;
    }
    Ok(answer)
}

pub(crate) fn edit(call: &mut Call<'_>) -> Result {
    let number = this_pull(call)?.number;
    check_texts(call)?;
    if call.text("base").is_some_and(|it| call.bare().branch(it).is_none()) {
        return Err(Answer::invalid_field("PullRequest", "base", "invalid"));
    }
    let change = call.body.clone();
    let events = call.world.edits_issue(call.state, call.by, call.repo, number, &change);
    call.events.extend(events);
    let issue = this_pull(call)?;
    Ok(Answer::ok(&call.world.pull(call.state, call.repo, &issue, true)))
}

/// The pull requests, open or not, that a commit is part of.
pub(crate) fn of_commit(call: &mut Call<'_>) -> Result {
    let name = call.param("ref");
    let bare = call.bare();
    let none = || Answer::refuse(422, &format!("No commit found for SHA: {name}"));
    let sha = bare.resolve(name).ok_or_else(none)?;
    let pulls = call.state.repo(call.repo).issues.values().rev().filter(|it| it.pull.is_some());
    let with_it = pulls.filter(|it| call.world.is_of_pull(call.state, call.repo, it.number, &sha));
    Ok(call.page(with_it.map(|it| call.world.pull(call.state, call.repo, it, false)).collect()))
}

/// At most 3,000, each with its hunks unless it is binary.
pub(crate) fn files(call: &mut Call<'_>) -> Result {
    let number = this_pull(call)?.number;
    let (base, head) = call.world.ends(call.state, call.repo, number);
    let bare = call.bare();
    let file = |it: &FileDiff| {
        let (added, deleted) = it.counts();
        let mut file = json!({
            "sha": bare.object(&head, &it.path),
            "filename": it.path, "status": it.status,
            "additions": added, "deletions": deleted, "changes": added + deleted,
        });
        if it.status == "renamed" {
            file["previous_filename"] = json!(it.old_path);
        }
        if let Some(patch) = it.patch() {
            file["patch"] = json!(patch);
        }
        file
    };
    let all: Vec<Value> = bare.changes(&base, &head).iter().take(3000).map(file).collect();
    Ok(call.page(all))
}

/// Only people who may read the repository can be asked, and never the author.
pub(crate) fn request_review(call: &mut Call<'_>) -> Result {
    let issue = this_pull(call)?;
    let names: Vec<String> = call.body["reviewers"]
        .as_array()
        .map(|it| it.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let mut ids = Vec::new();
    for name in &names {
        let account = call.state.account(name).map(|it| it.id);
        let collaborator = account.filter(|it| call.state.role(call.repo, *it) > Role::None);
        match collaborator {
            Some(id) if id == issue.author => {
                return Err(Answer::unprocessable(&["Review cannot be requested from pull request author."]));
            }
            Some(id) => ids.push(id),
            None => {
                return Err(Answer::refuse(
                    422,
                    "Reviews may only be requested from collaborators. One or more of the users or teams you \
                     specified is not a collaborator of the repository.",
                ));
            }
        }
    }
    let place = World::place(call.state, call.repo, issue.number);
    for (name, id) in names.iter().zip(ids) {
        let pull = call.state.issue_mut(call.repo, issue.number).and_then(|it| it.pull.as_mut());
        let Some(pull) = pull.filter(|it| !it.reviewers.contains(&id)) else { continue };
        pull.reviewers.push(id);
        call.world.tell(call.state, call.repo, &format!("{name} is asked to review {place}"));
        let issue = this_pull(call)?;
        let more = json!({ "requested_reviewer": call.world.user(call.state, id) });
        let event = call.world.issues_event(call.state, call.repo, &issue, call.by, "review_requested", more);
        call.events.push(event);
    }
    let issue = this_pull(call)?;
    Ok(Answer::created(&call.world.pull(call.state, call.repo, &issue, false)))
}

pub(crate) fn this_pull(call: &Call<'_>) -> std::result::Result<Issue, Answer> {
    let issue = call.issue()?;
    if issue.pull.is_some() { Ok(issue) } else { Err(Answer::not_found()) }
}
