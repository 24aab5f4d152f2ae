//! Webhook payloads: what GitHub would send the App about something that happened.

use serde_json::{Value, json};

use super::auth::allows;
use super::look::Commit;
use super::state::{Issue, Note, State};
use super::{INSTALLATION_ID, World};

/// Something to tell the App.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub name: &'static str,
    pub repo: Option<u64>,
    pub payload: Value,
}

impl World {
    /// `issues.{action}`; for `edited`, `labeled` and the like give what changed.
    pub(crate) fn issues_event(
        &self,
        state: &State,
        repo: u64,
        issue: &Issue,
        by: u64,
        action: &str,
        more: Value,
    ) -> Event {
        let mut payload = self.envelope(state, repo, by, action);
        if issue.pull.is_some() {
            payload["number"] = json!(issue.number);
            payload["pull_request"] = self.pull(state, repo, issue, true);
        } else {
            payload["issue"] = self.issue(state, repo, issue);
        }
        merge(&mut payload, more);
        let name = if issue.pull.is_some() { "pull_request" } else { "issues" };
        Event { name, repo: Some(repo), payload }
    }

    /// `issue_comment.{action}`, also for pull requests.
    pub(crate) fn comment_event(&self, state: &State, note: &Note, by: u64, action: &str, more: Value) -> Event {
        let mut payload = self.envelope(state, note.repo, by, action);
        if let Some(issue) = state.issue(note.repo, note.number) {
            payload["issue"] = self.issue(state, note.repo, issue);
        }
        payload["comment"] = self.comment_object(state, note);
        merge(&mut payload, more);
        Event { name: "issue_comment", repo: Some(note.repo), payload }
    }

    /// `push`, which has no action. Zero SHAs mean created and deleted.
    pub(crate) fn push_event(
        &self,
        state: &State,
        repo: u64,
        branch: &str,
        by: u64,
        before: &str,
        after: &str,
    ) -> Event {
        let mut payload = self.envelope(state, repo, by, "");
        if let Some(object) = payload.as_object_mut() {
            object.remove("action");
        }
        let zero = super::git::ZERO;
        let bare = self.bare(repo);
        let (created, deleted) = (before == zero, after == zero);
        let commits = match (created, deleted) {
            (_, true) => Vec::new(),
            (true, _) => bare.commit_at(after).into_iter().collect(),
            _ => bare.commits(before, after),
        };
        let commits: Vec<Value> = commits.iter().map(push_commit).collect();
        let login = state.login(by);
        let compare = format!("{}/{}/compare/{before}...{after}", self.url, state.repo(repo).full_name());
        merge(
            &mut payload,
            json!({
                "ref": format!("refs/heads/{branch}"),
                "before": before,
                "after": after,
                "base_ref": null,
                "created": created,
                "deleted": deleted,
                "forced": !created && !deleted && !bare.is_ancestor(before, after),
                "compare": compare,
                "head_commit": commits.last(),
                "commits": commits,
                "pusher": { "name": login, "email": null },
            }),
        );
        Event { name: "push", repo: Some(repo), payload }
    }

    /// `installation.{action}` and `installation_repositories.{action}`: always sent.
    pub(crate) fn installation_event(
        &self,
        state: &State,
        name: &'static str,
        by: u64,
        action: &str,
        more: Value,
    ) -> Event {
        let mut payload = json!({
            "action": action,
            "installation": self.installation(state),
            "sender": self.user(state, by),
        });
        merge(&mut payload, more);
        Event { name, repo: None, payload }
    }

    pub(crate) fn envelope(&self, state: &State, repo: u64, by: u64, action: &str) -> Value {
        let owner = state.account(&state.repo(repo).owner).map_or(0, |it| it.id);
        json!({
            "action": action,
            "repository": self.repository(state, repo),
            "organization": {
                "login": state.login(owner),
                "id": owner,
                "node_id": format!("O_{owner}"),
                "url": format!("{}/orgs/{}", self.api_url, state.login(owner)),
                "description": "",
            },
            "sender": self.user(state, by),
            "installation": { "id": INSTALLATION_ID, "node_id": format!("MDIz{INSTALLATION_ID}") },
            "x_unknown": null,
        })
    }
}

/// Whether the App hears of this event: subscribed, permitted, installed and awake.
pub(crate) fn is_heard(state: &State, event: &Event) -> bool {
    let installation = &state.installation;
    if event.name.starts_with("installation") {
        return true;
    }
    if installation.gone || installation.suspended_at.is_some() || state.hook.url.is_empty() {
        return false;
    }
    if event.repo.is_some_and(|id| !state.repo(id).installed) {
        return false;
    }
    let wants_write =
        matches!(event.payload["action"].as_str(), Some("requested" | "rerequested" | "requested_action"));
    let (permission, level) = match event.name {
        "issues" | "issue_comment" => ("issues", "read"),
        "check_run" | "check_suite" if wants_write => ("checks", "write"),
        "check_run" | "check_suite" => ("checks", "read"),
        "workflow_run" => ("actions", "read"),
        "merge_group" => ("merge_queues", "read"),
        "push" => ("contents", "read"),
        name if name.starts_with("pull_request") => ("pull_requests", "read"),
        _ => ("metadata", "read"),
    };
    state.hook.events.iter().any(|it| it == event.name) && allows(&installation.permissions, permission, level)
}

fn push_commit(commit: &Commit) -> Value {
    json!({
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": true,
        "message": commit.message,
        "timestamp": commit.date,
        "author": { "name": commit.author_name, "email": commit.author_email },
        "added": [],
        "removed": [],
        "modified": [],
    })
}

pub(crate) fn merge(payload: &mut Value, more: Value) {
    if let (Value::Object(payload), Value::Object(more)) = (payload, more) {
        payload.extend(more);
    }
}
