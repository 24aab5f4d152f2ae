//! What happens after a comment or a click, in the order and at the time it happens: GitHub's journal and the task's own log,
//! read side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use serde_json::Value;
use simulator::github::Request;
use simulator::{GitHub, Model};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::screen::{Screen, Style, fit, say};
use crate::stage::{REPO, Stage};

/// How often the task's log is asked for, and how often GitHub and the model are looked at.
const LOG: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_millis(2);
/// How long another task may take to appear.
const ANOTHER: Duration = Duration::from_secs(1);
/// Columns before the words: time and who.
const MARGIN: usize = 21;

/// A line of the timeline.
#[derive(Debug)]
struct Moment {
    /// Milliseconds since the start.
    at: i64,
    who: &'static str,
    words: String,
    style: Style,
}

/// Follows tasks from what starts the first one to the end of the last.
#[derive(Debug)]
pub struct Timeline {
    screen: Screen,
    began: Instant,
    /// The same moment by the clock that the bot writes its log with.
    began_at: i64,
    /// When the pull request was there, in milliseconds.
    pub pull_at: Option<i64>,
    seen: mpsc::UnboundedReceiver<Moment>,
    lookout: JoinHandle<()>,
    /// Events of the task's log that were told.
    seq: i64,
    task: Option<String>,
    /// Whether Claude Code was started in this task before.
    asked: bool,
    /// Tasks that were followed to their ends.
    ended: BTreeSet<String>,
    /// Tool calls by id: whether their output is worth a line.
    calls: BTreeMap<String, bool>,
    /// The checklist as it was told last.
    plan: BTreeMap<String, String>,
}

