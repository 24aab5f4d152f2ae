//! The agent's own list of what it has to do, from either of Claude Code's to-do tools.
//!
//! `TodoWrite` gives the whole list with each call. `TaskCreate` and `TaskUpdate` change one entry; its number stands
//! in the tool's result, so the list has to be kept here. Both were recorded with 2.1.328 (see `command.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clip;

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Todo {
    pub text: String,
    pub state: TodoState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TodoState {
    Pending,
    Active,
    Done,
}

const MOST: usize = 100;
const LONGEST: usize = 300;

/// The list as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// By number; `TaskCreate` counts up from 1.
    tasks: BTreeMap<u64, Todo>,
    /// New titles of `TaskUpdate` calls without a result yet, by the call's id.
    titles: BTreeMap<String, String>,
}

impl Board {
    /// A tool is called. The list, if the call alone says what it becomes.
    pub fn call(&mut self, id: &str, name: &str, input: &Value) -> Option<Vec<Todo>> {
        match name {
            "TodoWrite" => {
                let todos = input["todos"].as_array()?;
                Some(todos.iter().take(MOST).filter_map(|todo| read(&todo["content"], &todo["status"])).collect())
            }
            "TaskUpdate" => {
                if let Some(title) = input["subject"].as_str().filter(|_| self.titles.len() < MOST) {
                    self.titles.insert(id.to_owned(), clip(title, LONGEST));
                }
                None
            }
            _ => None,
        }
    }

    /// A tool call has ended well, with this `tool_use_result`. The list, if that changed it.
    pub fn result(&mut self, id: &str, result: &Value) -> Option<Vec<Todo>> {
        let title = self.titles.remove(id);
        if let Some(number) = number(&result["task"]["id"]) {
            // TaskGet answers in the same shape, with a status.
            let known = self.tasks.get(&number).map(|todo| todo.state);
            let mut todo = read(&result["task"]["subject"], &result["task"]["status"])?;
            if result["task"]["status"].is_null() {
                todo.state = known.unwrap_or(TodoState::Pending);
            }
            if self.tasks.len() >= MOST && known.is_none() {
                return None;
            }
            self.tasks.insert(number, todo);
        } else if let Some(number) = number(&result["taskId"]) {
            let to = &result["statusChange"]["to"];
            if to == "deleted" {
                self.tasks.remove(&number);
            } else {
                let todo = self.tasks.get_mut(&number)?;
                todo.state = if to.is_null() { todo.state } else { state(to) };
                todo.text = title.unwrap_or_else(|| std::mem::take(&mut todo.text));
            }
        } else if let Some(tasks) = result["tasks"].as_array() {
            let entry = |task: &Value| Some((number(&task["id"])?, read(&task["subject"], &task["status"])?));
            self.tasks = tasks.iter().take(MOST).filter_map(entry).collect();
        } else {
            return None;
        }
        Some(self.tasks.values().cloned().collect())
    }
}

fn number(id: &Value) -> Option<u64> {
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

fn read(text: &Value, status: &Value) -> Option<Todo> {
    Some(Todo { text: clip(text.as_str()?, LONGEST), state: state(status) })
}

fn state(status: &Value) -> TodoState {
    match status.as_str() {
        Some("in_progress") => TodoState::Active,
        Some("completed") => TodoState::Done,
        _ => TodoState::Pending,
    }
}
