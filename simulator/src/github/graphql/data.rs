//! GitHub's objects as GraphQL shows them, whole; lists become pages when they are selected from.

use serde_json::{Value, json};

use super::run::Trouble;
use crate::clock::iso;
use crate::github::Credential;
use crate::github::auth::allows;
use crate::github::rest::Call;
use crate::github::rest::person_may;
use crate::github::reviews::{Inline, Review, Verdict};
use crate::github::state::{Kind, Note};

type Found = Result<Value, Trouble>;

/// Whether the token has this permission in a repository.
pub(super) fn may(call: &Call<'_>, repo: u64, name: &str, level: &str) -> bool {
    if matches!(call.credential, Credential::Person { .. }) {
        return person_may(call.state, &call.credential, repo, name, level);
    }
    let Credential::Installation { permissions, repository_ids, .. } = &call.credential else { return false };
    let within = call.state.repo(repo).installed && repository_ids.as_ref().is_none_or(|it| it.contains(&repo));
    within && allows(permissions, name, level) && allows(&call.state.installation.permissions, name, level)
}

/// Whether the token sees the repository at all.
fn sees(call: &Call<'_>, repo: u64) -> bool {
    !call.state.repo(repo).private || may(call, repo, "metadata", "read")
}

/// Whether the token sees its pull requests.
pub(super) fn reads(call: &Call<'_>, repo: u64) -> bool {
    !call.state.repo(repo).private || may(call, repo, "pull_requests", "read")
}

/// The fields of `Query`.
pub(super) fn query(call: &Call<'_>, name: &str, arguments: &Value) -> Found {
    match name {
        "viewer" => {
            let mut viewer = actor(call, call.by);
            // The one place where the bot's login has its ending.
            (viewer["__typename"], viewer["login"]) = (json!("User"), json!(call.state.login(call.by)));
            Ok(viewer)
        }
        "node" => node(call, arguments["id"].as_str().unwrap_or_default()),
        _ => {
            let full = ["owner", "name"].map(|it| arguments[it].as_str().unwrap_or_default().to_owned()).join("/");
            let repo = call.state.repo_named(&full).or_else(|| call.state.repo_formerly(&full)).map(|it| it.id);
            match repo.filter(|it| sees(call, *it)) {
                Some(repo) => Ok(repository(call, repo)),
                None => Err(Trouble::Field(
                    "NOT_FOUND",
                    format!("Could not resolve to a Repository with the name '{full}'."),
                )),
            }
        }
    }
}

/// What a node id names.
pub(super) fn node(call: &Call<'_>, id: &str) -> Found {
    let unknown = || Trouble::not_found("node with the global id of", id);
    let (kind, number) = id.rsplit_once('_').ok_or_else(unknown)?;
    let number: u64 = number.parse().map_err(|_| unknown())?;
    let (repo, found) = match kind {
        "PRRT" => thread_root(call, number).map(|it| (it.repo, thread(call, it.thread()))),
        "PRRC" => call.state.inlines.get(&number).map(|it| (it.repo, inline(call, it))),
        "PRR" => call.state.reviews.get(&number).map(|it| (it.repo, review(call, it))),
        "IC" => call.state.notes.get(&number).map(|it| (it.repo, note(call, it))),
        "PR" => pull_by_id(call, number).map(|(repo, nth)| (repo, pull(call, repo, nth))),
        "R" => call.state.repos.iter().find(|it| it.id == number).map(|it| (it.id, repository(call, it.id))),
        _ => None,
    }
    .ok_or_else(unknown)?;
    if reads(call, repo) { Ok(found) } else { Err(unknown()) }
}

/// Repository and number of a pull request by its id.
pub(super) fn pull_by_id(call: &Call<'_>, id: u64) -> Option<(u64, u64)> {
    call.state.repos.iter().find_map(|repo| {
        let issue = repo.issues.values().find(|it| it.pull.as_ref().is_some_and(|it| it.id == id))?;
        Some((repo.id, issue.number))
    })
}

/// A comment of the thread that everybody can see.
pub(super) fn thread_root(call: &Call<'_>, thread: u64) -> Option<Inline> {
    let any = call.state.inlines.values().find(|it| it.thread() == thread)?;
    call.state.inlines_of(any.repo, any.number).find(|it| it.thread() == thread).cloned()
}

