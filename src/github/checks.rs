//! Check runs: made once for a task on a commit, found again by their external id.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Error, Repo};

/// A check run that is complete when it is made. Conclusions that GitHub accepts from an App: `success`, `neutral`,
/// `failure`, `cancelled`, `skipped`, `timed_out`, `action_required`.
#[derive(Debug, Clone)]
pub struct NewCheck<'a> {
    pub name: &'a str,
    pub head: &'a str,
    /// Our own id, by which the run is found again.
    pub external_id: &'a str,
    pub conclusion: &'a str,
    pub title: &'a str,
    /// Markdown, at most 65,535 characters.
    pub summary: &'a str,
}

/// A check run as we read it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckRun {
    pub id: u64,
    #[serde(default)]
    pub external_id: Option<String>,
}

impl Repo {
    pub async fn create_check(&self, new: &NewCheck<'_>) -> Result<CheckRun, Error> {
        let body: Value = json!({
            "name": new.name, "head_sha": new.head, "external_id": new.external_id,
            "status": "completed", "conclusion": new.conclusion,
            "output": { "title": new.title, "summary": new.summary },
        });
        self.post("check-runs", &body).await
    }

    /// The check run of this external id on a commit.
    pub async fn find_check(&self, head: &str, external_id: &str) -> Result<Option<CheckRun>, Error> {
        #[derive(Deserialize)]
        struct Page {
            check_runs: Vec<CheckRun>,
        }
        let route = format!("commits/{head}/check-runs?per_page=100");
        let runs = self.list(&route, |page: Page| page.check_runs).await?;
        Ok(runs.into_iter().find(|run| run.external_id.as_deref() == Some(external_id)))
    }
}
