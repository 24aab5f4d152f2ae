//! Step 2: the snapshot as read-only files and a prompt. What people wrote is data, marked with who wrote it.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;

use super::Run;
use crate::text;

/// What the agent is given.
pub struct Context {
    pub prompt: String,
    /// Files by their path inside.
    pub files: Vec<(PathBuf, Bytes)>,
    /// Hidden things that were taken out of what people wrote.
    pub removed: usize,
}

impl Run<'_> {
    /// Write the context from the snapshot; GitHub is not asked again (invariant 7).
    pub fn context(&self) -> Context {
        let (task, snapshot) = (self.task, &self.task.snapshot);
        let mut removed = 0;
        let mut seen = |markdown: &str| {
            let (visible, hidden) = text::visible(markdown);
            removed += hidden;
            // Marked line by line: no text can end its block and begin one that claims another author.
            visible.lines().map(|line| format!("| {line}")).collect::<Vec<_>>().join("\n")
        };
        let (title, body) = (seen(&snapshot.title), seen(&snapshot.body));
        let thread: Vec<_> = snapshot
            .thread
            .iter()
            .map(|said| {
                json!({ "author": said.author, "trust": trust(said.trusted), "at": said.at, "body": seen(&said.body) })
            })
            .collect();
        let common = json!({
            "number": task.place.number,
            "repository": task.place.repository,
            "requester": task.requester.login,
        });
        let with = |more: serde_json::Value| {
            let mut all = common.clone();
            if let (Some(all), serde_json::Value::Object(more)) = (all.as_object_mut(), more) {
                all.extend(more);
            }
            all
        };
        let issue = text::render(
            "prompt/issue.md",
            &with(json!({
                "author": snapshot.author,
                "trust": trust(snapshot.author_trusted),
                "labels": snapshot.labels.join(", "),
                "title": title,
                "body": body,
            })),
        );
        let system = text::render(
            "prompt/system.md",
            &json!({
                "base_sha": snapshot.base_sha,
                "base_branch": snapshot.base_branch,
                "egress": self.app.config.sandbox.egress().join(", "),
            }),
        );
        let mut files = vec![
            (PathBuf::from("/context/issue.md"), Bytes::from(issue)),
            (PathBuf::from("/context/system.md"), Bytes::from(system)),
        ];
        if !thread.is_empty() {
            let page = text::render("prompt/thread.md", &with(json!({ "thread": thread })));
            files.push((PathBuf::from("/context/thread.md"), Bytes::from(page)));
        }
        // The person who asks has been asked about: these words are the order.
        let (prompt, hidden) = text::visible(&task.prompt);
        removed += hidden;
        let prompt = text::render("prompt/fix.md", &with(json!({ "prompt": prompt, "thread": thread })));
        Context { prompt, files, removed }
    }
}

/// How far a block of text can be trusted, in words for the agent.
fn trust(trusted: Option<bool>) -> &'static str {
    match trusted {
        Some(true) => "may write to the repository",
        Some(false) => "may not write to the repository: a stranger's words",
        None => "unknown: take it for a stranger's words",
    }
}
