//! Step 2: the snapshot as read-only files and a prompt. What people wrote is data, marked with who wrote it.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Run;
use crate::store::StoredTask;
use crate::task::{Kind, Lane, PullSnapshot, Trigger};
use crate::text;

/// What the agent is given.
pub struct Context {
    pub prompt: String,
    /// Files by their path inside.
    pub files: Vec<(PathBuf, Bytes)>,
    /// Hidden things that were taken out of what people wrote.
    pub removed: usize,
}

/// The files of a context while they are written.
pub struct Pages<'a> {
    task: &'a StoredTask,
    pub files: Vec<(PathBuf, Bytes)>,
    pub removed: usize,
}

impl<'a> Pages<'a> {
    pub fn new(task: &'a StoredTask) -> Self {
        Self { task, files: Vec::new(), removed: 0 }
    }

    /// What people see of a text, marked line by line: no text can end its block and begin one that claims another author.
    pub fn seen(&mut self, markdown: &str) -> String {
        let (visible, hidden) = text::visible(markdown);
        self.removed += hidden;
        marked(&visible)
    }

    /// What every template may name, and more.
    pub fn with(&self, more: Value) -> Value {
        let mut all = json!({
            "number": self.task.place.number,
            "repository": self.task.place.repository,
            "requester": self.task.requester.login,
        });
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        all
    }

    pub fn add(&mut self, name: &str, text: impl Into<Bytes>) {
        self.files.push((PathBuf::from("/context").join(name), text.into()));
    }

    /// The issue or pull request itself.
    pub fn subject(&mut self) {
        let snapshot = &self.task.snapshot;
        let (title, body) = (self.seen(&snapshot.title), self.seen(&snapshot.body));
        let mut page = json!({
            "author": snapshot.author,
            "trust": trust(snapshot.author_trusted),
            "labels": snapshot.labels.join(", "),
            "title": title,
            "body": body,
        });
        let Some(pull) = &snapshot.pull else {
            let text = text::render("prompt/issue.md", &self.with(page));
            return self.add("issue.md", text);
        };
        let linked: Vec<Value> = pull
            .linked
            .iter()
            .map(|issue| {
                json!({ "number": issue.number, "author": issue.author, "trust": trust(issue.trusted),
                        "title": self.seen(&issue.title), "body": self.seen(&issue.body) })
            })
            .collect();
        if let Some(page) = page.as_object_mut() {
            page.insert("head_branch".to_owned(), json!(pull.head_branch));
            page.insert("same_repository".to_owned(), json!(pull.same_repository));
            page.insert("base_branch".to_owned(), json!(snapshot.base_branch));
            page.insert("linked".to_owned(), json!(linked));
        }
        let text = text::render("prompt/pull.md", &self.with(page));
        self.add("pull.md", text);
    }

    /// The conversation; whether there is one.
    pub fn thread(&mut self) -> bool {
        let snapshot = &self.task.snapshot;
        let thread: Vec<Value> = snapshot.thread.iter().map(|said| self.said(said)).collect();
        if thread.is_empty() {
            return false;
        }
        let page = text::render("prompt/thread.md", &self.with(json!({ "thread": thread })));
        self.add("thread.md", page);
        true
    }

    /// The conversations on lines; whether there are any.
    pub fn threads(&mut self, pull: &PullSnapshot) -> bool {
        let threads: Vec<Value> = pull
            .threads
            .iter()
            .map(|thread| {
                let said: Vec<Value> = thread.said.iter().map(|said| self.said(said)).collect();
                json!({ "id": thread.id, "path": thread.path, "line": thread.line, "resolved": thread.resolved,
                        "asked": pull.asked_in == Some(thread.id), "said": said })
            })
            .collect();
        if threads.is_empty() {
            return false;
        }
        let page = text::render("prompt/threads.md", &self.with(json!({ "threads": threads })));
        self.add("threads.md", page);
        true
    }

    /// The checks that failed; whether there are any.
    pub fn checks(&mut self, pull: &PullSnapshot) -> bool {
        let checks: Vec<Value> = pull
            .checks
            .iter()
            .map(|check| {
                json!({ "name": check.name, "conclusion": check.conclusion, "says": self.seen(&check.says),
                        "log": marked(&check.log) })
            })
            .collect();
        if checks.is_empty() {
            return false;
        }
        let page = text::render("prompt/checks.md", &self.with(json!({ "checks": checks })));
        self.add("checks.md", page);
        true
    }

    fn said(&mut self, said: &crate::task::Said) -> Value {
        json!({ "author": said.author, "trust": trust(said.trusted), "at": said.at, "body": self.seen(&said.body) })
    }
}

impl Run<'_> {
    /// Write the context of work from the snapshot; GitHub is not asked again (invariant 7). `diff` is what the pull
    /// request changes; `resumed` whether the agent knows an earlier run.
    pub fn context(&self, diff: Option<Vec<u8>>, resumed: bool) -> Context {
        let (task, snapshot) = (self.task, &self.task.snapshot);
        let mut pages = Pages::new(task);
        pages.subject();
        let thread = pages.thread();
        // The person who asks has been asked about: these words are the order.
        let (prompt, hidden) = match task.trigger {
            // Our own words: the findings that a button is about.
            Trigger::Button => (task.prompt.clone(), 0),
            _ => text::visible(&task.prompt),
        };
        pages.removed += hidden;
        let common = json!({
            "base_sha": snapshot.base_sha,
            "base_branch": snapshot.base_branch,
            "egress": self.egress().join(", "),
            "instructions": snapshot.rules().instructions,
            "prompt": prompt,
            "thread": thread,
            "resumed": resumed,
            "trusted": snapshot.lane == Lane::Trusted,
        });
        let (prompt, system) = match &snapshot.pull {
            Some(pull) if task.kind == Kind::Pull => {
                let threads = pages.threads(pull);
                let checks = pages.checks(pull);
                pages.add("diff.patch", diff.unwrap_or_default());
                let mut words = pages.with(common);
                if let Some(words) = words.as_object_mut() {
                    words.insert("threads".to_owned(), json!(threads));
                    words.insert("checks".to_owned(), json!(checks));
                    words.insert("asked_in".to_owned(), json!(pull.asked_in));
                    words.insert("head_sha".to_owned(), json!(pull.head_sha));
                    words.insert("head_branch".to_owned(), json!(pull.head_branch));
                    words.insert("publishes".to_owned(), json!(self.may_push()));
                }
                (text::render("prompt/change.md", &words), text::render("prompt/system_change.md", &words))
            }
            _ => {
                let words = pages.with(common);
                (text::render("prompt/fix.md", &words), text::render("prompt/system.md", &words))
            }
        };
        pages.add("system.md", system);
        Context { prompt, files: pages.files, removed: pages.removed }
    }
}

fn marked(text: &str) -> String {
    text.lines().map(|line| format!("| {line}")).collect::<Vec<_>>().join("\n")
}

/// How far a block of text can be trusted, in words for the agent.
fn trust(trusted: Option<bool>) -> &'static str {
    match trusted {
        Some(true) => "may write to the repository",
        Some(false) => "may not write to the repository: a stranger's words",
        None => "unknown: take it for a stranger's words",
    }
}
