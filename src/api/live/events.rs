//! `GET /api/v1/tasks/{id}/events`: a task's log as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::{IntoParams, ToSchema};

use super::PATIENCE;
use super::hub::{Follower, Hub, Next, Ticket};
use crate::api::auth::{Door, May, TasksRead};
use crate::api::clean::AsItIs;
use crate::api::problem::{Path, Problem, Query};
use crate::api::tasks::seen;
use crate::api::values::Count;
use crate::app::App;

/// The id of the last message. A browser that comes back with it has heard everything.
const END: &str = "end";

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// Events with a larger `seq`; from the beginning when absent.
    #[param(inline)]
    pub after: Option<Count>,
}

/// One event of a stream, as clients read it from its lines.
#[derive(Debug, Deserialize, ToSchema)]
pub struct StreamEvent {
    /// The `seq` of the event in the task's log; `end` of the last one.
    pub id: String,
    /// `message`; `end` of the last one.
    pub event: String,
    /// A line of the task's log as JSON; of the last one the task's `status` and `ending`.
    pub data: String,
}

/// What happens in a task, live. Each message is an event of its log, and its id is the `seq`; the last one is named `end`.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/events", operation_id = "follow_task", tag = "tasks",
    params(("id" = String, Path, description = "`task_id`"), After,
           ("last-event-id" = Option<String>, Header, description = "The id of the last message that was heard")),
    responses((status = 200, content_type = "text/event-stream", body = StreamEvent),
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
        None => asked.after.map_or(0, |it| it.0),
    };
    let follower = hub.follow(&task.id.to_string(), after, Ticket::new(door, may.0)?).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would gather it.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let (client, told) = mpsc::channel(1);
    tokio::spawn(tell(follower, client));
    let told = ReceiverStream::new(told).map(Ok::<_, Infallible>);
    Ok((headers, Extension(AsItIs), Body::from_stream(told)).into_response())
}

/// Say what happens until the end, or until the client takes nothing any more: hyper asks for more only when the socket takes
/// it, so a client that has stopped reading would be followed for ever.
async fn tell(mut follower: Follower, client: Sender<Bytes>) {
    let mut said = Bytes::from_static(b"retry: 1000\n\n");
    loop {
        if client.send_timeout(said, PATIENCE).await.is_err() {
            return;
        }
        let next = tokio::select! {
            next = follower.next() => next,
            () = client.closed() => return,
        };
        let last = match next {
            Next::Events(batch) => {
                said = batch.sse.clone();
                continue;
            }
            Next::Quiet => {
                said = Bytes::from_static(b": still here\n\n");
                continue;
            }
            Next::End(how) => end(&how),
            Next::Shut => Bytes::from_static(b": the key was revoked or has expired\n\n"),
            // It comes back with the id of what it heard last.
            Next::Gone(why) => Bytes::from(format!(": {why}\n\n")),
        };
        let _ = client.send_timeout(last, PATIENCE).await;
        return;
    }
}

fn end(how: &Arc<str>) -> Bytes {
    Bytes::from(format!("id: {END}\nevent: {END}\ndata: {how}\n\n"))
}
