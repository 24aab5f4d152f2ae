//! What the server sent, as lines for people. Whatever comes here is harmless to a terminal already.

use std::time::Duration;

use super::args::By;
use super::screen::{self, dim};
use crate::api::{CallbackView, DeliveryView, KeyView, ReplayView, TaskView, UsageLine};
use crate::clock;
use crate::config::Span;
use crate::text;

/// A task in a list.
pub fn row(task: &TaskView) -> String {
    let what = task.ending.as_deref().filter(|code| *code != task.status);
    let what = what.or(task.waits_for.as_deref()).unwrap_or_default();
    format!(
        "{}  {} {what:<14} {}  {}  ${}",
        task.task_id,
        padded(&task.status, 10),
        about(task),
        text::line(&task.prompt, 50),
        text::dollars(task.cost_micros)
    )
}

/// One task.
pub fn card(task: &TaskView) -> String {
    let mut lines = vec![
        format!("task     {}", task.task_id),
        format!("status   {}{}", screen::status(&task.status), waits(task)),
        format!("about    {}, asked by {}", about(task), task.requester),
        format!("prompt   {}", text::line(&task.prompt, 100)),
        format!("lane     {}{}", task.lane, task.ground.as_ref().map(|it| format!(" ({it})")).unwrap_or_default()),
        format!("cost     ${}, {} turns", text::dollars(task.cost_micros), task.turns),
    ];
    lines.extend(task.ending.as_ref().map(|ending| format!("ending   {ending}")));
    lines.extend(task.snapshot.as_ref().map(|hash| format!("snapshot {}", hash.chars().take(12).collect::<String>())));
    lines.extend(address(task).map(|url| format!("pull     {url}")));
    lines.extend(task.branch.as_ref().map(|branch| format!("branch   {branch}")));
    lines.extend(task.own_key.then(|| "key      of whoever asked".to_owned()));
    lines.extend(task.own_token.then(|| "token    of whoever asked".to_owned()));
    lines.extend(task.callback.as_ref().map(|it| format!("callback {}", callback(it))));
    if let Some(blocked) = &task.blocked {
        lines.extend(blocked.hosts.iter().map(|it| format!("refused  {} ({} times)", it.host, it.times)));
        if blocked.more > 0 {
            lines.push(format!("refused  and {} more ({} times)", blocked.more, blocked.more_times));
        }
    }
    if let Some(result) = &task.result {
        lines.extend(
            result.artifacts.files.iter().map(|it| format!("file     {} +{} -{}", it.path, it.added, it.deleted)),
        );
        lines.extend(result.artifacts.commits.iter().map(|it| {
            let sha: String = it.sha.chars().take(7).collect();
            format!("commit   {sha} {}", text::line(&it.subject, 80))
        }));
        lines.extend(result.notes.iter().map(|note| format!("note     {note}")));
        lines.extend(result.artifacts.review_url.as_ref().map(|url| format!("review   {url}")));
    }
    lines.extend(said(task).map(|says| format!("\n{says}")));
    lines.join("\n")
}

/// How whoever wants to hear of its end was called.
fn callback(it: &CallbackView) -> String {
    let tries = if it.tries == 1 { "1 try".to_owned() } else { format!("{} tries", it.tries) };
    let next = it.next_at.map(|at| format!(", again at {}", text::time_of_day(at))).unwrap_or_default();
    let says = it.says.as_ref().map(|says| format!(": {}", text::line(says, 100))).unwrap_or_default();
    format!("{} {} after {tries}{next}{says}", it.host, it.status)
}

/// What it is about: an issue, a pull request, or a repository.
fn about(task: &TaskView) -> String {
    match task.number {
        0 => task.repository.clone(),
        number => format!("{}#{number}", task.repository),
    }
}

/// How a watched task has ended, and where its work is.
pub fn ended(task: &TaskView) -> String {
    let how = task.ending.as_ref().filter(|code| **code != task.status).map(|code| format!(": {code}"));
    let took = task.ended_at.unwrap_or_default() - task.started_at.unwrap_or(task.created_at);
    let mut lines = vec![format!(
        "{}{}. {} · ${}",
        screen::status(&task.status),
        how.unwrap_or_default(),
        text::elapsed(took),
        text::dollars(task.cost_micros)
    )];
    lines.extend(said(task));
    lines.extend(address(task));
    lines.join("\n")
}

/// What there is to know of its ending.
fn said(task: &TaskView) -> Option<String> {
    let summary = task.result.as_ref().map(|it| it.summary.clone()).filter(|it| !it.is_empty());
    let error = task.error.as_ref().map(|it| it.message.clone()).filter(|it| !it.is_empty());
    summary.or(error).or_else(|| task.says.clone())
}

/// Where its work can be read.
fn address(task: &TaskView) -> Option<String> {
    let url = task.result.as_ref().and_then(|it| it.artifacts.pr_url.clone());
    url.or_else(|| task.pull.map(|pull| format!("#{pull}")))
}

/// What it waits for, and until when.
fn waits(task: &TaskView) -> String {
    let Some(on) = &task.waits_for else { return String::new() };
    let until = task.waits_until.map(|at| format!(" until {}", text::time_of_day(at))).unwrap_or_default();
    let says = task.waits_says.as_ref().map(|says| format!(": {}", text::line(says, 100))).unwrap_or_default();
    format!(" for {on}{until}{says}")
}

/// A delivery in a list.
pub fn delivery_row(it: &DeliveryView) -> String {
    let line = format!(
        "{}  {}  {} {:<28} {:<20} {}",
        it.delivery_id,
        clock::iso(it.received_at),
        padded(&it.status, 8),
        event(it),
        it.repository.as_deref().unwrap_or_default(),
        text::line(it.decision.as_deref().unwrap_or_default(), 80)
    );
    line.trim_end().to_owned()
}

