//! Tasks: the list, one, and its log.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State as Shared;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, May, TasksRead};
use super::callback::CallbackView;
use super::problem::{Path, Problem, Query};
use super::whole::whole;
use crate::app::App;
use crate::clock::Millis;
use crate::store::{Event, StoredTask, TaskQuery};
use crate::task::{Blocked, Kind, State, Trigger};
use crate::text;

/// Most items of one answer.
pub(super) const MOST: i64 = 200;

/// A task as the API shows it. Times are UTC milliseconds, money is micro-dollars.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    pub task_id: String,
    pub status: String,
    /// `issue`, `pull` or `review`; `task` without an issue or pull request.
    pub kind: String,
    /// `rate_limit`, `github`, `git`, `model` or `host`, while it waits.
    pub waits_for: Option<String>,
    pub waits_until: Option<i64>,
    /// What is wrong.
    pub waits_says: Option<String>,
    pub repository: String,
    /// The issue or pull request; 0 for a task without one.
    pub number: u64,
    /// A login, or `api:` and the name of a key.
    pub requester: String,
    /// What asked: `comment`, `opened`, `labeled`, `review_comment`, `review`, `pull`, `button` or `api`.
    #[serde(default)]
    pub source: String,
    /// The delivery that asked; empty where none did.
    #[serde(default)]
    pub delivery_id: String,
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
    /// The most that it may cost, where that is less than any run may.
    #[serde(default)]
    pub budget_micros: Option<i64>,
    pub turns: i64,
    /// The task that it repeats or goes on from.
    #[serde(default)]
    pub parent_id: Option<String>,
    /// The tasks that repeat or go on from it; not in a list of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<String>>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Connections that its sandboxes were refused; not in a list of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub blocked: Option<Blocked>,
    /// What came of it, once it is completed.
    #[serde(default)]
    pub result: Option<TaskResult>,
    /// Why nothing came of it, once it has failed.
    #[serde(default)]
    pub error: Option<TaskError>,
    /// The model was paid for with the caller's own `anthropic_api_key`.
    #[serde(default)]
    pub own_key: bool,
    /// Who hears of its end, where somebody wants to; not in a list of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackView>,
}

/// What came of a task.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskResult {
    pub summary: String,
    pub artifacts: Artifacts,
}

/// Where the work stands.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Artifacts {
    pub pr_url: Option<String>,
    pub branch: Option<String>,
    /// The newest commit on it.
    pub head: Option<String>,
    pub files: Vec<ChangedFile>,
}

/// A changed file.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangedFile {
    pub path: String,
    pub added: u64,
    pub deleted: u64,
}

/// Why a task has failed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskError {
    /// Stable; the same as `ending`.
    pub code: String,
    pub message: String,
}

/// A line of a task's log.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    pub seq: i64,
    pub at: i64,
    pub kind: String,
    #[schema(value_type = Object)]
    pub body: Value,
}

/// A page of tasks, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    pub tasks: Vec<TaskView>,
    /// How many there are in all; not when the page was asked for by `cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// Asks for the next page; null on the last one.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Some of a task's log, oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    pub events: Vec<LogLine>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// 1 to 200; 50 when absent.
    limit: Option<i64>,
    /// Tasks to leave out at the beginning. Slow when large: `cursor` is not.
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `queued`, `running`, `publishing`, `waiting`, `completed`, `failed` or `cancelled`.
    status: Option<String>,
    /// `owner/name`.
    repo: Option<String>,
    /// Login of whoever asked.
    requester: Option<String>,
    /// What asked, such as `comment` or `button`.
    source: Option<String>,
    /// Tasks made from this moment on, in UTC milliseconds.
    since: Option<Millis>,
}

