//! What is done with a task that is there: it is stopped, done again, or gone on from.

use axum::Json;
use axum::extract::State as Shared;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Caller, May, TasksWrite};
use super::brought::{self, Brought};
use super::create::{self, Accepted};
use super::problem::{Body, BodyIfAny, Path, Problem};
use super::refused;
use super::secret::Given;
use super::tasks::seen;
use crate::app::App;
use crate::store::{Brings, Once, StoredTask};
use crate::task::{Kind, Place, State};
use crate::webhook::order::{self, Again, Wanted};

/// How to go on.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resumed {
    #[schema(min_length = 1, max_length = 65_536, example = "Say good day, too")]
    pub prompt: String,
    /// As in `POST /tasks`; needed again where the old task had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic_api_key: Option<Given>,
    /// As in `POST /tasks`; needed again where the old task had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_token: Option<Given>,
    /// As in `POST /tasks`; the old task's is not called for the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<Given>,
}

/// What is brought for doing it again. The body may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Retried {
    /// As in `POST /tasks`; needed again where the old task had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anthropic_api_key: Option<Given>,
    /// As in `POST /tasks`; needed again where the old task had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_token: Option<Given>,
    /// As in `POST /tasks`; the old task's is not called for the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_secret: Option<Given>,
}

impl Retried {
    fn brought<'a>(&'a self, words: &'a str) -> Brought<'a> {
        Brought {
            words,
            anthropic_api_key: self.anthropic_api_key.as_ref(),
            github_token: self.github_token.as_ref(),
            callback_url: self.callback_url.as_deref(),
            callback_secret: self.callback_secret.as_ref(),
        }
    }
}

type Answer = Result<(StatusCode, Json<Accepted>), Problem>;

/// Stop a task. Repeating it changes nothing.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/cancel", operation_id = "cancel_task", tag = "tasks", params(("id" = String, Path, description = "`task_id`")),
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn cancel(Shared(app): Shared<App>, may: May<TasksWrite>, Path(id): Path<String>) -> Answer {
    let task = seen(&app, &may.0, &id).await?;
    let id = task.id.to_string();
    if !task.state.is_final() {
        app.store.request_cancel(&id, &may.0.says()).await.map_err(anyhow::Error::from)?;
    }
    // It may have come to its end meanwhile.
    let task = seen(&app, &may.0, &id).await?;
    if matches!(task.state, State::Completed | State::Failed) {
        let says = format!("the task has already ended: {}; there is nothing left to stop", task.state.name());
        return Err(Problem::new(StatusCode::CONFLICT, "already_ended", says));
    }
    Ok(Accepted::new(&app, &id, task.state.name(), task.created_at))
}

/// Do the same again, with everything as it is now: a new task.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/retry", operation_id = "retry_task", tag = "tasks", request_body(content = Option<Retried>),
    params(("id" = String, Path, description = "`task_id`"),
           ("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, description = "Up to 255 ASCII characters of your own choice")),
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem, content_type = "application/problem+json"),
              (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn retry(
    Shared(app): Shared<App>,
    may: May<TasksWrite>,
    Path(id): Path<String>,
    headers: HeaderMap,
    BodyIfAny(retried): BodyIfAny<Retried>,
) -> Answer {
    let task = ended(&app, &may.0, &id).await?;
    brought::may_hear(&may.0, retried.callback_url.as_deref())?;
    let told = Retried { anthropic_api_key: None, github_token: None, callback_secret: None, ..retried.clone() };
    let once = create::once(&headers, &format!("tasks/{id}/retry"), &told)?;
    let brings = retried.brought(&task.prompt).read(&app, Some(&task))?;
    let (words, number) = (task.prompt.clone(), task.place.number);
    let terms = Terms { branch: None, budget: task.budget_asked, brings, once };
    child(&app, &may.0, Child { task, again: Again::Retry, words, number, terms }).await
}

/// Go on from a task that has ended: a new task, with the conversation of the old one, on the pull request that it has
/// opened or was about.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/resume", operation_id = "resume_task", tag = "tasks", request_body = Resumed,
    params(("id" = String, Path, description = "`task_id`"),
           ("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, description = "Up to 255 ASCII characters of your own choice")),
    responses((status = 202, body = Accepted), (status = "4XX", body = Problem, content_type = "application/problem+json"),
              (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn resume(
    Shared(app): Shared<App>,
    may: May<TasksWrite>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(resumed): Body<Resumed>,
) -> Answer {
    create::check_prompt(&resumed.prompt)?;
    brought::may_hear(&may.0, resumed.callback_url.as_deref())?;
    let task = ended(&app, &may.0, &id).await?;
    let Resumed { prompt, anthropic_api_key, github_token, callback_url, callback_secret } = resumed;
    let retried = Retried { anthropic_api_key, github_token, callback_url, callback_secret };
    let brings = retried.brought(&prompt).read(&app, Some(&task))?;
    let told = Resumed { prompt, callback_url: retried.callback_url, ..Resumed::default() };
    let once = create::once(&headers, &format!("tasks/{id}/resume"), &told)?;
    let terms = Terms { branch: None, budget: task.budget_asked, brings, once };
    go_on(&app, &may.0, task, told.prompt, terms).await
}

/// Go on from a task, for every route that can.
pub(super) async fn go_on(app: &App, caller: &Caller, task: StoredTask, words: String, terms: Terms) -> Answer {
    let number = subject(&task);
    child(app, caller, Child { task, again: Again::Resume, words, number, terms }).await
}

/// What is gone on with: the pull request that a task has opened, or else what it was about.
pub(super) fn subject(task: &StoredTask) -> u64 {
    let published = task.progress.published.as_ref().and_then(|it| it.pull);
    let opened = task.ending.as_ref().and_then(|it| it.pull).or(published).filter(|_| task.kind != Kind::Review);
    opened.unwrap_or(task.place.number)
}

/// A task that has come to its end.
pub(super) async fn ended(app: &App, caller: &Caller, id: &str) -> Result<StoredTask, Problem> {
    let task = seen(app, caller, id).await?;
    match task.state.is_final() {
        true => Ok(task),
        false => {
            let says = "the task has not ended; wait for it, or cancel it";
            Err(Problem::new(StatusCode::CONFLICT, "not_ended", says))
        }
    }
}

/// A task that is to be made of an earlier one.
struct Child {
    task: StoredTask,
    again: Again,
    words: String,
    number: u64,
    terms: Terms,
}

/// What it may cost and begin with, and what it brings.
pub(super) struct Terms {
    pub branch: Option<String>,
    pub budget: Option<i64>,
    pub brings: Brings,
    pub once: Option<Once>,
}

async fn child(app: &App, caller: &Caller, child: Child) -> Answer {
    let Child { task, again, words, number, terms } = child;
    let Terms { branch, budget, brings, once } = terms;
    let at = Place { number: 0, ..task.place.clone() };
    let wanted = Wanted {
        words,
        number: Some(number),
        pull_in: None,
        branch,
        by: caller.account(),
        order: create::of(caller, budget, Some(task.id.to_string()), brings, once),
        earlier: Some((Box::new(task), again)),
    };
    if let Some(made) = order::before(app, &wanted.order).await.map_err(|no| create::problem(no, caller))? {
        return Ok(Accepted::made(app, &made));
    }
    refused::check(caller)?;
    order::has_room(app, &wanted.by).await.map_err(|no| create::problem(no, caller))?;
    create::make(app, caller, at, wanted).await
}