fn repository(call: &Call<'_>, id: u64) -> Value {
    let repo = call.state.repo(id);
    json!({
        "__typename": "Repository",
        "id": format!("R_{id}"),
        "databaseId": id,
        "name": repo.name,
        "nameWithOwner": repo.full_name(),
        "isPrivate": repo.private,
        "url": format!("{}/{}", call.world.url(), repo.full_name()),
    })
}

pub(super) fn pull_of(call: &Call<'_>, repository: &Value, number: &Value) -> Found {
    let (repo, number) = (repository["databaseId"].as_u64().unwrap_or_default(), number.as_u64().unwrap_or_default());
    if !reads(call, repo) {
        return Err(Trouble::forbidden());
    }
    if call.state.issue(repo, number).is_none_or(|it| it.pull.is_none()) {
        let message = format!("Could not resolve to a PullRequest with the number of {number}.");
        return Err(Trouble::Field("NOT_FOUND", message));
    }
    Ok(pull(call, repo, number))
}

pub(super) fn pull(call: &Call<'_>, repo: u64, number: u64) -> Value {
    let Some(issue) = call.state.issue(repo, number) else { return Value::Null };
    let Some(part) = &issue.pull else { return Value::Null };
    let (base, head) = call.world.ends(call.state, repo, number);
    let mut threads: Vec<u64> = call.state.inlines_of(repo, number).map(Inline::thread).collect();
    threads.sort_unstable();
    threads.dedup();
    let notes = call.state.notes.values().filter(|it| it.repo == repo && it.number == number);
    let state = match (issue.open, part.merged_at) {
        (true, _) => "OPEN",
        (false, None) => "CLOSED",
        (false, Some(_)) => "MERGED",
    };
    json!({
        "__typename": "PullRequest",
        "id": format!("PR_{}", part.id),
        "databaseId": part.id,
        "fullDatabaseId": part.id.to_string(),
        "number": number,
        "title": issue.title,
        "body": issue.body.clone().unwrap_or_default(),
        "state": state,
        "isDraft": part.draft,
        "isCrossRepository": part.head_repo != Some(repo),
        "merged": part.merged_at.is_some(),
        "url": format!("{}/{}/pull/{number}", call.world.url(), call.state.repo(repo).full_name()),
        "author": actor(call, issue.author),
        "headRefName": part.head,
        "headRefOid": head,
        "baseRefName": part.base,
        "baseRefOid": base,
        "reviewThreads": threads.into_iter().map(|it| thread(call, it)).collect::<Vec<_>>(),
        "reviews": call.state.reviews_seen_by(call.by, repo, number).map(|it| review(call, it)).collect::<Vec<_>>(),
        "comments": notes.map(|it| note(call, it)).collect::<Vec<_>>(),
    })
}

pub(super) fn thread(call: &Call<'_>, id: u64) -> Value {
    let Some(first) = thread_root(call, id) else { return Value::Null };
    let comments = call.state.inlines_of(first.repo, first.number).filter(|it| it.thread() == id);
    let resolved_by = call.state.resolved.get(&id);
    let writes = may(call, first.repo, "contents", "write");
    json!({
        "__typename": "PullRequestReviewThread",
        "id": format!("PRRT_{id}"),
        "isResolved": resolved_by.is_some(),
        "isOutdated": first.outdated(),
        "isCollapsed": resolved_by.is_some(),
        // The schema says User, also when it was an App.
        "resolvedBy": resolved_by.map(|it| {
            let mut by = actor(call, *it);
            by["__typename"] = json!("User");
            by
        }),
        "path": first.spot.path,
        "line": first.line,
        "originalLine": first.spot.line,
        "startLine": first.start,
        "originalStartLine": first.spot.start,
        "diffSide": first.spot.side.word(),
        "startDiffSide": first.spot.start.map(|_| first.spot.side.word()),
        "subjectType": subject(&first),
        "viewerCanReply": true,
        "viewerCanResolve": writes && resolved_by.is_none(),
        "viewerCanUnresolve": writes && resolved_by.is_some(),
        "comments": comments.map(|it| inline(call, it)).collect::<Vec<_>>(),
    })
}

