//! The words of a task's comment, pull request and check run, from templates.

use serde_json::json;

use super::View;
use crate::config::{Config, Dollars};
use crate::store::StoredTask;
use crate::task::{BLOCKED_NAMED, Blocked, Ending, Kind, Lane, Trigger, WaitsFor, Work};
use crate::text::{self, Tally};

/// What a run has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Money {
    pub micros: i64,
    pub turns: i64,
}

/// The marker that a task's comment is found by. Only together with its author: anybody can write it.
pub fn marker(task: &StoredTask) -> String {
    format!("<!-- cloud-agent:task={} -->", task.id)
}

/// The comment that follows the work.
pub fn progress_words(config: &Config, task: &StoredTask, view: &View, ending: Option<&Ending>) -> String {
    let asked = match task.trigger {
        // Nobody put it into words.
        Trigger::Labeled | Trigger::Pull | Trigger::Button => String::new(),
        _ => text::outgoing(&text::line(&task.prompt, 200)),
    };
    let body = text::render(
        "report/progress.md",
        &json!({
            "marker": marker(task),
            "ending": ending,
            "said": ending.map(|ending| ending_words(config, task, view, ending).trim().to_owned()),
            "branch": view.work.as_ref().map(|work| work.branch.clone()),
            "state": view.state,
            "waits": waits(view),
            "waits_on": view.waiting.on.map(WaitsFor::name),
            "step": view.step,
            "asked": asked,
            "by_key": (task.trigger == Trigger::Api).then(|| requester(task)),
            "todos": view.todos,
            "removed": hidden(&view.removed),
            "later": later(task, view),
            "guarded": task.snapshot.lane == Lane::Guarded,
            "mistake": task.snapshot.rules_mistake().map(|mistake| mistake.to_string()),
            "elapsed": text::elapsed(view.elapsed),
            "cost": text::dollars(view.money.micros),
            "turns": view.money.turns,
            "blocked": blocked_in_short(&view.blocked),
            "mention": config.github.mention,
            "no_check": ending.and_then(|ending| no_check(task, ending)),
            "own_token": task.own_token.then(|| task.id.to_string()),
        }),
    );
    text::cut(&body, text::LONGEST_COMMENT)
}

/// Where to look instead of at a check run, where GitHub takes none.
pub fn no_check(task: &StoredTask, ending: &Ending) -> Option<String> {
    let published = task.own_token && matches!(ending.code.as_str(), "pull_request" | "pushed");
    published.then(|| text::render("report/no_check.md", &json!({ "task": task.id.to_string() })).trim().to_owned())
}

/// What a task waits for, and until when, in a sentence. What is wrong in detail is the operator's.
pub fn waits(view: &View) -> String {
    let waiting = &view.waiting;
    let until = waiting.until.map(text::time_of_day);
    let said = text::render("report/waiting.md", &json!({ "on": waiting.on.map(WaitsFor::name), "until": until }));
    said.trim().to_owned()
}

/// How a task ended, for whoever asks the store about it: without the diff of what was held back, which is long.
pub fn told_ending(config: &Config, task: &StoredTask, ending: &Ending) -> String {
    let (work, reviewed) = (task.progress.work.clone(), task.progress.reviewed.clone());
    let view = View { work, reviewed, ..View::default() };
    ending_words(config, task, &view, &Ending { diff: String::new(), ..ending.clone() }).trim().to_owned()
}

/// How a task ended, and what to do about it.
pub fn ending_words(config: &Config, task: &StoredTask, view: &View, ending: &Ending) -> String {
    let work = view.work.as_ref();
    let reviewed = view.reviewed.as_ref().map(|it| it.summary.as_str());
    let summary = work.map(|work| work.summary.as_str()).or(reviewed).unwrap_or_default();
    let ending = Ending { says: says(ending), ..ending.clone() };
    text::render(
        "report/ending.md",
        &json!({
            "task": task.id.to_string(),
            "ending": ending,
            "summary": text::outgoing(summary),
            "aside": work.map(|work| work.aside.clone()).unwrap_or_default(),
            "target": task.snapshot.pull.as_ref().map(|pull| pull.head_branch.clone()).unwrap_or_default(),
            "patch": work.map(|work| patch(&work.patch)).unwrap_or_default(),
            "held_back": patch(&ending.diff),
            "head": head(task),
            "void": task.snapshot.void.as_ref().map(|it| short(&it.head_sha)),
            "void_base": task.snapshot.void.as_ref().is_some_and(|it| it.is_for_another_base(&task.snapshot.base_branch)),
            "approved_by": approved_by(task),
            "contributed": work.map(|work| work.contributed.clone()).unwrap_or_default(),
            "thread": match task.kind {
                _ if !task.place.has_thread() => "repository",
                Kind::Issue => "issue",
                Kind::Pull | Kind::Review => "pull request",
            },
            // Nobody can say anything where there is no thread, or where the App does not hear it.
            "unthreaded": !task.place.has_thread() || task.own_token,
            "mention": config.github.mention,
            "budget": Dollars { micros: task.budget_within(config.runs.budget_run_usd.micros) }.to_string(),
            "turns_limit": config.runs.run_turns,
            "time_limit": text::elapsed(config.runs.run_timeout.0.as_millis() as i64),
        }),
    )
}

