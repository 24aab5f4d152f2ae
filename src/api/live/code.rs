//! `POST /api/code`: words and a repository in, a stream of typed events out. The task below is the one of `POST /tasks`, with
//! the same rules and budgets, and goes on without whoever listens unless they have asked for its end.

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body as Out;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;
use utoipa::{IntoParams, ToSchema};

use super::PATIENCE;
use super::hub::{Batch, Follower, Hub, Next, Ticket};
use super::typed::{self, Type};
use crate::api::auth::{Door, May, Scope, TasksWrite};
use crate::api::clean::AsItIs;
use crate::api::create::{self, Accepted, NewOrder};
use crate::api::logs::LogLine;
use crate::api::problem::{Body, Problem, Query};
use crate::api::whole::whole;
use crate::app::App;
use crate::text;

/// What is to be done, and where.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeOrder {
    /// The address of a repository that the App is installed on.
    #[serde(rename = "repoUrl")]
    #[schema(format = "uri", example = "https://github.com/octo/app")]
    pub repo_url: String,
    /// In words.
    #[schema(min_length = 1, max_length = 65_536, example = "Greet the world")]
    pub prompt: String,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Listening {
    /// Stop the task when this stream breaks off before its end; it goes on when absent.
    #[serde(default)]
    cancel_on_disconnect: bool,
}

