//! Check runs as people and other Apps see them: buttons to click, and runs that are not ours.

use serde_json::{Value, json};

use super::logs::Job;
use super::{ACTIONS_APP, OTHER_APP};
use crate::github::events::Event;
use crate::github::state::{Check, Kind};
use crate::github::{Delivered, World};

impl World {
    /// Clicks "Re-run" on a check run: `check_run.rerequested`. The run itself does not change, as on GitHub.
    pub async fn rerun_check(&self, who: &str, check_id: u64) -> Delivered {
        self.click(who, check_id, "rerequested", json!({})).await
    }

    /// Clicks a button that the run offers: `check_run.requested_action`. GitHub shows buttons on completed runs.
    pub async fn click_action(&self, who: &str, check_id: u64, identifier: &str) -> Delivered {
        {
            let state = self.state();
            let check = state.checks.get(&check_id).expect("a check run");
            let offered = check.actions.iter().any(|it| it["identifier"] == identifier);
            assert!(offered && check.status == "completed", "{} offers no {identifier:?}", check.name);
        }
        self.click_unseen(who, check_id, identifier).await
    }

    /// The same for a button that the page does not show at the moment: one on a run that is not completed, or that was
    /// there when the page was loaded.
    pub async fn click_unseen(&self, who: &str, check_id: u64, identifier: &str) -> Delivered {
        let more = json!({ "requested_action": { "identifier": identifier } });
        self.click(who, check_id, "requested_action", more).await
    }

    /// Clicks "Re-run all" on the suite of a check run: `check_suite.rerequested`.
    pub async fn rerun_suite(&self, who: &str, check_id: u64) -> Delivered {
        let event = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            let check = state.checks.get(&check_id).expect("a check run").clone();
            self.suite_event_of(&state, &check, by, "rerequested")
        };
        self.deliver_all(vec![event], 0).await
    }

    /// A completed check run of some other App, on a branch's head; its id.
    pub fn check_by_other_app(&self, repo: &str, branch: &str, name: &str, conclusion: &str) -> u64 {
        let repo = self.repo_id(repo);
        let sha = self.bare(repo).resolve(branch).expect("a branch");
        let mut state = self.state();
        let (suite, id) = (30_000_000_000 + state.fresh(), 40_000_000_000 + state.fresh());
        let mut check = Check::new(id, repo, suite, OTHER_APP, name.to_owned(), sha);
        (check.status, check.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
        state.checks.insert(id, check.clone());
        self.tells_check(&mut state, &check, None, "completed");
        id
    }

    /// A job of GitHub Actions has ended on a commit, with a log: a check run with the job's id. Delivers
    /// `check_run.completed`, `check_suite.completed` and `workflow_run.completed`; the id.
    pub async fn actions_job(&self, repo: &str, sha: &str, name: &str, conclusion: &str, log: &str) -> u64 {
        let (id, events) = self.ended_job(repo, sha, name, conclusion, log);
        self.deliver_all(events, 0).await;
        id
    }

    pub fn actions_job_quietly(&self, repo: &str, sha: &str, name: &str, conclusion: &str, log: &str) -> u64 {
        self.ended_job(repo, sha, name, conclusion, log).0
    }

    fn ended_job(&self, repo: &str, sha: &str, name: &str, conclusion: &str, log: &str) -> (u64, Vec<Event>) {
        let now = self.clock.iso();
        let repo = self.repo_id(repo);
        let sha = self.bare(repo).resolve(sha).expect("a commit");
        let mut state = self.state();
        let (suite, id) = (30_000_000_000 + state.fresh(), 40_000_000_000 + state.fresh());
        let run = 19_000_000_000 + state.fresh();
        let mut check = Check::new(id, repo, suite, ACTIONS_APP, name.to_owned(), sha.clone());
        (check.status, check.conclusion) = ("completed".to_owned(), Some(conclusion.to_owned()));
        (check.started_at, check.completed_at) = (Some(now.clone()), Some(now));
        let page = format!("{}/{}/actions/runs/{run}", self.url, state.repo(repo).full_name());
        check.details_url = Some(format!("{page}/job/{id}"));
        state.checks.insert(id, check.clone());
        state.jobs.insert(id, Job { run, log: log.to_owned() });
        let mut events = self.tells_check(&mut state, &check, None, "completed");
        let by = state.account_id("github-actions[bot]", Kind::Bot);
        let suite = self.suite_event_of(&state, &check, by, "completed");
        let mut payload = self.envelope(&state, repo, by, "completed");
        payload["workflow_run"] = json!({
            "id": run,
            "name": "CI",
            "event": "pull_request",
            "status": "completed",
            "conclusion": conclusion,
            "head_sha": sha,
            "head_branch": suite.payload["check_suite"]["head_branch"],
            "check_suite_id": check.suite,
            "run_attempt": 1,
            "html_url": page,
            "jobs_url": format!("{}/repos/{}/actions/runs/{run}/jobs", self.api_url, state.repo(repo).full_name()),
            "pull_requests": suite.payload["check_suite"]["pull_requests"],
        });
        events.push(suite);
        events.push(Event { name: "workflow_run", repo: Some(repo), payload });
        (id, events)
    }

    async fn click(&self, who: &str, check_id: u64, action: &str, more: Value) -> Delivered {
        let event: Event = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            let check = state.checks.get(&check_id).expect("a check run").clone();
            self.check_event(&state, &check, by, action, more)
        };
        self.deliver_all(vec![event], 0).await
    }
}
