//! What a check run has come to: its line in the story, and its webhooks.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{ACTIONS_APP, shapes};
use crate::github::events::{Event, merge};
use crate::github::state::{Check, Kind, State};
use crate::github::told::indented;
use crate::github::{APP_ID, BOT_ID, World};

/// More annotations than these are only counted in the story.
const SHOWN: usize = 10;

impl World {
    /// Says what a check run has come to since it `was`, and returns its webhook.
    pub(crate) fn tells_check(
        &self,
        state: &mut State,
        check: &Check,
        was: Option<&Check>,
        action: &str,
    ) -> Vec<Event> {
        let branch = self.bare(check.repo).branches().into_iter().find(|(_, head)| *head == check.head_sha);
        let mut line = format!("check {} {}", check.name, check.status);
        if let Some(conclusion) = &check.conclusion {
            let _ = write!(line, " {conclusion}");
        }
        let sha = &check.head_sha;
        line.push_str(&branch.map_or(" on <sha>".to_owned(), |_| format!(" on {sha}")));
        if let Some(title) = &check.title {
            let _ = write!(line, ": {title}");
        }
        let new = &check.annotations[was.map_or(0, |it| it.annotations.len())..];
        for annotation in new.iter().take(SHOWN) {
            let _ = write!(line, "\n  {}", annotation_words(annotation));
        }
        if new.len() > SHOWN {
            let _ = write!(line, "\n  … and {} more annotations", new.len() - SHOWN);
        }
        if was.map_or(&Vec::new(), |it| &it.actions) != &check.actions {
            let labels = check.actions.iter().map(|it| format!("[{}]", it["label"].as_str().unwrap_or_default()));
            let _ = write!(line, "\n  {}", labels.collect::<Vec<_>>().join(" "));
        }
        self.tell(state, check.repo, &line);
        let by = match check.app {
            APP_ID => BOT_ID,
            ACTIONS_APP => state.account_id("github-actions[bot]", Kind::Bot),
            _ => state.account_id("other-ci[bot]", Kind::Bot),
        };
        vec![self.check_event(state, check, by, action, json!({}))]
    }

    /// `check_run.{action}`.
    pub(crate) fn check_event(&self, state: &State, check: &Check, by: u64, action: &str, more: Value) -> Event {
        let mut payload = self.envelope(state, check.repo, by, action);
        payload["check_run"] = self.check_object(state, check);
        payload["check_run"]["check_suite"] =
            self.suite_object(state, check.repo, check.suite, &check.head_sha, check.app);
        merge(&mut payload, more);
        Event { name: "check_run", repo: Some(check.repo), payload }
    }

    /// `check_suite.requested`, which every App with checks:write gets for each push.
    pub(crate) fn suite_event(&self, state: &State, repo: u64, suite: u64, sha: &str, by: u64) -> Event {
        let mut payload = self.envelope(state, repo, by, "requested");
        payload["check_suite"] = self.suite_object(state, repo, suite, sha, APP_ID);
        Event { name: "check_suite", repo: Some(repo), payload }
    }

    /// `check_suite.{action}` about the suite of a check run.
    pub(crate) fn suite_event_of(&self, state: &State, check: &Check, by: u64, action: &str) -> Event {
        let mut payload = self.envelope(state, check.repo, by, action);
        let mut suite = self.suite_object(state, check.repo, check.suite, &check.head_sha, check.app);
        if action == "completed" {
            suite["status"] = json!("completed");
            suite["conclusion"] = shapes::conclusion(state, check.suite);
        }
        payload["check_suite"] = suite;
        Event { name: "check_suite", repo: Some(check.repo), payload }
    }
}

fn annotation_words(annotation: &Value) -> String {
    let text = |name: &str| annotation[name].as_str().unwrap_or_default();
    let (start, end) = (annotation["start_line"].as_u64(), annotation["end_line"].as_u64());
    let lines = match (start.unwrap_or_default(), end.unwrap_or_default()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    };
    let title = if text("title").is_empty() { String::new() } else { format!("{}: ", text("title")) };
    let said = indented(text("message")).replace('\n', "\n  ");
    format!("{}:{lines} {} {title}{said}", text("path"), text("annotation_level"))
}
