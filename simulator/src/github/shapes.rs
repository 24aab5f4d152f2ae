//! GitHub's JSON objects, made from the state. Each carries a key no decoder knows, and null where GitHub has null.

use serde_json::{Map, Value, json};

use super::state::{Issue, Kind, Note, Permissions, Reaction, Repo, Role, State};
use super::{APP_ID, BOT_ID, CLIENT_ID, INSTALLATION_ID, World};
use crate::clock::iso;

/// What reactions there are. GitHub refuses any other word.
pub(crate) const REACTIONS: [(&str, &str); 8] = [
    ("+1", "👍"),
    ("-1", "👎"),
    ("laugh", "😄"),
    ("hooray", "🎉"),
    ("confused", "😕"),
    ("heart", "❤️"),
    ("rocket", "🚀"),
    ("eyes", "👀"),
];

impl World {
    pub(crate) fn user(&self, state: &State, id: u64) -> Value {
        let Some(account) = state.account_by_id(id) else { return Value::Null };
        let login = &account.login;
        let (kind, page) = match account.kind {
            Kind::User => ("User", format!("{}/{login}", self.url)),
            Kind::Bot => ("Bot", format!("{}/apps/{}", self.url, login.trim_end_matches("[bot]"))),
            Kind::Organization => ("Organization", format!("{}/{login}", self.url)),
        };
        json!({
            "login": login,
            "id": id,
            "node_id": format!("U_{id}"),
            "avatar_url": format!("{}/avatars/{id}", self.url),
            "gravatar_id": "",
            "url": format!("{}/users/{}", self.api_url, login.replace('[', "%5B").replace(']', "%5D")),
            "html_url": page,
            "type": kind,
            "user_view_type": "public",
            "site_admin": false,
            "x_unknown": null,
        })
    }

    pub(crate) fn repository(&self, state: &State, id: u64) -> Value {
        let repo = state.repo(id);
        let full = repo.full_name();
        let api = format!("{}/repos/{full}", self.api_url);
        let open = repo.issues.values().filter(|it| it.open).count();
        let owner = state.account(&repo.owner).map_or(0, |it| it.id);
        json!({
            "id": id,
            "node_id": format!("R_{id}"),
            "name": repo.name,
            "full_name": full,
            "private": repo.private,
            "visibility": if repo.private { "private" } else { "public" },
            "owner": self.user(state, owner),
            "html_url": format!("{}/{full}", self.url),
            "clone_url": format!("{}/{full}.git", self.url),
            "git_url": format!("{}/{full}.git", self.url.replace("http:", "git:")),
            "ssh_url": format!("git@localhost:{full}.git"),
            "url": api,
            "issues_url": format!("{api}/issues{{/number}}"),
            "pulls_url": format!("{api}/pulls{{/number}}"),
            "description": null,
            "homepage": null,
            "language": null,
            "license": null,
            "fork": repo.fork_of.is_some(),
            "archived": repo.archived,
            "disabled": false,
            "is_template": false,
            "topics": [],
            "has_issues": true,
            "default_branch": repo.default_branch,
            "open_issues_count": open,
            "open_issues": open,
            "created_at": iso(repo.created_at),
            "updated_at": iso(repo.created_at),
            "pushed_at": iso(repo.created_at),
            "size": 2,
            "x_unknown": { "new": true },
        })
    }

    pub(crate) fn issue(&self, state: &State, repo: u64, issue: &Issue) -> Value {
        let here = state.repo(repo);
        let api = format!("{}/repos/{}/issues/{}", self.api_url, here.full_name(), issue.number);
        let comments = state.notes.values().filter(|it| it.repo == repo && it.number == issue.number).count();
        let labels: Vec<Value> = issue.labels.iter().map(|it| label(it)).collect();
        let page = self.page_of(here, issue);
        let mut object = json!({
            "id": issue.id,
            "node_id": format!("I_{}", issue.id),
            "number": issue.number,
            "title": issue.title,
            "body": issue.body,
            "user": self.user(state, issue.author),
            "labels": labels,
            "state": if issue.open { "open" } else { "closed" },
            "state_reason": if issue.open { Value::Null } else { json!("completed") },
            "locked": issue.locked,
            "active_lock_reason": null,
            "assignee": issue.assignees.first().map(|it| self.user(state, *it)),
            "assignees": issue.assignees.iter().map(|it| self.user(state, *it)).collect::<Vec<_>>(),
            "milestone": null,
            "comments": comments,
            "created_at": iso(issue.created_at),
            "updated_at": iso(issue.updated_at),
            "closed_at": issue.closed_at.map(iso),
            "author_association": association(state, repo, issue.author),
            "performed_via_github_app": null,
            "reactions": rollup(&issue.reactions, &api),
            "url": api,
            "repository_url": format!("{}/repos/{}", self.api_url, here.full_name()),
            "comments_url": format!("{api}/comments"),
            "html_url": page,
            "x_unknown": "later",
        });
        if let Some(pull) = &issue.pull {
            object["draft"] = json!(pull.draft);
            object["pull_request"] = json!({
                "url": format!("{}/repos/{}/pulls/{}", self.api_url, here.full_name(), issue.number),
                "html_url": page,
                "diff_url": format!("{page}.diff"),
                "patch_url": format!("{page}.patch"),
                "merged_at": pull.merged_at.map(iso),
            });
        }
        object
    }