/// Who asked, as people are told: a person by a mention, a key by its name.
fn requester(task: &StoredTask) -> String {
    let login = &task.requester.login;
    if task.requester.is_on_github() { format!("@{login}") } else { format!("`{login}`") }
}

/// A patch in a fence that nothing in it can close; nothing when it is too long to be a whole one.
fn patch(patch: &str) -> String {
    const LONGEST: usize = 50_000;
    if patch.is_empty() || patch.chars().count() > LONGEST || text::redact(patch) != patch {
        return String::new();
    }
    text::fenced("diff", patch)
}

/// Title and body of the pull request.
pub fn pull_words(task: &StoredTask, work: &Work, money: Money, elapsed: i64) -> (String, String) {
    let body = text::render(
        "report/pull.md",
        &json!({
            "marker": marker(task),
            "summary": text::outgoing(&work.summary),
            "details": text::outgoing(&work.details),
            "verification": text::outgoing(&work.verification),
            "number": task.place.thread(),
            "aside": work.aside,
            "head": head(task),
            "approved_by": approved_by(task),
            "requester": requester(task),
            "elapsed": text::elapsed(elapsed),
            "cost": text::dollars(money.micros),
            "turns": money.turns,
        }),
    );
    (text::line(&text::outgoing(&work.title), 100), text::cut(&body, text::LONGEST_COMMENT))
}

/// Title and summary of the check run.
pub fn check_words(task: &StoredTask, work: &Work, money: Money, elapsed: i64) -> (String, String) {
    let count = work.files.len();
    let title = format!("Changed {count} file{}", if count == 1 { "" } else { "s" });
    let summary = text::render(
        "report/check.md",
        &json!({
            "task": task.id.to_string(),
            "snapshot": snapshot(task),
            "summary": text::outgoing(&work.summary),
            "verification": text::outgoing(&work.verification),
            "files": work.files,
            "blocked": blocked(&work.blocked),
            "removed": hidden(&work.removed),
            "elapsed": text::elapsed(elapsed),
            "cost": text::dollars(money.micros),
            "turns": money.turns,
        }),
    );
    (title, text::cut(&summary, text::LONGEST_COMMENT))
}

/// What is known of an ending, fit to be posted. The last words of a crash stand in a fence, which they must not close.
fn says(ending: &Ending) -> String {
    match ending.code.as_str() {
        "crashed" => text::redact(&ending.says).replace("```", "'''"),
        _ => text::outgoing(&ending.says),
    }
}

/// What was changed after somebody had asked, in a sentence; empty if nothing was.
pub fn later(task: &StoredTask, view: &View) -> String {
    if view.later.is_empty() {
        return String::new();
    }
    text::render("report/later.md", &json!({ "later": view.later, "head": head(task) })).trim().to_owned()
}

/// The digest of the request and its snapshot, in short.
pub fn snapshot(task: &StoredTask) -> Option<String> {
    task.snapshot_hash.as_deref().map(|hash| hash.chars().take(12).collect())
}

/// The commit of a pull request that the task looks at, in short.
fn head(task: &StoredTask) -> Option<String> {
    task.snapshot.pull.as_ref().map(|pull| short(&pull.head_sha))
}

fn approved_by(task: &StoredTask) -> Option<&str> {
    task.snapshot.approval.as_ref().map(|it| it.by.as_str())
}

fn short(sha: &str) -> String {
    sha.chars().take(7).collect()
}

/// What the sandbox was refused, as a list; empty if nothing was.
pub fn blocked(counted: &[(String, u64)]) -> String {
    let most = Blocked::most(counted, BLOCKED_NAMED);
    if most.is_empty() {
        return String::new();
    }
    text::redact(text::render("report/blocked.md", &most).trim())
}

/// The same on a line.
fn blocked_in_short(counted: &[(String, u64)]) -> String {
    let most = Blocked::most(counted, 3);
    let names: Vec<_> = most.hosts.iter().map(|it| format!("`{}`", it.host)).collect();
    let more = if most.more > 0 { format!(" and {} more", most.more) } else { String::new() };
    text::redact(&format!("{}{more}", names.join(", ")))
}

/// What was taken out of which author's texts, and what is left in their code, in sentences; empty if there is nothing.
pub fn hidden(removed: &Tally) -> String {
    /// Kinds and authors that are named.
    const MOST: usize = 4;
    let ((taken, more_taken), (left, more_left)) = (removed.largest(MOST, false), removed.largest(MOST, true));
    if taken.is_empty() && left.is_empty() {
        return String::new();
    }
    let words = json!({ "taken": taken, "more_taken": more_taken, "left": left, "more_left": more_left });
    text::render("report/hidden.md", &words).trim().to_owned()
}
