//! The words of a task's comment, pull request and check run, from templates.

use serde_json::json;

use super::View;
use crate::config::Config;
use crate::store::StoredTask;
use crate::task::{Ending, Trigger, Work};
use crate::text;

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
    let work = view.work.as_ref();
    let asked = match task.trigger {
        Trigger::Labeled => String::new(),
        _ => text::outgoing(&text::line(&task.prompt, 200)),
    };
    let body = text::render(
        "report/progress.md",
        &json!({
            "marker": marker(task),
            "task": task.id.to_string(),
            "ending": ending.map(|ending| Ending { says: says(ending), ..ending.clone() }),
            "state": view.state,
            "step": view.step,
            "asked": asked,
            "summary": work.map(|work| text::outgoing(&work.summary)).unwrap_or_default(),
            "todos": view.todos,
            "removed": hidden(view.removed),
            "elapsed": text::elapsed(view.elapsed),
            "cost": text::dollars(view.money.micros),
            "turns": view.money.turns,
            "blocked": view.blocked.iter().take(3).map(|(host, _)| format!("`{host}`")).collect::<Vec<_>>().join(", "),
            "mention": config.github.mention,
            "budget": config.runs.budget_run_usd.to_string(),
            "turns_limit": config.runs.run_turns,
            "time_limit": text::elapsed(config.runs.run_timeout.0.as_millis() as i64),
        }),
    );
    text::cut(&body, text::LONGEST_COMMENT)
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
            "number": task.place.number,
            "requester": format!("@{}", task.requester.login),
            "elapsed": text::elapsed(elapsed),
            "cost": text::dollars(money.micros),
            "turns": money.turns,
        }),
    );
    (title(task, work), text::cut(&body, text::LONGEST_COMMENT))
}

/// Title and summary of the check run.
pub fn check_words(task: &StoredTask, work: &Work, money: Money, elapsed: i64) -> (String, String) {
    let count = work.files.len();
    let title = format!("Changed {count} file{}", if count == 1 { "" } else { "s" });
    let summary = text::render(
        "report/check.md",
        &json!({
            "task": task.id.to_string(),
            "summary": text::outgoing(&work.summary),
            "verification": text::outgoing(&work.verification),
            "files": work.files,
            "blocked_hosts": work.blocked,
            "elapsed": text::elapsed(elapsed),
            "cost": text::dollars(money.micros),
            "turns": money.turns,
        }),
    );
    (title, text::cut(&summary, text::LONGEST_COMMENT))
}

/// The agent's title, or the issue's.
pub fn title(task: &StoredTask, work: &Work) -> String {
    let said = text::line(&text::outgoing(&work.title), 100);
    match said.is_empty() {
        true => text::line(&format!("Fix #{}: {}", task.place.number, task.snapshot.title), 100),
        false => said,
    }
}

/// What is known of an ending, fit to be posted. The last words of a crash stand in a fence, which they must not close.
fn says(ending: &Ending) -> String {
    match ending.code.as_str() {
        "crashed" => text::redact(&ending.says).replace("```", "'''"),
        _ => text::outgoing(&ending.says),
    }
}

fn hidden(removed: usize) -> String {
    match removed {
        0 => String::new(),
        1 => "1 hidden thing".to_owned(),
        many => format!("{many} hidden things"),
    }
}
