//! `GET /api/v1/tasks/{id}/ws`: a task's log over a WebSocket, an event a message.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::PATIENCE;
use super::events::After;
use super::hub::{Hub, Next, Ticket};
use crate::api::auth::{Caller, Door, Scope, bearer};
use crate::api::problem::{Path, Problem, Query};
use crate::api::tasks::seen;
use crate::app::App;

/// How long a client may take to show its key, and how many may be about to: anybody can open a socket.
const KEY: Duration = Duration::from_secs(10);
const KEYLESS: usize = 256;
static ABOUT_TO: Semaphore = Semaphore::const_new(KEYLESS);
/// Longest message of a client: it has only a key to say.
const LONGEST: usize = 4 << 10;

/// Close codes of ours stand for the HTTP statuses they end with.
const OURS: u16 = 4000;
const NORMAL: u16 = 1000;
const TALKS: u16 = 1008;
const AGAIN: u16 = 1013;

/// The first message, for clients that can't set headers, such as browsers.
#[derive(Deserialize)]
struct Shown {
    api_key: String,
}

/// The same as `/events` over a WebSocket: an event a message, as JSON. Without an `authorization` header the first
/// message has to be `{"api_key": "ca_…"}`. The last message has `"kind": "end"`.
#[utoipa::path(get, path = "/api/v1/tasks/{id}/ws", operation_id = "follow_task_over_websocket", tag = "tasks",
    params(("id" = String, Path, description = "`task_id`"), After), security(()),
    responses((status = 101), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn ws(
    State(app): State<App>,
    Extension(hub): Extension<Hub>,
    Extension(door): Extension<Door>,
    Path(id): Path<String>,
    Query(asked): Query<After>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let client = Client { app, hub, door, id, after: asked.after.map_or(0, |it| it.0) };
    // A header is answered like everywhere, with a status.
    let entered = match headers.contains_key("authorization") {
        true => Some(client.enter(bearer(&headers)).await?),
        false => None,
    };
    let upgrade = upgrade.map_err(|rejection| {
        let says = format!("open this as a WebSocket: {}", rejection.body_text());
        Problem::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", says)
    })?;
    Ok(upgrade.max_message_size(LONGEST).max_frame_size(LONGEST).on_upgrade(|socket| client.serve(socket, entered)))
}

struct Client {
    app: App,
    hub: Hub,
    door: Door,
    id: String,
    after: i64,
}

impl Client {
    /// The task, if the key opens and is good for it, and who came in.
    async fn enter(&self, key: Option<&str>) -> Result<(String, Caller), Problem> {
        let caller = self.door.caller(key).await?;
        self.door.rates.check(&caller)?;
        caller.may(Scope::TasksRead)?;
        let task = seen(&self.app, &caller, &self.id).await?;
        Ok((task.id.to_string(), caller))
    }

    async fn serve(self, mut socket: WebSocket, entered: Option<(String, Caller)>) {
        let (code, why) = match self.tell(&mut socket, entered).await {
            Ok(()) => (NORMAL, "the task has ended".to_owned()),
            Err(Closed::Problem(problem)) => (OURS + problem.status, problem.code),
            Err(Closed::Gone(why)) => (AGAIN, why.to_owned()),
            Err(Closed::Talks) => (TALKS, "this stream takes no more messages".to_owned()),
            Err(Closed::Left) => return,
        };
        let close = Message::Close(Some(CloseFrame { code, reason: why.into() }));
        let _ = tokio::time::timeout(PATIENCE, socket.send(close)).await;
    }

    async fn tell(&self, socket: &mut WebSocket, entered: Option<(String, Caller)>) -> Result<(), Closed> {
        let (task, caller) = match entered {
            Some(entered) => entered,
            None => {
                let Ok(_turn) = ABOUT_TO.try_acquire() else { return Err(Closed::Gone("too many come without a key")) };
                self.enter(key(socket).await.as_deref()).await.map_err(Closed::Problem)?
            }
        };
        let ticket = Ticket::new(self.door.clone(), caller).map_err(Closed::Problem)?;
        let follower = self.hub.follow(&task, self.after, ticket).await;
        let mut follower = follower.map_err(|error| Closed::Problem(error.into()))?;
        loop {
            let next = {
                // Held on to, whatever the client says meanwhile: what it waits for may be whether its key still opens.
                let next = follower.next();
                tokio::pin!(next);
                loop {
                    tokio::select! {
                        next = &mut next => break next,
                        // Clients have nothing to say but that they leave; pings are answered by the socket itself.
                        said = socket.recv() => match said {
                            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Closed::Left),
                            Some(Ok(Message::Text(_) | Message::Binary(_))) => return Err(Closed::Talks),
                            Some(Ok(_)) => (),
                        },
                    }
                }
            };
            match next {
                Next::Events(batch) => {
                    for line in batch.lines() {
                        send(socket, Message::text(line)).await?;
                    }
                }
                Next::Quiet => send(socket, Message::Ping(bytes::Bytes::new())).await?,
                Next::End(how) => {
                    return send(socket, Message::text(format!("{{\"kind\":\"end\",\"body\":{how}}}"))).await;
                }
                Next::Shut => return Err(Closed::Problem(Problem::unauthorized())),
                Next::Gone(why) => return Err(Closed::Gone(why)),
            }
        }
    }
}

/// Why a socket is closed before the task's end.
enum Closed {
    Problem(Problem),
    Gone(&'static str),
    /// It goes on talking after it has shown its key.
    Talks,
    Left,
}

/// A client that does not take a message in time is let go.
async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Closed> {
    match tokio::time::timeout(PATIENCE, socket.send(message)).await {
        Ok(sent) => sent.map_err(|_| Closed::Left),
        Err(_) => Err(Closed::Gone("the client is too slow")),
    }
}

/// The key that the first message shows.
async fn key(socket: &mut WebSocket) -> Option<String> {
    let said = tokio::time::timeout(KEY, socket.recv()).await.ok()??.ok()?;
    serde_json::from_str::<Shown>(said.to_text().ok()?).ok().map(|it| it.api_key)
}
