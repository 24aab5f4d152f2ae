//! Tasks: the list, and one.

use axum::Json;
use axum::extract::State as Shared;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{Caller, May, TasksRead};
use super::callback::CallbackView;
use super::problem::{Path, Problem, Query};
use super::result::{self, TaskError, TaskResult};
use super::usage::TokenView;
use super::values::{Count, Limit, Moment, TaskSource, TaskStatus, page};
use super::whole::whole;
use crate::app::App;
use crate::clock::Millis;
use crate::store::{StoredTask, TaskQuery};
use crate::task::{Blocked, TaskId, Trigger};

/// Bytes of all prompts on a page. JSON may write each as six.
const LARGEST: usize = 8 << 20;

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
    /// What it has used of the model, the dearest first; not in a list of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<ModelUse>>,
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
    /// What it does on GitHub it does with the caller's own `github_token`, in the name of the person whose that is.
    #[serde(default)]
    pub own_token: bool,
    /// Who hears of its end, where somebody wants to; not in a list of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackView>,
}

/// What a task has used of one model.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ModelUse {
    /// As it was asked for.
    pub model: String,
    #[serde(flatten)]
    pub tokens: TokenView,
    pub cost_micros: i64,
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// 1 to 200; 50 when absent. A page of long prompts has fewer.
    #[param(inline)]
    limit: Option<Limit>,
    /// Tasks to leave out at the beginning. Slow when large: `cursor` is not.
    #[param(inline)]
    offset: Option<Count>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9]{1,15}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// Where they stand.
    #[param(inline)]
    status: Option<TaskStatus>,
    /// `owner/name`.
    repo: Option<String>,
    /// Login of whoever asked.
    requester: Option<String>,
    /// What asked.
    #[param(inline)]
    source: Option<TaskSource>,
    /// Tasks made from this moment on, in UTC milliseconds.
    #[param(inline)]
    since: Option<Moment>,
}

/// Tasks, newest first.
#[utoipa::path(get, path = "/api/v1/tasks", operation_id = "list_tasks", tag = "tasks", params(Asked),
    responses((status = 200, body = TaskPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    Shared(app): Shared<App>,
    may: May<TasksRead>,
    Query(asked): Query<Asked>,
) -> Result<Json<TaskPage>, Problem> {
    let limit = page(asked.limit, 50);
    let query = TaskQuery {
        state: asked.status.map(|it| it.0),
        repository: asked.repo,
        requester: asked.requester,
        source: asked.source.map(|it| it.0.to_owned()),
        since: asked.since.map(|it| it.0),
        among: may.0.among().cloned(),
        before: asked.cursor.as_deref().map(read_cursor).transpose()?,
    };
    let offset = asked.offset.map_or(0, |it| it.0);
    // One more than asked for: whether there is a next page.
    let mut tasks = app.store.find_tasks(&query, limit + 1, offset).await?;
    let fits = fitting(tasks.iter().map(|task| task.prompt.len())).min(limit as usize);
    let more = tasks.len() > fits;
    tasks.truncate(fits);
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

/// How many of these prompts stand on one page: as many as its answer has room for, and one at least.
fn fitting(prompts: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    prompts
        .enumerate()
        .take_while(|(at, prompt)| {
            bytes += prompt;
            *at == 0 || bytes <= LARGEST
        })
        .count()
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

/// A task that this caller may see. Of one that it may not see it learns nothing.
pub(super) async fn seen(app: &App, caller: &Caller, id: &str) -> Result<StoredTask, Problem> {
    let found =
        app.store.task(id).await?.filter(|task| caller.may_see(Some(task.place.repository_id), &task.place.repository));
    found.ok_or_else(|| Problem::no_such("task", "`GET /api/v1/tasks` lists the newest"))
}

fn read_cursor(cursor: &str) -> Result<(Millis, String), Problem> {
    let digits = |it: &&str| (1..=15).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_digit());
    let read = cursor.split_once('_').and_then(|(at, id)| {
        let at = Some(at).filter(digits)?.parse().ok()?;
        // In the one form that it was given out in.
        Some((at, id.parse::<TaskId>().ok()?.to_string())).filter(|it| it.1 == id)
    });
    read.ok_or_else(|| Problem::invalid("cursor", "give the `next_cursor` of the page before"))
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
        models: None,
        blocked: None,
        result: result::of(app, task),
        error: result::error(app, task),
        own_key: task.own_key,
        own_token: task.own_token,
        callback: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::values::SOURCES;

    #[test]
    fn a_page_has_as_many_prompts_as_there_is_room_for() {
        let of = |size: usize| fitting(std::iter::repeat_n(size, 201));
        assert_eq!((of(100), of(LARGEST / 4), of(LARGEST), of(LARGEST + 1)), (201, 4, 1, 1));
        assert_eq!(fitting(std::iter::empty()), 0);
    }

    #[test]
    fn every_source_can_be_asked_for() {
        let all = [
            Trigger::Comment { id: 1 },
            Trigger::Opened,
            Trigger::Labeled,
            Trigger::ReviewComment { id: 1, thread: 1 },
            Trigger::Review { id: 1 },
            Trigger::Pull,
            Trigger::Button,
            Trigger::Api,
        ];
        assert_eq!(all.each_ref().map(source), SOURCES);
    }
}
