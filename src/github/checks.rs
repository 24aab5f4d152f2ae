//! Check runs: made for a task on a commit, brought forward as it goes, found again by their external id; and those of
//! other Apps, to be read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::repo::encode;
use super::{Error, Repo};
use crate::text;

/// Annotations that GitHub takes in one call.
const ANNOTATIONS: usize = 50;
/// GitHub's limits, in characters; longer texts are cut here, for GitHub would refuse the whole call.
const LABEL: usize = 20;
const IDENTIFIER: usize = 20;
const DESCRIPTION: usize = 40;
const TITLE: usize = 255;
/// 65,535 with some room for the word about the cut.
const SUMMARY: usize = 65_500;
/// Of an annotation's message, in bytes: 64 KB.
const MESSAGE: usize = 64 * 1024;
/// Buttons that GitHub shows.
const ACTIONS: usize = 3;

/// A check run to make.
#[derive(Debug, Clone)]
pub struct NewCheck<'a> {
    pub name: &'a str,
    pub head: &'a str,
    /// Our own id, by which the run is found again.
    pub external_id: &'a str,
    pub status: CheckStatus,
    /// With `Completed` and only then.
    pub conclusion: Option<Conclusion>,
    pub title: &'a str,
    /// Markdown.
    pub summary: &'a str,
    /// Buttons, at most three, which GitHub shows once the run is completed.
    pub actions: &'a [Action<'a>],
    /// Where *Details* leads; the App's homepage if none.
    pub details_url: Option<&'a str>,
}

/// What a check run becomes.
#[derive(Debug, Clone)]
pub struct CheckUpdate<'a> {
    pub status: CheckStatus,
    /// With `Completed` and only then.
    pub conclusion: Option<Conclusion>,
    pub title: &'a str,
    /// Markdown.
    pub summary: &'a str,
    /// Remarks on lines, any number. GitHub adds them to those that the run has.
    pub annotations: &'a [Annotation],
    /// These take the place of the buttons that the run has.
    pub actions: &'a [Action<'a>],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    Queued,
    InProgress,
    Completed,
}

/// The conclusions that GitHub accepts from an App. A required check passes with success, neutral and skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    Success,
    Neutral,
    Failure,
    Cancelled,
    Skipped,
    TimedOut,
    ActionRequired,
}

/// A button on a check run. Anybody who may write can click it, and the App is told the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action<'a> {
    /// At most 20 characters.
    pub label: &'a str,
    /// At most 40 characters.
    pub description: &'a str,
    /// At most 20 characters.
    pub identifier: &'a str,
}

/// A remark on lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    pub path: String,
    /// Counted from 1.
    pub start_line: u32,
    pub end_line: u32,
    pub level: Level,
    /// Nothing where empty.
    pub title: String,
    pub message: String,
}

/// How bad a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Notice,
    Warning,
    Failure,
}

/// A check run as we read it, ours or another App's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckRun {
    pub id: u64,
    #[serde(default)]
    pub name: String,
    /// `queued`, `in_progress`, `completed`; for those of GitHub Actions also `waiting`, `requested`, `pending`.
    #[serde(default)]
    pub status: String,
    /// One of `Conclusion`'s, or GitHub's own `stale` and `startup_failure`; none until completed.
    #[serde(default)]
    pub conclusion: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub details_url: Option<String>,
    #[serde(default)]
    pub app: Option<CheckApp>,
    #[serde(default)]
    pub output: CheckOutput,
}

/// Whose a check run is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckApp {
    pub id: u64,
    /// `github-actions` for GitHub Actions.
    #[serde(default)]
    pub slug: Option<String>,
}

/// What a check run says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CheckOutput {
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub summary: Option<String>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub annotations_count: usize,
}

