//! Looking at check runs from a test.

use serde_json::Value;

use crate::github::World;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRun {
    pub id: u64,
    pub name: String,
    pub head_sha: String,
    pub external_id: Option<String>,
    pub details_url: Option<String>,
    pub status: String,
    pub conclusion: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    pub text: Option<String>,
    pub annotations: Vec<Annotation>,
    pub actions: Vec<Action>,
    pub app_id: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Annotation {
    pub path: String,
    pub start_line: u64,
    pub end_line: u64,
    /// `notice`, `warning` or `failure`.
    pub level: String,
    pub message: String,
    pub title: Option<String>,
    pub raw_details: Option<String>,
}

/// A button on a check run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Action {
    pub label: String,
    pub identifier: String,
    pub description: String,
}

impl World {
    /// All check runs of a repository, oldest first.
    pub fn check_runs(&self, repo: &str) -> Vec<CheckRun> {
        let state = self.state();
        let repo = state.repo_named(repo).expect("a repository").id;
        let runs = state.checks.values().filter(|it| it.repo == repo);
        runs.map(|it| CheckRun {
            id: it.id,
            name: it.name.clone(),
            head_sha: it.head_sha.clone(),
            external_id: it.external_id.clone(),
            details_url: it.details_url.clone(),
            status: it.status.clone(),
            conclusion: it.conclusion.clone(),
            title: it.title.clone(),
            summary: it.summary.clone(),
            text: it.text.clone(),
            annotations: it.annotations.iter().map(annotation).collect(),
            actions: it.actions.iter().map(action).collect(),
            app_id: it.app,
        })
        .collect()
    }
}

fn annotation(kept: &Value) -> Annotation {
    let text = |name: &str| kept[name].as_str().map(str::to_owned);
    Annotation {
        path: text("path").unwrap_or_default(),
        start_line: kept["start_line"].as_u64().unwrap_or_default(),
        end_line: kept["end_line"].as_u64().unwrap_or_default(),
        level: text("annotation_level").unwrap_or_default(),
        message: text("message").unwrap_or_default(),
        title: text("title"),
        raw_details: text("raw_details"),
    }
}

fn action(kept: &Value) -> Action {
    let text = |name: &str| kept[name].as_str().unwrap_or_default().to_owned();
    Action { label: text("label"), identifier: text("identifier"), description: text("description") }
}