    pub(crate) fn comment_object(&self, state: &State, note: &Note) -> Value {
        let here = state.repo(note.repo);
        let api = format!("{}/repos/{}/issues/comments/{}", self.api_url, here.full_name(), note.id);
        let page = here.issues.get(&note.number).map(|it| self.page_of(here, it)).unwrap_or_default();
        json!({
            "id": note.id,
            "node_id": format!("IC_{}", note.id),
            "url": api,
            "html_url": format!("{page}#issuecomment-{}", note.id),
            "issue_url": format!("{}/repos/{}/issues/{}", self.api_url, here.full_name(), note.number),
            "body": note.body,
            "user": self.user(state, note.author),
            "created_at": iso(note.created_at),
            "updated_at": iso(note.updated_at),
            "author_association": association(state, note.repo, note.author),
            "performed_via_github_app": null,
            "reactions": rollup(&note.reactions, &api),
            "pin": null,
            "x_unknown": [],
        })
    }

    pub(crate) fn reaction_object(&self, state: &State, reaction: &Reaction, at: u64) -> Value {
        json!({
            "id": reaction.id,
            "node_id": format!("REA_{}", reaction.id),
            "user": self.user(state, reaction.user),
            "content": reaction.content,
            "created_at": iso(at),
            "x_unknown": 1,
        })
    }

    /// A pull request; the long form (`GET /pulls/{n}`) also has counts and `mergeable`.
    pub(crate) fn pull(&self, state: &State, repo: u64, issue: &Issue, long: bool) -> Value {
        let Some(pull) = &issue.pull else { return Value::Null };
        let here = state.repo(repo);
        let api = format!("{}/repos/{}/pulls/{}", self.api_url, here.full_name(), issue.number);
        let bare = self.bare(repo);
        let head = bare.resolve(&format!("refs/pull/{}/head", issue.number)).unwrap_or_default();
        let base = pull.merged_onto.clone().or_else(|| bare.branch(&pull.base)).unwrap_or_default();
        let end = |owner: &str, name: &str, sha: &str, repo: Option<u64>| {
            json!({
                "label": format!("{owner}:{name}"),
                "ref": name,
                "sha": sha,
                "user": state.account(owner).map(|it| self.user(state, it.id)),
                "repo": repo.map(|it| self.repository(state, it)),
            })
        };
        let Value::Object(mut object) = self.issue(state, repo, issue) else { return Value::Null };
        for only_issue in ["pull_request", "repository_url", "reactions", "state_reason", "comments_url"] {
            object.remove(only_issue);
        }
        let reviewers: Vec<Value> = pull.reviewers.iter().map(|it| self.user(state, *it)).collect();
        let more = json!({
            "id": pull.id,
            "node_id": format!("PR_{}", pull.id),
            "url": api,
            "issue_url": format!("{}/repos/{}/issues/{}", self.api_url, here.full_name(), issue.number),
            "diff_url": format!("{}.diff", self.page_of(here, issue)),
            "merged_at": pull.merged_at.map(iso),
            "merge_commit_sha": null,
            "requested_reviewers": reviewers,
            "requested_teams": [],
            "draft": pull.draft,
            "auto_merge": null,
            "head": end(&pull.head_owner, &pull.head, &head, pull.head_repo),
            "base": end(&here.owner, &pull.base, &base, Some(repo)),
        });
        extend(&mut object, more);
        if long {
            let stat = bare.stat(&base, &head);
            let sum = |pick: fn((u64, u64)) -> u64| stat.iter().filter_map(|it| it.0).map(pick).sum::<u64>();
            let more = json!({
                "merged": pull.merged_at.is_some(),
                "mergeable": if pull.read_before { json!(true) } else { Value::Null },
                "mergeable_state": if pull.read_before { "clean" } else { "unknown" },
                "rebaseable": null,
                "merged_by": null,
                "review_comments": state.inlines_of(repo, issue.number).count(),
                "maintainer_can_modify": pull.head_repo.is_some_and(|it| it != repo),
                "commits": bare.commits(&base, &head).len(),
                "additions": sum(|it| it.0),
                "deletions": sum(|it| it.1),
                "changed_files": stat.len(),
            });
            extend(&mut object, more);
        }
        Value::Object(object)
    }