impl CheckUpdate<'_> {
    /// How many calls this takes: one, and one more for every further 50 annotations.
    pub fn calls(&self) -> usize {
        self.annotations.len().div_ceil(ANNOTATIONS).max(1)
    }

    fn chunk(&self, index: usize) -> &[Annotation] {
        self.annotations.chunks(ANNOTATIONS).nth(index).unwrap_or_default()
    }

    fn json(&self, index: usize) -> Value {
        let annotations: Vec<Value> = self.chunk(index).iter().map(Annotation::json).collect();
        let mut body = state(self.status, self.conclusion, self.title, self.summary, self.actions);
        body["output"]["annotations"] = json!(annotations);
        body
    }
}

impl Annotation {
    fn json(&self) -> Value {
        let mut json = json!({
            "path": self.path, "start_line": self.start_line, "end_line": self.end_line.max(self.start_line),
            "annotation_level": self.level, "message": bytes(&self.message, MESSAGE),
        });
        if !self.title.is_empty() {
            // Counted in bytes, which is right however GitHub counts.
            json["title"] = json!(bytes(&self.title, TITLE));
        }
        json
    }
}

/// What making and changing a run have in common.
fn state(
    status: CheckStatus,
    conclusion: Option<Conclusion>,
    title: &str,
    summary: &str,
    actions: &[Action<'_>],
) -> Value {
    let actions: Vec<Value> = actions.iter().take(ACTIONS).map(Action::json).collect();
    let mut body = json!({
        "status": status, "actions": actions,
        "output": { "title": characters(title, TITLE), "summary": text::cut(summary, SUMMARY) },
    });
    // A conclusion completes a run, whatever its status says.
    if let Some(conclusion) = conclusion.filter(|_| status == CheckStatus::Completed) {
        body["conclusion"] = json!(conclusion);
    }
    body
}

impl Action<'_> {
    fn json(&self) -> Value {
        json!({
            "label": characters(self.label, LABEL), "description": characters(self.description, DESCRIPTION),
            "identifier": self.identifier.chars().take(IDENTIFIER).collect::<String>(),
        })
    }
}

/// At most this many characters, with an ellipsis for what is gone.
fn characters(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

/// At most this many bytes, with an ellipsis for what is gone.
fn bytes(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(longest - '…'.len_utf8())])
}

impl Repo {
    pub async fn create_check(&self, new: &NewCheck<'_>) -> Result<CheckRun, Error> {
        let mut body = state(new.status, new.conclusion, new.title, new.summary, new.actions);
        body["name"] = json!(new.name);
        body["head_sha"] = json!(new.head);
        body["external_id"] = json!(new.external_id);
        if let Some(url) = new.details_url {
            body["details_url"] = json!(url);
        }
        self.post("check-runs", &body).await
    }

    /// Change a run, with all annotations. To be repeated only if there are none: GitHub adds annotations to those that
    /// are there, so a second time doubles them. With annotations, make each of the `calls` an effect of its own with
    /// `annotate` and `find_annotated`.
    pub async fn update_check(&self, id: u64, update: &CheckUpdate<'_>) -> Result<CheckRun, Error> {
        let mut run = self.annotate(id, 0, update).await?;
        for index in 1..update.calls() {
            run = self.annotate(id, index, update).await?;
        }
        Ok(run)
    }

    /// Call `index` of an update, from 0: each says the state and the output, which may be said again, and adds its own
    /// 50 annotations.
    pub async fn annotate(&self, id: u64, index: usize, update: &CheckUpdate<'_>) -> Result<CheckRun, Error> {
        self.patch(&format!("check-runs/{id}"), &update.json(index)).await
    }

    /// The run, if call `index` of this update has reached it: GitHub counts as many annotations as there are then. For
    /// a run that had none before; never found where the call has none, since it can be repeated.
    pub async fn find_annotated(
        &self,
        id: u64,
        index: usize,
        update: &CheckUpdate<'_>,
    ) -> Result<Option<CheckRun>, Error> {
        let chunk = update.chunk(index).len();
        if chunk == 0 {
            return Ok(None);
        }
        let run = self.check(id).await?;
        Ok((run.output.annotations_count >= index * ANNOTATIONS + chunk).then_some(run))
    }