/// One delivery.
pub fn delivery_card(it: &DeliveryView) -> String {
    let mut lines = vec![
        format!("delivery {}", it.delivery_id),
        format!("guid     {}", it.guid),
        format!("event    {}", event(it)),
        format!("received {}", clock::iso(it.received_at)),
        format!("status   {}", screen::status(&it.status)),
    ];
    lines.extend(it.replay_of.as_ref().map(|it| format!("replays  {it}")));
    lines.extend(it.repository.as_ref().map(|it| format!("for      {it}")));
    lines.extend(it.decision.as_ref().map(|it| format!("decision {it}")));
    lines.extend(it.task_id.as_ref().map(|it| format!("task     {it}")));
    lines.extend(it.payload.as_ref().and_then(|it| serde_json::to_string_pretty(it).ok()).map(|it| format!("\n{it}")));
    lines.join("\n")
}

/// What would come of a replay.
pub fn rehearsal(it: &ReplayView) -> String {
    format!("{}: {}", screen::status(&it.status), it.decision.as_deref().unwrap_or_default())
}

fn event(it: &DeliveryView) -> String {
    it.action.as_ref().map_or_else(|| it.event.clone(), |action| format!("{}.{action}", it.event))
}

/// A key in a list.
pub fn key_row(key: &KeyView) -> String {
    let ends = key.expires_at.map(|at| format!(", until {}", clock::iso(at))).unwrap_or_default();
    let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {}", clock::iso(at)));
    let of = key.repositories.as_ref().map(|them| format!(" of {}", them.join(", "))).unwrap_or_default();
    let (id, prefix, name) = (&key.key_id, &key.prefix, text::line(&key.name, 64));
    format!("{id}  {prefix}…  {name:<20}  {}{of}{ends}  {}", key.scopes.join(","), dim().apply_to(used))
}

/// What was used, as a table with its sum. A task counts for each model that it has used, so that these counts have none.
pub fn usage(lines: &[UsageLine], by: By) -> String {
    let counts = !matches!(by, By::Model);
    let mut sum = UsageLine { of: "all".to_owned(), ..UsageLine::default() };
    for it in lines {
        sum.tasks += it.tasks;
        sum.completed += it.completed;
        sum.failed += it.failed;
        sum.cancelled += it.cancelled;
        sum.pulls += it.pulls;
        sum.cost_micros += it.cost_micros;
        sum.own_key_cost_micros += it.own_key_cost_micros;
        sum.turns += it.turns;
        sum.tokens.input_tokens += all_in(it);
        sum.tokens.output_tokens += it.tokens.output_tokens;
    }
    let wide = lines.iter().map(|it| it.of.chars().count()).max().unwrap_or_default().max(3);
    // Averages have no sum.
    let time = |ms: Option<i64>| ms.map(text::elapsed).unwrap_or_default();
    let row = |it: &UsageLine, counts: bool| {
        let count = |n: i64| if counts { n.to_string() } else { String::new() };
        format!(
            "{:<wide$}  {:>6}  {:>9}  {:>6}  {:>9}  {:>5}  {:>6}  {:>12}  {:>11}  {:>10}  {:>10}  {:>10}  {:>10}",
            it.of,
            count(it.tasks),
            count(it.completed),
            count(it.failed),
            count(it.cancelled),
            count(it.pulls),
            count(it.turns),
            all_in(it),
            it.tokens.output_tokens,
            format!("${}", text::dollars(it.cost_micros)),
            format!("${}", text::dollars(it.own_key_cost_micros)),
            time(it.first_reaction_ms),
            time(it.pull_ms)
        )
    };
    let head = format!(
        "{:<wide$}  {:>6}  {:>9}  {:>6}  {:>9}  {:>5}  {:>6}  {:>12}  {:>11}  {:>10}  {:>10}  {:>10}  {:>10}",
        "",
        "tasks",
        "completed",
        "failed",
        "cancelled",
        "pulls",
        "turns",
        "tokens in",
        "tokens out",
        "cost",
        "own keys",
        "reaction",
        "to pull"
    );
    let mut table = vec![dim().apply_to(head).to_string()];
    table.extend(lines.iter().map(|it| row(it, true)));
    table.push(row(&sum, counts));
    table.join("\n")
}

/// All that went in, from the cache or not.
fn all_in(it: &UsageLine) -> i64 {
    it.tokens.input_tokens + it.tokens.cache_read_tokens + it.tokens.cache_write_tokens
}

/// A length of time as it is typed.
pub fn span(it: Duration) -> String {
    Span(it).to_string()
}

/// A status in its colour, in a column. Colours have no width.
fn padded(status: &str, width: usize) -> String {
    let room = width.saturating_sub(status.chars().count());
    screen::status(status) + &" ".repeat(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TokenView;

    #[test]
    fn what_models_have_used_is_added_up_and_their_tasks_are_not() {
        let line = |of: &str| UsageLine {
            of: of.to_owned(),
            tasks: 7,
            completed: 7,
            failed: 7,
            cancelled: 7,
            pulls: 7,
            cost_micros: 250_000,
            turns: 7,
            tokens: TokenView { input_tokens: 100, ..TokenView::default() },
            ..UsageLine::default()
        };
        let lines = [line("large"), line("small")];
        let sum = |by: By| {
            let table = usage(&lines, by);
            table.lines().last().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(sum(By::Model).starts_with("all 200 0 $0.50"), "{}", sum(By::Model));
        assert!(sum(By::Day).starts_with("all 14 14 14 14 14 14 200 0 $0.50"), "{}", sum(By::Day));
    }
}
