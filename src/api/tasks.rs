//! Tasks, to read: the list, one, and its log.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::error;

use super::auth::{Operator, problem};
use crate::app::App;
use crate::store::StoredTask;
use crate::task::Blocked;

/// Most items of one answer.
const MOST: i64 = 200;

/// A task as the API shows it. Times are UTC milliseconds, money is micro-dollars.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskView {
    pub task_id: String,
    pub status: String,
    /// `issue`, `pull` or `review`.
    pub kind: String,
    /// `rate_limit`, `github`, `git`, `model` or `host`, while it waits.
    pub waits_for: Option<String>,
    pub waits_until: Option<i64>,
    /// What is wrong.
    pub waits_says: Option<String>,
    pub repository: String,
    pub number: u64,
    pub requester: String,
    pub prompt: String,
    /// `trusted`, `guarded` or `untrusted`, and what that rests on.
    pub lane: String,
    pub ground: Option<String>,
    /// SHA-256 of the request and of all that was stored with it when it was made.
    pub snapshot: Option<String>,
    /// The commit that the repository's settings are of.
    pub settings_commit: String,
    /// Stable code of how it ended.
    pub ending: Option<String>,
    /// What there is to know about the ending.
    pub says: Option<String>,
    pub pull: Option<u64>,
    pub branch: Option<String>,
    pub cost_micros: i64,
    pub turns: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Connections that its sandboxes were refused; not in a list of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Blocked>,
}

/// A line of a task's log.
#[derive(Debug, Serialize, Deserialize)]
pub struct LogLine {
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    pub body: Value,
}

#[derive(Debug, Deserialize)]
pub struct Page {
    limit: Option<i64>,
    after: Option<i64>,
}

pub async fn list(State(app): State<App>, _: Operator, Query(page): Query<Page>) -> Response {
    match app.store.tasks(page.limit.unwrap_or(50).clamp(1, MOST)).await {
        Ok(tasks) => Json(json!({ "tasks": tasks.iter().map(view).collect::<Vec<_>>() })).into_response(),
        Err(error) => broken(&error),
    }
}

pub async fn one(State(app): State<App>, _: Operator, Path(id): Path<String>) -> Response {
    match app.store.task(&id).await {
        Ok(Some(task)) => match app.store.blocked(&id).await {
            Ok(blocked) => Json(TaskView { blocked: Some(blocked), ..view(&task) }).into_response(),
            Err(error) => broken(&error.into()),
        },
        Ok(None) => unknown(&id),
        Err(error) => broken(&error),
    }
}

/// Events after `after`, oldest first; ask again with the last `seq` for more.
pub async fn logs(State(app): State<App>, _: Operator, Path(id): Path<String>, Query(page): Query<Page>) -> Response {
    match app.store.task(&id).await {
        Ok(Some(_)) => (),
        Ok(None) => return unknown(&id),
        Err(error) => return broken(&error),
    }
    match app.store.events(&id, page.after.unwrap_or(0), page.limit.unwrap_or(MOST).clamp(1, MOST)).await {
        Ok(events) => {
            let lines: Vec<LogLine> = events
                .into_iter()
                .map(|it| LogLine {
                    seq: it.seq,
                    at: it.at,
                    kind: it.kind,
                    body: serde_json::from_str(&it.body).unwrap_or(Value::Null),
                })
                .collect();
            Json(json!({ "events": lines })).into_response()
        }
        Err(error) => broken(&error.into()),
    }
}

fn view(task: &StoredTask) -> TaskView {
    TaskView {
        task_id: task.id.to_string(),
        status: task.state.name().to_owned(),
        kind: task.kind.name().to_owned(),
        waits_for: task.waiting.on.map(|on| on.name().to_owned()),
        waits_until: task.waiting.until,
        waits_says: task.waiting.says.clone(),
        repository: task.place.repository.clone(),
        number: task.place.number,
        requester: task.requester.login.clone(),
        prompt: task.prompt.clone(),
        lane: task.snapshot.lane.name().to_owned(),
        ground: task.snapshot.ground.map(|it| it.name().to_owned()),
        snapshot: task.snapshot_hash.clone(),
        settings_commit: task.snapshot.rules_at.clone(),
        ending: task.ending.as_ref().map(|it| it.code.clone()),
        says: task.ending.as_ref().map(|it| it.says.clone()).filter(|says| !says.is_empty()),
        pull: task.ending.as_ref().and_then(|it| it.pull),
        branch: task.progress.published.as_ref().map(|it| it.branch.clone()),
        cost_micros: task.spent_micros,
        turns: task.turns,
        created_at: task.created_at,
        started_at: task.started_at,
        ended_at: task.ended_at,
        blocked: None,
    }
}

fn unknown(id: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "no_such_task", &format!("there is no task {id}; `ca task list` shows the newest"))
}

fn broken(error: &anyhow::Error) -> Response {
    error!("The API could not read the store: {error:#}");
    problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the database did not answer, try again")
}