    pub async fn check(&self, id: u64) -> Result<CheckRun, Error> {
        self.get(&format!("check-runs/{id}")).await
    }

    /// Our own check run of this name and external id on a commit. Anybody's App can say our external id.
    pub async fn find_check(&self, head: &str, name: &str, external_id: &str) -> Result<Option<CheckRun>, Error> {
        Ok(self.find_checks(head, name, external_id).await?.into_iter().next())
    }

    /// All of them: there is more than one when GitHub has made one late.
    pub async fn find_checks(&self, head: &str, name: &str, external_id: &str) -> Result<Vec<CheckRun>, Error> {
        let us = self.github.identity().await?.app_id;
        // GitHub lists only the latest of a name unless all are asked for.
        let query = format!("check_name={}&filter=all&per_page=100", encode(name));
        let runs = self.check_runs(head, &query).await?;
        let ours = |run: &CheckRun| {
            run.name == name
                && run.external_id.as_deref() == Some(external_id)
                && run.app.as_ref().is_none_or(|app| app.id == us)
        };
        Ok(runs.into_iter().filter(ours).collect())
    }

    /// The check runs on a commit, everybody's; of several with one name and App the latest.
    pub async fn checks_of(&self, sha: &str) -> Result<Vec<CheckRun>, Error> {
        self.check_runs(sha, "per_page=100").await
    }

    async fn check_runs(&self, sha: &str, query: &str) -> Result<Vec<CheckRun>, Error> {
        #[derive(Deserialize)]
        struct Page {
            check_runs: Vec<CheckRun>,
        }
        let route = format!("commits/{}/check-runs?{query}", encode(sha));
        self.list(&route, |page: Page| page.check_runs).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut() {
        let actions = [Action { label: "Fix all of these problems", description: &"ü".repeat(41), identifier: "fix" }];
        let body =
            state(CheckStatus::Queued, Some(Conclusion::Success), &"t".repeat(300), &"s\n".repeat(70_000), &actions);
        assert_eq!(body["actions"][0]["label"], "Fix all of these pr…");
        assert_eq!(body["actions"][0]["description"].as_str().unwrap().chars().count(), 40);
        assert_eq!(body["output"]["title"].as_str().unwrap().chars().count(), 255);
        assert!(body["output"]["summary"].as_str().unwrap().chars().count() <= 65_535);
        assert!(body.get("conclusion").is_none(), "a conclusion would complete the run");
        let message = bytes(&"ü".repeat(40_000), MESSAGE);
        assert!(message.len() <= MESSAGE && message.ends_with("ü…"));
    }

    #[test]
    fn annotations_go_fifty_a_call() {
        let annotation = |line| Annotation {
            path: "a.rs".into(),
            start_line: line,
            end_line: line,
            level: Level::Warning,
            title: String::new(),
            message: "why".into(),
        };
        let many: Vec<_> = (1..=120).map(annotation).collect();
        let update = |annotations| CheckUpdate {
            status: CheckStatus::Completed,
            conclusion: Some(Conclusion::Neutral),
            title: "t",
            summary: "s",
            annotations,
            actions: &[],
        };
        assert_eq!(update(&[]).calls(), 1);
        assert_eq!(update(&many[..50]).calls(), 1);
        let all = update(&many);
        let lines = |index: usize| -> Vec<u64> {
            let body = all.json(index);
            let annotations = body["output"]["annotations"].as_array().unwrap();
            annotations.iter().map(|it| it["start_line"].as_u64().unwrap()).collect()
        };
        let sent: Vec<u64> = (0..all.calls()).flat_map(lines).collect();
        assert_eq!((all.calls(), sent), (3, (1..=120).collect()));
    }
}
