//! A task while it is watched: what is known of it, and the few lines that show it.

use console::{Style, truncate_str};
use serde::Deserialize;
use serde_json::Value;

use super::screen;
use crate::api::{LogLine, TaskView};
use crate::clock::Millis;
use crate::text;

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// Lines of the checklist that are shown at once.
const MOST: usize = 8;

/// What is known of a task.
#[derive(Debug, Default)]
pub struct Picture {
    status: String,
    /// What it waits for.
    waits: String,
    /// What the run or the agent does now.
    does: String,
    todos: Vec<Todo>,
    cost_micros: i64,
    since: Option<Millis>,
    /// Why the server is not heard.
    pub lost: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Todo {
    text: String,
    /// `pending`, `active` or `done`.
    state: String,
}

impl Picture {
    /// The task itself, as the server has it.
    pub fn update(&mut self, task: &TaskView) {
        self.status.clone_from(&task.status);
        self.waits = task.waits_for.as_ref().map(|on| format!("for {on}")).unwrap_or_default();
        self.cost_micros = self.cost_micros.max(task.cost_micros);
        self.since = task.started_at.or(Some(task.created_at));
    }

    /// Something that happened in it.
    pub fn hear(&mut self, event: &LogLine) {
        match event.kind.as_str() {
            "todos" => {
                if let Ok(todos) = Vec::<Todo>::deserialize(&event.body["todos"]) {
                    self.todos = todos;
                }
            }
            "text" | "tool" | "run" => {
                let said = ["brief", "text"].iter().find_map(|key| event.body[*key].as_str());
                if let Some(said) = said.map(str::trim).filter(|it| !it.is_empty()) {
                    self.does = text::line(said, 200);
                }
            }
            "result" => {
                // The whole task's cost is the server's to say; this is heard sooner.
                self.cost_micros = self.cost_micros.max(event.body["cost_micros"].as_i64().unwrap_or_default());
            }
            _ => (),
        }
        if self.status.is_empty() || self.status == "queued" {
            "running".clone_into(&mut self.status);
        }
    }

    /// The lines to draw, each no wider than the terminal.
    pub fn lines(&self, frame: usize, width: usize, now: Millis) -> Vec<String> {
        let spinner = Style::new().cyan().apply_to(SPINNER[frame % SPINNER.len()]);
        let status = if self.status.is_empty() { "queued" } else { &self.status };
        let mut first = vec![screen::status(status) + &before(" ", &self.waits)];
        first.extend(self.checked());
        first.extend(self.since.map(|since| text::elapsed(now - since)));
        first.push(format!("${}", text::dollars(self.cost_micros)));
        let mut lines = vec![format!("{spinner} {}", first.join(" · "))];
        lines.extend(self.checklist());
        match &self.lost {
            Some(why) => {
                lines.push(Style::new().yellow().apply_to(format!("  not connected: {why}; trying again")).to_string());
            }
            None if !self.does.is_empty() => lines.push(screen::dim().apply_to(format!("  {}", self.does)).to_string()),
            None => (),
        }
        lines.iter().map(|line| truncate_str(&line.replace('\t', " "), width, "…").into_owned()).collect()
    }

    /// How much of the list is done.
    fn checked(&self) -> Option<String> {
        let done = self.todos.iter().filter(|it| it.state == "done").count();
        (!self.todos.is_empty()).then(|| format!("{done}/{}", self.todos.len()))
    }

    /// The list around what is being done.
    fn checklist(&self) -> Vec<String> {
        let begun = self.todos.iter().position(|it| it.state != "done").unwrap_or(self.todos.len());
        let from = begun.saturating_sub(MOST / 2).min(self.todos.len().saturating_sub(MOST));
        let shown = self.todos.iter().skip(from).take(MOST).map(|todo| {
            let what = text::line(&todo.text, 200);
            match todo.state.as_str() {
                "done" => format!("  {} {}", Style::new().green().apply_to("✓"), screen::dim().apply_to(what)),
                "active" => format!("  {} {what}", Style::new().cyan().apply_to("▸")),
                _ => format!("  {} {what}", screen::dim().apply_to("·")),
            }
        });
        shown.collect()
    }
}

fn before(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

/// A line of the log for people, with the agent's list in words.
pub fn log_line(event: &LogLine) -> String {
    match (event.kind.as_str(), &event.body["todos"]) {
        ("todos", Value::Array(todos)) => {
            let is = |state: &'static str| todos.iter().filter(move |it| it["state"] == state);
            let now = is("active").next().and_then(|it| it["text"].as_str()).unwrap_or_default();
            let text = format!("{}/{} done{}", is("done").count(), todos.len(), before(": ", now));
            LogLine { body: serde_json::json!({ "text": text }), kind: event.kind.clone(), ..*event }.text()
        }
        _ => event.text(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use serde_json::json;

    use super::*;

    fn event(kind: &str, body: Value) -> LogLine {
        LogLine { seq: 1, at: 0, kind: kind.to_owned(), body }
    }

    fn drawn(picture: &Picture, width: usize) -> String {
        let lines = picture.lines(0, width, 65_000);
        lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_watched_task_shows_its_list_its_cost_and_what_it_does() {
        let mut picture = Picture { since: Some(0), ..Picture::default() };
        assert_eq!(drawn(&picture, 80), "⠋ queued · 1 min 5 s · $0.00");
        picture.hear(&event("run", json!({ "text": "checkout 4711" })));
        let todos: Vec<_> = (0..12)
            .map(|n| json!({ "text": format!("step {n}"), "state": match n { 0..7 => "done", 7 => "active", _ => "pending" } }))
            .collect();
        picture.hear(&event("todos", json!({ "todos": todos })));
        picture.hear(&event("tool", json!({ "brief": "Bash: sh test.sh\nmore" })));
        picture.hear(&event("result", json!({ "cost_micros": 420_000 })));
        let list = "  ✓ step 3\n  ✓ step 4\n  ✓ step 5\n  ✓ step 6\n  ▸ step 7\n  · step 8\n  · step 9\n  · step 10";
        let first = "⠋ running · 7/12 · 1 min 5 s · $0.42";
        assert_eq!(drawn(&picture, 80), format!("{first}\n{list}\n  Bash: sh test.sh…"));
        picture.lost = Some("the server closed the connection".to_owned());
        let (first, last) = ("⠋ running · 7/12 · 1 min 5 s …", "  not connected: the server c…");
        assert_eq!(drawn(&picture, 30), format!("{first}\n{list}\n{last}"));
    }

    #[test]
    fn the_list_is_one_line_of_the_log() {
        let todos = json!({ "todos": [{ "text": "read", "state": "done" }, { "text": "write", "state": "active" }] });
        assert_eq!(log_line(&event("todos", todos)).trim(), "1  todos          1/2 done: write");
        assert_eq!(log_line(&event("text", json!({ "text": "Hello." }))).trim(), "1  text           Hello.");
    }
}
