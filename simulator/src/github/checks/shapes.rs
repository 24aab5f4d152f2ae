//! Check runs and suites as JSON.

use serde_json::{Value, json};

use super::ACTIONS_APP;
use crate::github::state::{Check, State};
use crate::github::{APP_ID, World};

impl World {
    pub(crate) fn check_object(&self, state: &State, check: &Check) -> Value {
        let repo = state.repo(check.repo);
        let api = format!("{}/repos/{}/check-runs/{}", self.api_url, repo.full_name(), check.id);
        json!({
            "id": check.id,
            "node_id": format!("CR_{}", check.id),
            "name": check.name,
            "head_sha": check.head_sha,
            "external_id": check.external_id.clone().unwrap_or_default(),
            "url": api,
            "html_url": format!("{}/{}/runs/{}", self.url, repo.full_name(), check.id),
            "details_url": check.details_url,
            "status": check.status,
            "conclusion": check.conclusion,
            "started_at": check.started_at,
            "completed_at": check.completed_at,
            "output": {
                "title": check.title,
                "summary": check.summary,
                "text": check.text,
                "annotations_count": check.annotations.len(),
                "annotations_url": format!("{api}/annotations"),
            },
            "check_suite": { "id": check.suite },
            "app": self.app_behind(state, check.app),
            "pull_requests": self.pulls_with_head(state, check.repo, &check.head_sha),
            "x_unknown": null,
        })
    }

    pub(crate) fn suite_object(&self, state: &State, repo: u64, suite: u64, sha: &str, app: u64) -> Value {
        let bare = self.bare(repo);
        let branch = bare.branches().into_iter().find(|(_, head)| head == sha).map(|(name, _)| name);
        let url = format!("{}/repos/{}/check-suites/{suite}", self.api_url, state.repo(repo).full_name());
        json!({
            "id": suite,
            "node_id": format!("CS_{suite}"),
            "head_branch": branch,
            "head_sha": sha,
            "status": "queued",
            "conclusion": null,
            "url": url,
            "check_runs_url": format!("{url}/check-runs"),
            "latest_check_runs_count": state.checks.values().filter(|it| it.suite == suite).count(),
            "before": null,
            "after": sha,
            "pull_requests": self.pulls_with_head(state, repo, sha),
            "app": self.app_behind(state, app),
            "x_unknown": null,
        })
    }

    /// Open pull requests from a branch here with this head. One from a fork is not among them.
    fn pulls_with_head(&self, state: &State, id: u64, sha: &str) -> Vec<Value> {
        let (repo, bare) = (state.repo(id), self.bare(id));
        let open = repo.issues.values().filter(|it| it.open).filter_map(|it| Some((it, it.pull.as_ref()?)));
        let here =
            open.filter(|(_, pull)| pull.head_repo == Some(id) && bare.branch(&pull.head).as_deref() == Some(sha));
        let url = format!("{}/repos/{}", self.api_url, repo.full_name());
        let end = |name: &str, sha: Option<&str>| json!({ "ref": name, "sha": sha, "repo": { "id": id, "url": url, "name": repo.name } });
        let object = |number: u64, pull: &crate::github::state::PullPart| {
            json!({
                "id": pull.id,
                "number": number,
                "url": format!("{url}/pulls/{number}"),
                "head": end(&pull.head, Some(sha)),
                "base": end(&pull.base, bare.branch(&pull.base).as_deref()),
            })
        };
        here.map(|(issue, pull)| object(issue.number, pull)).collect()
    }

    fn app_behind(&self, state: &State, app: u64) -> Value {
        match app {
            APP_ID => self.app(state),
            ACTIONS_APP => json!({ "id": app, "slug": "github-actions", "name": "GitHub Actions" }),
            _ => json!({ "id": app, "slug": "another-app", "name": "Another App" }),
        }
    }

    /// An annotation as the list shows it.
    pub(crate) fn annotation_object(&self, state: &State, check: &Check, annotation: &Value) -> Value {
        let mut object = annotation.clone();
        for optional in ["start_column", "end_column", "title", "raw_details"] {
            if object[optional].is_null() {
                object[optional] = Value::Null;
            }
        }
        let path = annotation["path"].as_str().unwrap_or_default();
        let full = state.repo(check.repo).full_name();
        object["blob_href"] = json!(format!("{}/{full}/blob/{}/{path}", self.url, check.head_sha));
        object
    }
}

/// The conclusion of a suite all of whose runs are complete.
pub(super) fn conclusion(state: &State, suite: u64) -> Value {
    let runs = || state.checks.values().filter(|it| it.suite == suite);
    let worst = ["failure", "timed_out", "action_required", "cancelled"];
    let found = worst.into_iter().find(|word| runs().any(|it| it.conclusion.as_deref() == Some(word)));
    json!(found.unwrap_or("success"))
}
