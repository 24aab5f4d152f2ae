//! Check runs as people and other Apps see them: buttons to click, and runs that are not ours.

use serde_json::{Value, json};

use super::events::Event;
use super::state::{Check, Kind};
use super::{Delivered, World};

/// An App that is not ours.
const OTHER_APP: u64 = 15_368;

impl World {
    /// Clicks "Re-run" on a check run: `check_run.rerequested`. The run itself does not change, as on GitHub.
    pub async fn rerun_check(&self, who: &str, check_id: u64) -> Delivered {
        self.click(who, check_id, "rerequested", json!({})).await
    }

    /// Clicks a button that the run offers: `check_run.requested_action`.
    pub async fn click_action(&self, who: &str, check_id: u64, identifier: &str) -> Delivered {
        let more = json!({ "requested_action": { "identifier": identifier } });
        self.click(who, check_id, "requested_action", more).await
    }

    /// Clicks "Re-run all" on the suite of a check run: `check_suite.rerequested`.
    pub async fn rerun_suite(&self, who: &str, check_id: u64) -> Delivered {
        let event = {
            let mut state = self.state();
            let by = state.account_id(who, Kind::User);
            let check = state.checks.get(&check_id).expect("a check run").clone();
            let mut event = self.suite_event(&state, check.repo, check.suite, &check.head_sha, by);
            event.payload["action"] = json!("rerequested");
            event
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
        self.tells_check(&mut state, &check, "completed");
        id
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