/// Make a task and hear what happens, as server-sent events of few types: `sandbox_creating`, `repo_cloning`,
/// `agent_thinking`, `tool_read`, `tool_edit`, `tool_bash`, `git_operation`, `pr_created`, and at the end `complete` or
/// `error`. Each has JSON with the `task_id`; its id is the `seq` in the task's log, so that a client that lost the stream
/// goes on with `GET /tasks/{id}/events`. The key needs `tasks:write` and `tasks:read`.
#[utoipa::path(post, path = "/api/code", operation_id = "code", tag = "tasks", request_body = CodeOrder,
    params(Listening,
           ("idempotency-key" = Option<String>, Header, description = "Up to 255 characters of your own choice: the same request hears the same task from its beginning")),
    responses((status = 200, content_type = "text/event-stream", body = String),
              (status = "4XX", body = Problem, content_type = "application/problem+json"),
              (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn code(
    State(app): State<App>,
    may: May<TasksWrite>,
    Extension(hub): Extension<Hub>,
    Extension(door): Extension<Door>,
    Query(listening): Query<Listening>,
    headers: HeaderMap,
    Body(new): Body<CodeOrder>,
) -> Result<Response, Problem> {
    let caller = may.0;
    caller.may(Scope::TasksRead)?;
    // Before there is a task that nobody could follow.
    let ticket = Ticket::new(door, caller.clone())?;
    let order = NewOrder { prompt: new.prompt, repository_url: Some(new.repo_url), ..NewOrder::default() };
    let made = create::order(&app, &caller, &headers, "code", order).await;
    let (_, axum::Json(Accepted { task_id, url, .. })) = made.map_err(named_as_here)?;
    let cancel_by = listening.cancel_on_disconnect.then(|| caller.says());
    let follower = hub.follow(&task_id, 0, ticket).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        // nginx would gather it.
        (header::HeaderName::from_static("x-accel-buffering"), "no".to_owned()),
        (header::LOCATION, url),
    ];
    let (client, told) = mpsc::channel(1);
    tokio::spawn(Telling { app, task_id, client, cancel_by }.tell(follower));
    let told = ReceiverStream::new(told).map(Ok::<_, Infallible>);
    Ok((headers, Extension(AsItIs), Out::from_stream(told)).into_response())
}

/// What is wrong with the request, by the name that the field has here.
fn named_as_here(problem: Problem) -> Problem {
    match problem.field.as_deref() {
        Some("repository_url" | "repo") => Problem { field: Some("repoUrl".to_owned()), ..problem },
        _ => problem,
    }
}

/// A stream under way.
struct Telling {
    app: App,
    task_id: String,
    client: Sender<Bytes>,
    /// Who stops the task when nobody listens any more.
    cancel_by: Option<String>,
}

/// What has no word here begins the wait for the next sign of life anew, and so is one.
fn or_a_comment(typed: String) -> Bytes {
    match typed.is_empty() {
        true => Bytes::from_static(b": still here\n\n"),
        false => typed.into(),
    }
}

/// Nobody listens any more.
struct Left;

impl Telling {
    async fn tell(self, follower: Follower) {
        if let (Err(Left), Some(by)) = (self.tell_all(follower).await, &self.cancel_by)
            && let Err(error) = self.app.store.request_cancel(&self.task_id, by).await
        {
            warn!(task.id = self.task_id, "Could not stop a task that nobody listens to: {error}");
        }
    }

    async fn tell_all(&self, mut follower: Follower) -> Result<(), Left> {
        let task = self.app.store.task(&self.task_id).await.ok().flatten();
        let repository = task.map(|task| task.place.repository).unwrap_or_default();
        self.say(Bytes::from_static(b"retry: 1000\n\n")).await?;
        loop {
            let next = tokio::select! {
                next = follower.next() => next,
                () = self.client.closed() => return Err(Left),
            };
            match next {
                Next::Events(batch) => self.say(or_a_comment(self.typed(&batch, &repository))).await?,
                Next::Quiet => self.say(Bytes::from_static(b": still here\n\n")).await?,
                Next::End(_) => return self.say(self.end().await.into()).await,
                Next::Shut => return self.say(Bytes::from_static(b": the key was revoked or has expired\n\n")).await,
                // The task goes on: its log is followed with the id of what was heard last.
                Next::Gone(why) => return self.say(Bytes::from(format!(": {why}\n\n"))).await,
            }
        }
    }

    /// A client that takes nothing for a long time is as good as gone.
    async fn say(&self, said: Bytes) -> Result<(), Left> {
        self.client.send_timeout(said, PATIENCE).await.map_err(|_| Left)
    }

    fn typed(&self, batch: &Batch, repository: &str) -> String {
        let github = &self.app.config.github.url;
        let url = |number| github.join(&format!("{repository}/pull/{number}")).ok().map(String::from);
        let lines = batch.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
        lines
            .filter_map(|line| {
                let (kind, data) = typed::of_line(&line, url)?;
                Some(self.event(&line.seq.to_string(), kind, line.at, data))
            })
            .collect()
    }

    /// The last event.
    async fn end(&self) -> String {
        let (kind, data) = match self.app.store.task(&self.task_id).await {
            Ok(Some(task)) => match whole(&self.app, &task).await {
                Ok(view) => typed::of_end(&view),
                Err(error) => self.unknown(&error),
            },
            Ok(None) => (Type::Error, json!({ "code": "no_such_task", "message": "the task was removed" })),
            Err(error) => self.unknown(&error),
        };
        // As every other answer of this door.
        self.event("end", kind, crate::clock::now(), text::redact_json(&data, text::redact))
    }

    fn unknown(&self, error: &anyhow::Error) -> (Type, Value) {
        warn!(task.id = self.task_id, "Could not read how a task has ended: {error:#}");
        (Type::Error, json!({ "code": "unavailable", "message": "the task has ended; ask for it with its id" }))
    }

    fn event(&self, id: &str, kind: Type, at: crate::clock::Millis, mut data: Value) -> String {
        data["task_id"] = json!(self.task_id);
        data["type"] = json!(kind);
        data["at"] = json!(at);
        format!("id: {id}\nevent: {}\ndata: {data}\n\n", kind.name())
    }
}

#[cfg(test)]
mod tests {
    use super::or_a_comment;

    #[test]
    fn whatever_happens_is_a_sign_of_life() {
        assert_eq!(or_a_comment(String::new()), ": still here\n\n");
        assert_eq!(or_a_comment("id: 1\n\n".to_owned()), "id: 1\n\n");
    }
}