/// Tasks, newest first.
#[utoipa::path(get, path = "/api/v1/tasks", operation_id = "list_tasks", tag = "tasks", params(Asked),
    responses((status = 200, body = TaskPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    Shared(app): Shared<App>,
    may: May<TasksRead>,
    Query(asked): Query<Asked>,
) -> Result<Json<TaskPage>, Problem> {
    let limit = page(asked.limit, 50)?;
    let state = asked.status.as_deref().map(|name| State::named(name).ok_or_else(|| no_such_status(name)));
    let query = TaskQuery {
        state: state.transpose()?,
        repository: asked.repo,
        requester: asked.requester,
        source: asked.source,
        since: asked.since,
        among: may.0.among().map(<[_]>::to_vec),
        before: asked.cursor.as_deref().map(read_cursor).transpose()?,
    };
    let offset = asked.offset.unwrap_or_default();
    if offset < 0 {
        return Err(Problem::invalid("offset", "give 0 or more"));
    }
    // One more than asked for: whether there is a next page.
    let mut tasks = app.store.find_tasks(&query, limit + 1, offset).await?;
    let more = tasks.len() as i64 > limit;
    tasks.truncate(limit as usize);
    let total = match asked.cursor {
        Some(_) => None,
        None => Some(app.store.count_tasks(&query).await?),
    };
    let last = tasks.last().filter(|_| more);
    Ok(Json(TaskPage {
        next_cursor: last.map(|task| format!("{}_{}", task.created_at, task.id)),
        tasks: tasks.iter().map(|task| view(&app, task)).collect(),
        total,
    }))
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}", operation_id = "get_task", tag = "tasks", params(("id" = String, Path, description = "`task_id`")),
    responses((status = 200, body = TaskView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn one(
    Shared(app): Shared<App>,
    may: May<TasksRead>,
    Path(id): Path<String>,
) -> Result<Json<TaskView>, Problem> {
    let task = seen(&app, &may.0, &id).await?;
    let callback = app.store.callback_of_task(&task.id.to_string()).await?;
    Ok(Json(TaskView { callback: callback.map(CallbackView::from), ..whole(&app, &task).await? }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogAsked {
    /// Events with a larger `seq`; the whole log when absent.
    after: Option<i64>,
    /// 1 to 200; 200 when absent.
    limit: Option<i64>,
    /// Lines for people instead of JSON; so does `accept: text/plain`.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Text,
}

/// What happened in a task, oldest first; ask again with the last `seq` for more.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/logs", operation_id = "get_task_log", tag = "tasks", params(("id" = String, Path, description = "`task_id`"), LogAsked),
    responses((status = 200, content((LogPage = "application/json"), (String = "text/plain"))),
              (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn logs(
    Shared(app): Shared<App>,
    may: May<TasksRead>,
    Path(id): Path<String>,
    Query(asked): Query<LogAsked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = page(asked.limit, MOST)?;
    let task = seen(&app, &may.0, &id).await?.id.to_string();
    let events = app.store.events(&task, asked.after.unwrap_or(0), limit).await.map_err(anyhow::Error::from)?;
    let lines = events.into_iter().map(LogLine::from);
    let accepts = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let as_text = match asked.format {
        Some(format) => format == Format::Text,
        None => accepts.starts_with("text/plain"),
    };
    if !as_text {
        return Ok(Json(LogPage { events: lines.collect() }).into_response());
    }
    let text = lines.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.text());
        text
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

/// A task that this caller may see. Of one that it may not see it learns nothing.
pub(super) async fn seen(app: &App, caller: &Caller, id: &str) -> Result<StoredTask, Problem> {
    let found = app.store.task(id).await?.filter(|task| caller.may_see(&task.place.repository));
    found.ok_or_else(|| Problem::no_such("task", "`GET /api/v1/tasks` lists the newest"))
}

/// How many items are asked for.
pub(super) fn page(limit: Option<i64>, usual: i64) -> Result<i64, Problem> {
    match limit.unwrap_or(usual) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Problem::invalid("limit", format!("give 1 to {MOST}"))),
    }
}

fn no_such_status(name: &str) -> Problem {
    let all: Vec<_> = State::ALL.iter().map(|it| it.name()).collect();
    Problem::invalid("status", format!("`{}` is none of {}", text::line(name, 40), all.join(", ")))
}

fn read_cursor(cursor: &str) -> Result<(Millis, String), Problem> {
    let read = cursor.split_once('_').and_then(|(at, id)| Some((at.parse().ok()?, id.to_owned())));
    read.ok_or_else(|| Problem::invalid("cursor", "give the `next_cursor` of the page before"))
}

/// What looks like a key is taken out here: a stream is no answer that could be looked through when it is whole.
impl From<Event> for LogLine {
    fn from(it: Event) -> Self {
        let body = serde_json::from_str(&it.body).unwrap_or(Value::Null);
        Self { seq: it.seq, at: it.at, kind: it.kind, body: text::redact_json(&body, text::redact) }
    }
}

impl LogLine {
    /// The line for people.
    pub fn text(&self) -> String {
        let brief = ["text", "brief", "step", "message"].iter().find_map(|key| self.body[*key].as_str());
        let brief = brief.map_or_else(|| self.body.to_string(), str::to_owned);
        format!("{:>4}  {:<14} {}", self.seq, self.kind, text::line(&brief, 120))
    }
}

pub(super) fn view(app: &App, task: &StoredTask) -> TaskView {
    TaskView {
        task_id: task.id.to_string(),
        status: task.state.name().to_owned(),
        kind: if task.place.has_thread() { task.kind.name() } else { "task" }.to_owned(),
        waits_for: task.waiting.on.map(|on| on.name().to_owned()),
        waits_until: task.waiting.until,
        waits_says: task.waiting.says.clone(),
        repository: task.place.repository.clone(),
        number: task.place.thread().unwrap_or_default(),
        requester: task.requester.login.clone(),
        source: source(&task.trigger).to_owned(),
        delivery_id: task.delivery_id.clone(),
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
        budget_micros: task.budget_micros,
        turns: task.turns,
        parent_id: task.parent_id.clone(),
        children: None,
        created_at: task.created_at,
        started_at: task.started_at,
        ended_at: task.ended_at,
        blocked: None,
        result: (task.state == State::Completed).then(|| result(app, task)),
        error: task
            .ending
            .as_ref()
            .filter(|_| task.state == State::Failed)
            .map(|ending| TaskError { code: ending.code.clone(), message: ending.says.clone() }),
        own_key: task.own_key,
        callback: None,
    }
}

fn result(app: &App, task: &StoredTask) -> TaskResult {
    let (work, published) = (task.progress.work.as_ref(), task.progress.published.as_ref());
    let said = task.ending.as_ref().map(|it| it.says.clone()).unwrap_or_default();
    let pull = task.ending.as_ref().and_then(|it| it.pull).or_else(|| published.and_then(|it| it.pull));
    let pull = pull.or_else(|| (task.kind != Kind::Issue).then_some(task.place.number));
    let url = |number| app.config.github.url.join(&format!("{}/pull/{number}", task.place.repository)).ok();
    let files = work.into_iter().flat_map(|work| &work.files);
    TaskResult {
        summary: work.map(|work| work.summary.clone()).filter(|it| !it.is_empty()).unwrap_or(said),
        artifacts: Artifacts {
            pr_url: pull.and_then(url).map(String::from),
            branch: published.map(|it| it.branch.clone()),
            head: published.map(|it| it.head.clone()),
            files: files
                .map(|it| ChangedFile { path: it.path.clone(), added: it.added, deleted: it.deleted })
                .collect(),
        },
    }
}

/// The word for what asked, as the store has it too.
fn source(trigger: &Trigger) -> &'static str {
    match trigger {
        Trigger::Comment { .. } => "comment",
        Trigger::Opened => "opened",
        Trigger::Labeled => "labeled",
        Trigger::ReviewComment { .. } => "review_comment",
        Trigger::Review { .. } => "review",
        Trigger::Pull => "pull",
        Trigger::Button => "button",
        Trigger::Api => "api",
    }
}
