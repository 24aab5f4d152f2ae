//! `GET /api/v1/tasks/{id}/events`: a task's log as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::hub::{Follower, Hub, Next, Ticket};
use crate::api::auth::{Door, May, TasksRead};
use crate::api::clean::AsItIs;
use crate::api::problem::{Path, Problem, Query};
use crate::api::tasks::seen;
use crate::app::App;

/// The id of the last message. A browser that comes back with it has heard everything.
const END: &str = "end";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// Events with a larger `seq`; from the beginning when absent.
    pub after: Option<i64>,
}

/// What happens in a task, live. Each message is an event of its log, and its id is the `seq`; the last one is named `end`.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/events", operation_id = "follow_task", tag = "tasks",
    params(("id" = String, Path, description = "`task_id`"), After,
           ("last-event-id" = Option<String>, Header, description = "The id of the last message that was heard")),
    responses((status = 200, content_type = "text/event-stream", body = String),
              (status = 204, description = "All was heard, and the task has ended"),
              (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn events(
    State(app): State<App>,
    may: May<TasksRead>,
    Extension(hub): Extension<Hub>,
    Extension(door): Extension<Door>,
    Path(id): Path<String>,
    Query(asked): Query<After>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let task = seen(&app, &may.0, &id).await?;
    let last = headers.get("last-event-id").and_then(|it| it.to_str().ok()).filter(|it| !it.is_empty());
    let after = match last {
        Some(END) if task.state.is_final() => return Ok(StatusCode::NO_CONTENT.into_response()),
        Some(last) => last.parse().map_err(|_| Problem::invalid("last-event-id", "give the id of a message"))?,
        None => asked.after.unwrap_or(0),
    };
    let follower = hub.follow(&task.id.to_string(), after, Ticket::new(door, may.0)).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would gather it.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let greeting = Bytes::from_static(b"retry: 1000\n\n");
    let told = stream::unfold(Line { follower, greeting: Some(greeting), over: false }, Line::tell);
    Ok((headers, Extension(AsItIs), Body::from_stream(told)).into_response())
}

struct Line {
    follower: Follower,
    greeting: Option<Bytes>,
    over: bool,
}

impl Line {
    async fn tell(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.over {
            return None;
        }
        let said = match self.greeting.take() {
            Some(greeting) => greeting,
            None => match self.follower.next().await {
                Next::Events(batch) => batch.sse.clone(),
                Next::Quiet => Bytes::from_static(b": still here\n\n"),
                Next::End(how) => {
                    self.over = true;
                    end(&how)
                }
                Next::Shut => {
                    self.over = true;
                    Bytes::from_static(b": the key was revoked or has expired\n\n")
                }
                // It comes back with the id of what it heard last.
                Next::Gone(why) => {
                    self.over = true;
                    Bytes::from(format!(": {why}\n\n"))
                }
            },
        };
        Some((Ok(said), self))
    }
}

fn end(how: &Arc<str>) -> Bytes {
    Bytes::from(format!("id: {END}\nevent: {END}\ndata: {how}\n\n"))
}
