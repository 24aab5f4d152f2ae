//! A task's log in the words of `POST /api/code`: few types of events, each with what a program wants to show.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::api::logs::LogLine;
use crate::api::tasks::TaskView;
use crate::task::State;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// The cage that the agent works in is made.
    SandboxCreating,
    /// The repository is fetched and checked out.
    RepoCloning,
    /// The agent begins, says something, changes its list, or uses a tool without a type of its own; the task waits.
    AgentThinking,
    ToolRead,
    ToolEdit,
    ToolBash,
    /// git at work: the agent's, or what is pushed for it.
    GitOperation,
    PrCreated,
    /// The task is completed; `task` has what came of it.
    Complete,
    /// The task has failed or was cancelled; `code` and `message` say why.
    Error,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Self::SandboxCreating => "sandbox_creating",
            Self::RepoCloning => "repo_cloning",
            Self::AgentThinking => "agent_thinking",
            Self::ToolRead => "tool_read",
            Self::ToolEdit => "tool_edit",
            Self::ToolBash => "tool_bash",
            Self::GitOperation => "git_operation",
            Self::PrCreated => "pr_created",
            Self::Complete => "complete",
            Self::Error => "error",
        }
    }
}

/// What an event of the log is, if it is one of these. `pull_url` makes an address of a pull request's number.
pub fn of_line(line: &LogLine, pull_url: impl Fn(u64) -> Option<String>) -> Option<(Type, Value)> {
    let body = &line.body;
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    match line.kind.as_str() {
        "run" => of_step(text("step"), text("message"), pull_url),
        "text" => Some((Type::AgentThinking, json!({ "text": text("text") }))),
        "todos" => Some((Type::AgentThinking, json!({ "todos": body["todos"] }))),
        "tool" => Some(of_tool(text("name"), text("brief"))),
        _ => None,
    }
}

/// A step of ours.
fn of_step(step: &str, message: &str, pull_url: impl Fn(u64) -> Option<String>) -> Option<(Type, Value)> {
    let kind = match step {
        "checkout" => Type::RepoCloning,
        "sandbox" => Type::SandboxCreating,
        "agent" | "waiting" => Type::AgentThinking,
        "branch" | "rebase" | "aside" => Type::GitOperation,
        "pull_request" => {
            let number: u64 = message.trim_start_matches('#').parse().ok()?;
            return Some((Type::PrCreated, json!({ "number": number, "url": pull_url(number) })));
        }
        _ => return None,
    };
    Some((kind, json!({ "step": step, "message": message })))
}

/// A tool that the agent uses. `brief` has its name before what it is used on.
fn of_tool(name: &str, brief: &str) -> (Type, Value) {
    let on = brief.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or_default();
    match name {
        "Read" => (Type::ToolRead, json!({ "tool": name, "path": on })),
        "Glob" | "Grep" | "LS" => (Type::ToolRead, json!({ "tool": name, "pattern": on })),
        "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => (Type::ToolEdit, json!({ "tool": name, "path": on })),
        "Bash" if is_git(on) => (Type::GitOperation, json!({ "tool": name, "command": on })),
        "Bash" => (Type::ToolBash, json!({ "tool": name, "command": on })),
        _ => (Type::AgentThinking, json!({ "tool": name, "text": brief })),
    }
}

/// Whether a command begins with git.
fn is_git(command: &str) -> bool {
    command.split_whitespace().next() == Some("git")
}

/// How the task has ended.
pub fn of_end(task: &TaskView) -> (Type, Value) {
    if task.status == State::Completed.name() {
        return (Type::Complete, json!({ "task": task }));
    }
    let code = task.ending.as_deref().unwrap_or(&task.status);
    let message = task.says.as_deref().unwrap_or_default();
    (Type::Error, json!({ "code": code, "message": message, "task": task }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_log_have_types() {
        let check = |kind: &str, body: Value, expected: Option<(Type, Value)>| {
            let line = LogLine { seq: 1, at: 0, kind: kind.to_owned(), body };
            let url = |number| Some(format!("https://github.com/o/r/pull/{number}"));
            assert_eq!(of_line(&line, url), expected, "{line:?}");
        };
        let step = |step: &str, message: &str| json!({ "step": step, "message": message });
        let tool = |name: &str, brief: &str| json!({ "name": name, "brief": brief, "id": "t" });
        check("run", step("checkout", "abc"), Some((Type::RepoCloning, step("checkout", "abc"))));
        check("run", step("sandbox", "local"), Some((Type::SandboxCreating, step("sandbox", "local"))));
        check("run", step("branch", "x pushed"), Some((Type::GitOperation, step("branch", "x pushed"))));
        let url = "https://github.com/o/r/pull/7";
        check("run", step("pull_request", "#7"), Some((Type::PrCreated, json!({ "number": 7, "url": url }))));
        check("run", step("told", ""), None);
        check("tool_result", json!({}), None);
        check("text", json!({ "text": "Hm." }), Some((Type::AgentThinking, json!({ "text": "Hm." }))));
        for (name, brief, kind, key, on) in [
            ("Read", "Read: src/a.rs", Type::ToolRead, "path", "src/a.rs"),
            ("Grep", "Grep: fn main", Type::ToolRead, "pattern", "fn main"),
            ("Edit", "Edit: src/a.rs", Type::ToolEdit, "path", "src/a.rs"),
            ("Write", "Write", Type::ToolEdit, "path", ""),
            ("Bash", "Bash: sh test.sh", Type::ToolBash, "command", "sh test.sh"),
            ("Bash", "Bash: git commit -m x", Type::GitOperation, "command", "git commit -m x"),
            ("Bash", "Bash: github-cli", Type::ToolBash, "command", "github-cli"),
            ("Task", "Task: look around", Type::AgentThinking, "text", "Task: look around"),
        ] {
            check("tool", tool(name, brief), Some((kind, json!({ "tool": name, key: on }))));
        }
    }
}