impl Timeline {
    /// The clock starts now.
    pub fn start(screen: Screen, stage: &Stage) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = Instant::now();
        let (seeing, seen) = mpsc::unbounded_channel();
        let from = stage.github.requests_since(0).len();
        let lookout = tokio::spawn(look_out(stage.github.clone(), stage.model.clone(), from, began, seeing));
        Self {
            screen,
            began,
            began_at: now.as_millis() as i64,
            pull_at: None,
            seen,
            lookout,
            seq: 0,
            task: None,
            asked: false,
            ended: BTreeSet::new(),
            calls: BTreeMap::new(),
            plan: BTreeMap::new(),
        }
    }

    /// Tell something that happened just now.
    pub fn tell(&self, who: &'static str, words: &str, style: Style) {
        self.show(&Moment { at: self.began.elapsed().as_millis() as i64, who, words: words.to_owned(), style });
    }

    /// Tell everything until the next task has ended; the task as the API shows it then.
    pub async fn follow(&mut self, stage: &mut Stage, limit: Duration) -> Result<Value> {
        let from = Instant::now();
        while from.elapsed() < limit {
            stage.bot.must_live()?;
            // Asked first: what is logged before the end is read after it.
            let ended = self.task_if_ended(stage).await;
            let mut moments = self.of_log(stage).await;
            while let Ok(moment) = self.seen.try_recv() {
                moments.push(moment);
            }
            moments.sort_by_key(|it| it.at);
            for moment in &moments {
                self.show(moment);
                if moment.words.starts_with(PULL) {
                    self.pull_at = Some(moment.at);
                }
            }
            if let Some(task) = ended {
                self.ended.extend(self.task.take());
                (self.seq, self.asked) = (0, false);
                return Ok(task);
            }
            tokio::time::sleep(LOG).await;
        }
        bail!("the task has not ended after {} s", limit.as_secs())
    }

    /// The same if there is another task, as a push makes one.
    pub async fn follow_another(&mut self, stage: &mut Stage, limit: Duration) -> Result<Option<Value>> {
        let from = Instant::now();
        while self.task.is_none() && from.elapsed() < ANOTHER {
            tokio::time::sleep(LOG).await;
            self.task_if_ended(stage).await;
        }
        if self.task.is_none() { Ok(None) } else { self.follow(stage, limit).await.map(Some) }
    }

    fn show(&self, moment: &Moment) {
        let time = format!("{:>3}.{:03} s", moment.at / 1000, moment.at % 1000);
        let words = fit(&moment.words, self.screen.width.saturating_sub(MARGIN));
        say(&format!(
            " {}  {:<8} {}",
            self.screen.paint(Style::Dim, &time),
            moment.who,
            self.screen.paint(moment.style, &words)
        ));
    }

    async fn task_if_ended(&mut self, stage: &Stage) -> Option<Value> {
        let tasks = stage.bot.get("tasks?limit=20").await.ok()?;
        let is_next = |it: &&Value| {
            let new = it["created_at"].as_i64().is_some_and(|it| self.began_at <= it);
            new && it["task_id"].as_str().is_some_and(|it| !self.ended.contains(it))
        };
        // The newest comes first.
        let task = tasks["tasks"].as_array()?.iter().rev().find(is_next)?.clone();
        self.task = task["task_id"].as_str().map(str::to_owned);
        (!task["ended_at"].is_null()).then_some(task)
    }

    async fn of_log(&mut self, stage: &Stage) -> Vec<Moment> {
        let Some(task) = &self.task else { return Vec::new() };
        let Ok(page) = stage.bot.get(&format!("tasks/{task}/logs?after={}", self.seq)).await else { return Vec::new() };
        let mut moments = Vec::new();
        for event in page["events"].as_array().into_iter().flatten() {
            self.seq = event["seq"].as_i64().unwrap_or(self.seq);
            let at = event["at"].as_i64().unwrap_or_default() - self.began_at;
            let told = self.of_event(event["kind"].as_str().unwrap_or_default(), &event["body"]);
            moments.extend(told.into_iter().map(|(who, words, style)| Moment { at, who, words, style }));
        }
        moments
    }

    /// An event of the task's log in the words of the timeline.
    fn of_event(&mut self, kind: &str, body: &Value) -> Vec<(&'static str, String, Style)> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match kind {
            "run" => match text("step").as_str() {
                "checkout" => vec![("bot", "takes the task and checks the code out".to_owned(), Style::Plain)],
                "agent" if self.asked => {
                    vec![("sandbox", "Claude Code starts again, for a second look".to_owned(), Style::Plain)]
                }
                "agent" => {
                    self.asked = true;
                    vec![("sandbox", "is ready; Claude Code starts in it".to_owned(), Style::Plain)]
                }
                "branch" => {
                    let branch = text("message").replace(" pushed", "");
                    vec![("bot", format!("looks through the work, pushes {branch}"), Style::Bold)]
                }
                _ => Vec::new(),
            },
            "text" => vec![("agent", text("text"), Style::Dim)],
            "tool" => {
                let name = text("name");
                self.calls.insert(text("id"), name == "Bash");
                match name.as_str() {
                    // The checklist tells it better.
                    "TodoWrite" | "TaskCreate" | "TaskUpdate" => Vec::new(),
                    "StructuredOutput" => vec![("agent", "gives its answer".to_owned(), Style::Plain)],
                    "Bash" => vec![("agent", text("brief").replacen("Bash: ", "$ ", 1), Style::Code)],
                    _ => vec![("agent", text("brief"), Style::Code)],
                }
            }
            "tool_result" => {
                let shown = self.calls.remove(&text("id")).unwrap_or_default();
                let (failed, text) = (body["is_error"] == true, text("text"));
                let last = text.lines().rev().find(|it| !it.trim().is_empty()).unwrap_or_default();
                let style = if failed { Style::Bad } else { Style::Dim };
                if shown || failed { vec![("", format!("→ {last}"), style)] } else { Vec::new() }
            }
            "todos" => self.of_plan(&body["todos"]),
            _ => Vec::new(),
        }
    }

    /// What has changed in the checklist.
    fn of_plan(&mut self, todos: &Value) -> Vec<(&'static str, String, Style)> {
        let mut told = Vec::new();
        for todo in todos.as_array().into_iter().flatten() {
            let (text, state) = (todo["text"].as_str().unwrap_or_default(), todo["state"].as_str().unwrap_or_default());
            let before = self.plan.insert(text.to_owned(), state.to_owned());
            if before.as_deref() == Some(state) {
                continue;
            }
            told.push(match state {
                "done" => ("plan", format!("✓ {text}"), Style::Good),
                "active" => ("plan", format!("▸ {text}"), Style::Accent),
                _ => ("plan", format!("· {text}"), Style::Dim),
            });
        }
        told
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        self.lookout.abort();
    }
}