    /// `GET /app`.
    pub(crate) fn app(&self, state: &State) -> Value {
        json!({
            "id": APP_ID,
            "client_id": CLIENT_ID,
            "slug": self.options.app_slug,
            "node_id": format!("A_{APP_ID}"),
            "name": self.options.app_slug,
            "owner": state.repos.first().and_then(|it| state.account(&it.owner)).map(|it| self.user(state, it.id)),
            "description": null,
            "external_url": "http://localhost",
            "html_url": format!("{}/apps/{}", self.url, self.options.app_slug),
            "created_at": iso(1_767_225_600),
            "updated_at": iso(1_767_225_600),
            "permissions": state.installation.permissions,
            "events": state.hook.events,
            "installations_count": 1,
        })
    }

    pub(crate) fn installation(&self, state: &State) -> Value {
        let account = state.repos.first().and_then(|it| state.account(&it.owner));
        let bot = state.account_by_id(BOT_ID).map(|it| it.login.clone()).unwrap_or_default();
        json!({
            "id": INSTALLATION_ID,
            "account": account.map(|it| self.user(state, it.id)),
            "repository_selection": "selected",
            "access_tokens_url": format!("{}/app/installations/{INSTALLATION_ID}/access_tokens", self.api_url),
            "repositories_url": format!("{}/installation/repositories", self.api_url),
            "html_url": format!("{}/settings/installations/{INSTALLATION_ID}", self.url),
            "app_id": APP_ID,
            "client_id": CLIENT_ID,
            "app_slug": bot.trim_end_matches("[bot]"),
            "target_id": account.map(|it| it.id),
            "target_type": "Organization",
            "permissions": state.installation.permissions,
            "events": state.hook.events,
            "created_at": iso(1_767_225_600),
            "updated_at": iso(1_767_225_600),
            "single_file_name": null,
            "has_multiple_single_files": false,
            "single_file_paths": [],
            "suspended_by": null,
            "suspended_at": state.installation.suspended_at.map(iso),
            "x_unknown": null,
        })
    }

    fn page_of(&self, repo: &Repo, issue: &Issue) -> String {
        let kind = if issue.pull.is_some() { "pull" } else { "issues" };
        format!("{}/{}/{kind}/{}", self.url, repo.full_name(), issue.number)
    }
}

pub(crate) fn label(name: &str) -> Value {
    let id = 7_000_000 + name.bytes().fold(0_u64, |sum, it| sum * 31 % 1_000_003 + u64::from(it));
    json!({ "id": id, "node_id": format!("LA_{id}"), "name": name, "color": "ededed", "default": false, "description": null })
}

pub(crate) fn permission_words(permissions: &Permissions) -> Value {
    json!(permissions)
}

/// Deliberately misleading, as the real one misleads: private members look like contributors, and a collaborator may
/// be someone who can only read. Nothing may be decided by it.
pub(crate) fn association(state: &State, repo: u64, account: u64) -> &'static str {
    match (state.account_by_id(account).map(|it| it.kind), state.role(repo, account)) {
        (Some(Kind::Bot) | None, _) | (_, Role::None) => "NONE",
        (_, Role::Read | Role::Triage) => "COLLABORATOR",
        (_, Role::Write | Role::Maintain | Role::Admin) => "CONTRIBUTOR",
    }
}

pub(crate) fn rollup(reactions: &[Reaction], api: &str) -> Value {
    let mut object = json!({ "url": format!("{api}/reactions"), "total_count": reactions.len() });
    for (word, _) in REACTIONS {
        object[word] = json!(reactions.iter().filter(|it| it.content == word).count());
    }
    object
}

fn extend(object: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        object.extend(more);
    }
}