pub(super) fn inline(call: &Call<'_>, comment: &Inline) -> Value {
    let full = call.state.repo(comment.repo).full_name();
    let id = format!("PRRC_{}", comment.id);
    let to = comment.in_reply_to.and_then(|it| call.state.inlines.get(&it));
    let object = json!({
        "__typename": "PullRequestReviewComment",
        "fullDatabaseId": comment.id.to_string(),
        "databaseId": small(comment.id),
        "body": comment.body,
        "author": actor(call, comment.author),
        "authorAssociation": "NONE",
        "path": comment.spot.path,
        "line": comment.line,
        "originalLine": comment.spot.line,
        "startLine": comment.start,
        "originalStartLine": comment.spot.start,
        "diffHunk": comment.diff_hunk,
        "outdated": comment.outdated(),
        "subjectType": subject(comment),
        "replyTo": to.map(|it| inline(call, it)),
        "pullRequestReview": call.state.reviews.get(&comment.review).map(|it| review(call, it)),
        "commit": commit(&comment.commit),
        "originalCommit": commit(&comment.original_commit),
        "createdAt": iso(comment.created_at),
        "updatedAt": iso(comment.updated_at),
        "url": format!("{}/{full}/pull/{}#discussion_r{}", call.world.url(), comment.number, comment.id),
        "viewerDidAuthor": comment.author == call.by,
    });
    with_minimized(call, &id, object)
}

fn review(call: &Call<'_>, review: &Review) -> Value {
    let full = call.state.repo(review.repo).full_name();
    let id = format!("PRR_{}", review.id);
    let object = json!({
        "__typename": "PullRequestReview",
        "fullDatabaseId": review.id.to_string(),
        "databaseId": small(review.id),
        "body": review.body,
        "author": actor(call, review.author),
        "state": if review.verdict == Verdict::Pending { "PENDING" } else { review.verdict.state() },
        "commit": commit(&review.commit),
        "submittedAt": review.submitted_at.map(iso),
        "url": format!("{}/{full}/pull/{}#pullrequestreview-{}", call.world.url(), review.number, review.id),
        "viewerDidAuthor": review.author == call.by,
    });
    with_minimized(call, &id, object)
}

fn note(call: &Call<'_>, note: &Note) -> Value {
    let full = call.state.repo(note.repo).full_name();
    let id = format!("IC_{}", note.id);
    let object = json!({
        "__typename": "IssueComment",
        "fullDatabaseId": note.id.to_string(),
        "databaseId": small(note.id),
        "body": note.body,
        "author": actor(call, note.author),
        "authorAssociation": "NONE",
        "createdAt": iso(note.created_at),
        "updatedAt": iso(note.updated_at),
        "url": format!("{}/{full}/issues/{}#issuecomment-{}", call.world.url(), note.number, note.id),
        "viewerDidAuthor": note.author == call.by,
    });
    with_minimized(call, &id, object)
}

fn with_minimized(call: &Call<'_>, id: &str, mut object: Value) -> Value {
    let reason = call.state.minimized.get(id);
    object["id"] = json!(id);
    object["isMinimized"] = json!(reason.is_some());
    object["minimizedReason"] = json!(reason);
    object["viewerCanMinimize"] = json!(true);
    object
}

fn commit(sha: &str) -> Value {
    json!({ "__typename": "Commit", "id": format!("C_{}", sha.get(..12).unwrap_or(sha)), "oid": sha })
}

fn subject(comment: &Inline) -> &'static str {
    if comment.spot.line.is_some() { "LINE" } else { "FILE" }
}

/// `databaseId` is an Int of 32 bits; ids beyond it are null there.
fn small(id: u64) -> Option<i32> {
    i32::try_from(id).ok()
}

/// Somebody, by type. The login of a Bot comes without `[bot]`.
fn actor(call: &Call<'_>, id: u64) -> Value {
    let Some(account) = call.state.account_by_id(id) else { return Value::Null };
    let kind = match account.kind {
        Kind::User => "User",
        Kind::Bot => "Bot",
        Kind::Organization => "Organization",
    };
    let login = account.login.trim_end_matches("[bot]");
    let page = if kind == "Bot" { format!("apps/{login}") } else { login.to_owned() };
    json!({
        "__typename": kind,
        "id": format!("U_{id}"),
        "databaseId": small(id),
        "login": login,
        "name": null,
        "url": format!("{}/{page}", call.world.url()),
        "avatarUrl": format!("{}/avatars/{id}", call.world.url()),
    })
}