/// Look at what reaches GitHub and the model, often enough for the times to be true.
async fn look_out(
    github: GitHub,
    model: Option<Model>,
    mut known: usize,
    began: Instant,
    seeing: mpsc::UnboundedSender<Moment>,
) {
    let mut silent = model.filter(|it| it.headers().is_empty());
    loop {
        let at = began.elapsed().as_millis() as i64;
        let mut moments = Vec::new();
        if silent.as_ref().is_some_and(|it| !it.headers().is_empty()) {
            silent = None;
            let words = "sends the model its first request".to_owned();
            moments.push(Moment { at, who: "agent", words, style: Style::Plain });
        }
        if !github.requests_since(known).is_empty() {
            let journal = github.journal();
            let pulls: Vec<String> = github.pulls(REPO).iter().map(|it| it.number.to_string()).collect();
            let told = journal[known..].iter().filter_map(|it| told_by(it, &pulls));
            moments.extend(told.map(|(words, style)| Moment { at, who: "bot", words, style }));
            known = journal.len();
        }
        if moments.into_iter().any(|it| seeing.send(it).is_err()) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

const PULL: &str = "opens a pull request";

/// What a request to GitHub means for people, if it means anything.
fn told_by(request: &Request, pulls: &[String]) -> Option<(String, Style)> {
    let path = request.path.split('?').next().unwrap_or_default();
    let text = |name: &str| request.body[name].as_str().unwrap_or_default();
    let refused = |what: &str| (format!("{what}: GitHub says {}", request.status), Style::Bad);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let said = match (request.method.as_str(), parts.as_slice()) {
        ("POST", [.., "reactions"]) => ("reacts with ".to_owned() + emoji(text("content")), Style::Bold),
        ("POST", ["repos", _, _, "issues", number, "comments"]) => {
            let what = if pulls.iter().any(|it| it == number) { "pull request" } else { "issue" };
            (format!("comments on the {what}: {}", heading(text("body"))), Style::Bold)
        }
        ("PATCH", ["repos", _, _, "issues", "comments", _]) => {
            (format!("edits its comment: {}", heading(text("body"))), Style::Plain)
        }
        ("POST", ["repos", _, _, "pulls"]) => (format!("{PULL}: {}", text("title")), Style::Bold),
        ("POST", ["repos", _, _, "check-runs"]) => {
            let state = if text("conclusion").is_empty() { text("status") } else { text("conclusion") };
            (format!("adds a check run: {}, {state}", text("name")), Style::Bold)
        }
        ("PATCH", ["repos", _, _, "check-runs", _]) if !text("conclusion").is_empty() => {
            let title = request.body["output"]["title"].as_str().unwrap_or_default();
            (format!("completes its check run: {title}"), Style::Bold)
        }
        ("POST", ["repos", _, _, "pulls", _, "reviews"]) => {
            (format!("reviews the pull request: {}", heading(text("body"))), Style::Bold)
        }
        ("POST", ["repos", _, _, "pulls", _, "comments", _, "replies"]) => {
            (format!("answers in the thread: {}", text("body")), Style::Bold)
        }
        ("POST", ["graphql"] | ["api", "graphql"]) if text("query").contains("resolveReviewThread") => {
            ("resolves the thread".to_owned(), Style::Bold)
        }
        _ => return None,
    };
    Some(if request.status < 400 { said } else { refused(&said.0) })
}

/// The heading of a comment, and how much of its checklist is done.
fn heading(body: &str) -> String {
    let title = body.lines().find_map(|it| it.strip_prefix("### ")).unwrap_or("…");
    let items = body.lines().filter(|it| it.starts_with("- [")).count();
    let done = body.lines().filter(|it| it.starts_with("- [x]")).count();
    if items == 0 { title.to_owned() } else { format!("{title} ({done} of {items} steps)") }
}

fn emoji(content: &str) -> &'static str {
    match content {
        "eyes" => "👀",
        "rocket" => "🚀",
        "confused" => "😕",
        _ => "an emoji",
    }
}
