//! Step 2: the snapshot as read-only files and a prompt. What people wrote is data, marked with who wrote it.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Run;
use super::guidance::Guidance;
use crate::store::StoredTask;
use crate::task::{Kind, PullSnapshot, Trigger};
use crate::text::{self, Tally};

/// What the agent is given.
pub struct Context {
    pub prompt: String,
    /// Files by their path inside.
    pub files: Vec<(PathBuf, Bytes)>,
    /// Hidden things in what people wrote: taken out of texts, left in code.
    pub removed: Tally,
}

/// The files of a context while they are written.
pub struct Pages<'a> {
    task: &'a StoredTask,
    pub files: Vec<(PathBuf, Bytes)>,
    pub removed: Tally,
}

impl<'a> Pages<'a> {
    pub fn new(task: &'a StoredTask) -> Self {
        Self { task, files: Vec::new(), removed: Tally::default() }
    }

    /// What people see of a text, marked line by line: no text can end its block and begin one that claims another author.
    pub fn seen(&mut self, author: &str, markdown: &str) -> String {
        let visible = self.visible(author, markdown);
        marked(&visible)
    }

    /// What people see of a text.
    pub fn visible(&mut self, author: &str, markdown: &str) -> String {
        let (visible, removed) = text::visible(markdown);
        self.removed.add(author, &removed);
        visible
    }

    /// A text that GitHub shows as it is: a title, a name, a log.
    pub fn plain(&mut self, author: &str, said: &str) -> String {
        let (plain, removed) = text::plain(said);
        self.removed.add(author, &removed);
        plain
    }

    /// A name on one line.
    fn name(&mut self, author: &str, said: &str) -> String {
        self.plain(author, said).replace('\n', " ")
    }

    /// What every template may name, and more.
    pub fn with(&self, more: Value) -> Value {
        let mut all = json!({
            "number": self.task.place.thread(),
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

    /// What the pull request changes. It is given as it is; what people don't see of it is counted.
    pub fn changes(&mut self, name: &str, diff: impl Into<Bytes>) {
        let diff = diff.into();
        self.removed.add(&self.task.snapshot.author, &text::in_added(&diff));
        self.add(name, diff);
    }

    /// The issue or pull request itself, if there is one.
    pub fn subject(&mut self) {
        if !self.task.place.has_thread() {
            return;
        }
        let snapshot = &self.task.snapshot;
        let author = snapshot.author.as_str();
        let (title, body) = (marked(&self.plain(author, &snapshot.title)), self.seen(author, &snapshot.body));
        let labels: Vec<String> = snapshot.labels.iter().map(|label| self.name(author, label)).collect();
        let mut page = json!({
            "author": snapshot.author,
            "trust": trust(snapshot.author_trusted),
            "labels": labels.join(", "),
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
                        "title": marked(&self.plain(&issue.author, &issue.title)),
                        "body": self.seen(&issue.author, &issue.body) })
            })
            .collect();
        let (head_branch, base_branch) =
            (self.name(author, &pull.head_branch), self.name(author, &snapshot.base_branch));
        if let Some(page) = page.as_object_mut() {
            page.insert("head_branch".to_owned(), json!(head_branch));
            page.insert("same_repository".to_owned(), json!(pull.same_repository));
            page.insert("base_branch".to_owned(), json!(base_branch));
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
        let snapshot_author = self.task.snapshot.author.clone();
        let threads: Vec<Value> = pull
            .threads
            .iter()
            .map(|thread| {
                let said: Vec<Value> = thread.said.iter().map(|said| self.said(said)).collect();
                let path = self.name(&snapshot_author, &thread.path);
                json!({ "id": thread.id, "path": path, "line": thread.line, "resolved": thread.resolved,
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
                // A check prints what the code makes it print: colours on purpose, everything else by whoever.
                let log = text::without_sequences(&check.log);
                json!({ "name": self.name("checks", &check.name), "conclusion": check.conclusion,
                        "says": self.seen("checks", &check.says), "log": marked(&self.plain("checks", &log)) })
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
        json!({ "author": said.author, "trust": trust(said.trusted), "at": said.at, "body": self.seen(&said.author, &said.body) })
    }
}

impl Run<'_> {
    /// Write the context of work from the snapshot; GitHub is not asked again (invariant 7). `diff` is what the pull
    /// request changes; `resumed` whether the agent knows an earlier run.
    pub fn context(&self, diff: Option<Vec<u8>>, guidance: &Guidance, resumed: bool) -> Context {
        let (task, snapshot) = (self.task, &self.task.snapshot);
        let mut pages = Pages::new(task);
        pages.subject();
        let thread = pages.thread();
        // The person who asks has been asked about: these words are the order.
        let prompt = match task.trigger {
            // Our own words: the findings that a button is about.
            Trigger::Button => task.prompt.clone(),
            _ => pages.visible(&task.requester.login, &task.prompt),
        };
        let common = json!({
            "base_sha": snapshot.base_sha,
            "base_branch": snapshot.base_branch,
            "default_branch": snapshot.default_branch,
            "egress": self.egress().join(", "),
            "instructions": snapshot.rules().instructions,
            "guidance": guidance.words(),
            "prompt": prompt,
            "thread": thread,
            "resumed": resumed,
            "trusted": snapshot.asker_writes(),
            "publishes": self.may_push(),
        });
        let (prompt, system) = match &snapshot.pull {
            Some(pull) if task.kind == Kind::Pull => {
                let threads = pages.threads(pull);
                let checks = pages.checks(pull);
                pages.changes("diff.patch", diff.unwrap_or_default());
                let mut words = pages.with(common);
                if let Some(words) = words.as_object_mut() {
                    words.insert("threads".to_owned(), json!(threads));
                    words.insert("checks".to_owned(), json!(checks));
                    words.insert("asked_in".to_owned(), json!(pull.asked_in));
                    words.insert("head_sha".to_owned(), json!(pull.head_sha));
                    words.insert("beside".to_owned(), json!(self.is_of_fork()));
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

/// What people see of a text that is the project's own.
pub fn ours(markdown: &str) -> String {
    marked(&text::visible(markdown).0)
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
