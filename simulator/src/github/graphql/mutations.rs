//! The mutations that a bot needs for threads, comments and drafts.

use serde_json::{Value, json};

use super::data::{inline, may, node, pull, pull_by_id, reads, thread, thread_root};
use super::run::Trouble;
use crate::github::World;
use crate::github::rest::Call;
use crate::github::reviews::Inline;
use crate::github::reviews::acts::NewInline;

pub(super) fn run(call: &mut Call<'_>, name: &str, input: &Value) -> Result<Value, Trouble> {
    let mut payload = match name {
        "resolveReviewThread" => resolve(call, input, true)?,
        "unresolveReviewThread" => resolve(call, input, false)?,
        "addPullRequestReviewThreadReply" => reply(call, input)?,
        "minimizeComment" => json!({ "minimizedComment": minimize(call, input, true)? }),
        "unminimizeComment" => json!({ "unminimizedComment": minimize(call, input, false)? }),
        "markPullRequestReadyForReview" => draft(call, input, false)?,
        _ => draft(call, input, true)?,
    };
    payload["clientMutationId"] = input["clientMutationId"].clone();
    Ok(payload)
}

/// Needs to write contents although no content is written.
fn resolve(call: &mut Call<'_>, input: &Value, resolved: bool) -> Result<Value, Trouble> {
    let root = thread_named(call, &input["threadId"])?;
    if !may(call, root.repo, "contents", "write") || !may(call, root.repo, "pull_requests", "write") {
        return Err(Trouble::forbidden());
    }
    let events = call.world.resolves(call.state, call.by, root.thread(), resolved);
    call.events.extend(events);
    Ok(json!({ "thread": thread(call, root.thread()) }))
}

/// Goes to the bot's pending review, if there is one, and is then seen by nobody.
fn reply(call: &mut Call<'_>, input: &Value) -> Result<Value, Trouble> {
    let to = thread_named(call, &input["pullRequestReviewThreadId"])?;
    if !may(call, to.repo, "pull_requests", "write") {
        return Err(Trouble::forbidden());
    }
    let body = input["body"].as_str().unwrap_or_default().to_owned();
    if body.trim().is_empty() {
        return Err(Trouble::unprocessable("Body can't be blank"));
    }
    if body.chars().count() > 65_536 {
        return Err(Trouble::unprocessable("Body is too long (maximum is 65536 characters)"));
    }
    call.creates().map_err(|it| Trouble::Whole(Box::new(it)))?;
    let pending = call.state.pending_review(call.by, to.repo, to.number).map(|it| it.id);
    let id = if let Some(review) = pending {
        let new = NewInline { spot: to.spot.clone(), body, diff_hunk: to.diff_hunk.clone() };
        call.world.new_inline(call.state, call.by, review, Some(to.thread()), new)
    } else {
        let (id, events) = call.world.replies(call.state, call.by, &to, &body);
        call.events.extend(events);
        id
    };
    Ok(json!({ "comment": inline(call, &call.state.inlines[&id]) }))
}

fn minimize(call: &mut Call<'_>, input: &Value, hide: bool) -> Result<Value, Trouble> {
    let id = input["subjectId"].as_str().unwrap_or_default().to_owned();
    let subject = node(call, &id)?;
    if !["IssueComment", "PullRequestReviewComment", "PullRequestReview"].iter().any(|it| subject["__typename"] == *it)
    {
        return Err(Trouble::not_found("node with the global id of", &id));
    }
    let (repo, place) = World::place_of_node(call.state, &id).ok_or_else(|| Trouble::not_found("node", &id))?;
    if !may(call, repo, "pull_requests", "write") && !may(call, repo, "issues", "write") {
        return Err(Trouble::forbidden());
    }
    let whose = subject["author"]["login"].as_str().unwrap_or("ghost").to_owned();
    if hide {
        let reason = input["classifier"].as_str().unwrap_or_default().to_lowercase().replace('_', "-");
        call.world.tell(
            call.state,
            repo,
            &format!("{} hides {whose}'s words on {place}: {reason}", call.world.bot_login()),
        );
        call.state.minimized.insert(id.clone(), reason);
    } else if call.state.minimized.remove(&id).is_some() {
        call.world.tell(
            call.state,
            repo,
            &format!("{} shows {whose}'s words on {place} again", call.world.bot_login()),
        );
    }
    node(call, &id)
}

fn draft(call: &mut Call<'_>, input: &Value, draft: bool) -> Result<Value, Trouble> {
    let id = input["pullRequestId"].as_str().unwrap_or_default();
    let found = id.strip_prefix("PR_").and_then(|it| it.parse().ok()).and_then(|it| pull_by_id(call, it));
    let found = found.filter(|(repo, _)| reads(call, *repo));
    let (repo, number) = found.ok_or_else(|| Trouble::not_found("node with the global id of", id))?;
    if !may(call, repo, "pull_requests", "write") {
        return Err(Trouble::forbidden());
    }
    let events = call.world.drafts(call.state, call.by, repo, number, draft);
    call.events.extend(events);
    Ok(json!({ "pullRequest": pull(call, repo, number) }))
}

fn thread_named(call: &Call<'_>, id: &Value) -> Result<Inline, Trouble> {
    let id = id.as_str().unwrap_or_default();
    let found = id.strip_prefix("PRRT_").and_then(|it| it.parse().ok()).and_then(|it| thread_root(call, it));
    let found = found.filter(|it| reads(call, it.repo));
    found.ok_or_else(|| Trouble::not_found("node with the global id of", id))
}
