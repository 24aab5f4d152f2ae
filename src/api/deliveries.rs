//! Deliveries: what GitHub has told us, what was decided and why.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::auth::{Caller, DeliveriesRead, DeliveriesWrite, May};
use super::problem::{Path, Problem, Query};
use super::values::{Limit, Moment, page};
use crate::app::App;
use crate::clock::Millis;
use crate::store::{DeliveryLine, DeliveryQuery, DeliveryState};
use crate::text;
use crate::webhook::replay;

/// A delivery as the API shows it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryView {
    pub delivery_id: String,
    /// GitHub's id of it.
    pub guid: String,
    pub event: String,
    pub action: Option<String>,
    pub repository: Option<String>,
    /// `waiting`, `done`, `ignored` or `failed`.
    pub status: String,
    /// The delivery that this one replays.
    #[serde(default)]
    pub replay_of: Option<String>,
    /// Why it did what it did, or nothing.
    pub decision: Option<String>,
    pub task_id: Option<String>,
    pub received_at: Millis,
    /// What GitHub sent, for one delivery alone and while it is kept. What looks like a secret is taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct DeliveryPage {
    pub deliveries: Vec<DeliveryView>,
    /// Asks for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// 1 to 200; 50 when absent.
    #[param(inline)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    #[param(pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// What became of them.
    #[param(inline)]
    status: Option<Status>,
    /// Such as `issue_comment`.
    event: Option<String>,
    /// `owner/name`.
    repo: Option<String>,
    /// Received from this moment on, in UTC milliseconds.
    #[param(inline)]
    since: Option<Moment>,
    /// Received before this moment.
    #[param(inline)]
    until: Option<Moment>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    Waiting,
    Done,
    Ignored,
    Failed,
}

impl From<Status> for DeliveryState {
    fn from(it: Status) -> Self {
        match it {
            Status::Waiting => Self::Waiting,
            Status::Done => Self::Done,
            Status::Ignored => Self::Ignored,
            Status::Failed => Self::Failed,
        }
    }
}

/// Deliveries, newest first.
#[utoipa::path(get, path = "/api/v1/deliveries", operation_id = "list_deliveries", tag = "deliveries", params(Asked),
    responses((status = 200, body = DeliveryPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<App>,
    may: May<DeliveriesRead>,
    Query(asked): Query<Asked>,
) -> Result<Json<DeliveryPage>, Problem> {
    let is_id = |it: &str| Uuid::parse_str(it).is_ok_and(|id| id.to_string() == it);
    if asked.cursor.as_deref().is_some_and(|it| !is_id(it)) {
        return Err(Problem::invalid("cursor", "give the `next_cursor` of the page before"));
    }
    let limit = page(asked.limit, 50);
    let query = DeliveryQuery {
        id: None,
        state: asked.status.map(DeliveryState::from),
        event: asked.event,
        repository: asked.repo,
        since: asked.since.map(|it| it.0),
        until: asked.until.map(|it| it.0),
        among: may.0.among().cloned(),
        before: asked.cursor,
    };
    let mut found = app.store.find_deliveries(&query, limit + 1).await?;
    let more = found.len() as i64 > limit;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|it| it.delivery_id.clone());
    Ok(Json(DeliveryPage { deliveries: found.into_iter().map(view).collect(), next_cursor }))
}

/// One delivery, with what GitHub sent.
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", operation_id = "get_delivery", tag = "deliveries", params(("id" = String, Path, description = "`delivery_id`")),
    responses((status = 200, body = DeliveryView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn one(
    State(app): State<App>,
    may: May<DeliveriesRead>,
    Path(id): Path<String>,
) -> Result<Json<DeliveryView>, Problem> {
    let line = seen(&app, &may.0, &id).await?;
    let mut shown = view(line);
    if let Some(whole) = app.store.kept_delivery(&id).await? {
        let form = whole.content_type == "application/x-www-form-urlencoded";
        let json = match form {
            true => {
                url::form_urlencoded::parse(&whole.body).find(|(name, _)| name == "payload").map(|it| it.1.into_owned())
            }
            false => String::from_utf8(whole.body).ok(),
        };
        let payload = json.and_then(|it| serde_json::from_str(&it).ok());
        shown.payload = payload.map(|it| text::redact_json(&it, text::redact));
    }
    Ok(Json(shown))
}

/// Forget what a delivery said. That it came is kept, so that it is never taken in again.
#[utoipa::path(delete, path = "/api/v1/deliveries/{id}", operation_id = "forget_delivery", tag = "deliveries", params(("id" = String, Path, description = "`delivery_id`")),
    responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn forget(
    State(app): State<App>,
    may: May<DeliveriesWrite>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    seen(&app, &may.0, &id).await?;
    match app.store.forget_delivery(&id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let says = "the delivery waits to be looked at; try again when it has a decision";
            Err(Problem::new(StatusCode::CONFLICT, "undecided", says))
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Forgets {
    /// All that the key may see. Needed where nothing else says which, and not taken together with anything that does.
    all: Option<bool>,
    /// What became of them; one that waits is never forgotten.
    #[param(inline)]
    status: Option<Status>,
    /// Such as `issue_comment`.
    event: Option<String>,
    /// `owner/name`.
    repo: Option<String>,
    /// Received from this moment on, in UTC milliseconds.
    #[param(inline)]
    since: Option<Moment>,
    /// Received before this moment.
    #[param(inline)]
    until: Option<Moment>,
}

/// What was forgotten.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    /// Deliveries that said something until now.
    pub forgotten: u64,
}

/// Forget what many deliveries said, as for one. What waits to be looked at is left alone.
#[utoipa::path(delete, path = "/api/v1/deliveries", operation_id = "forget_deliveries", tag = "deliveries", params(Forgets),
    responses((status = 200, body = Forgotten), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn forget_many(
    State(app): State<App>,
    may: May<DeliveriesWrite>,
    Query(asked): Query<Forgets>,
) -> Result<Json<Forgotten>, Problem> {
    let query = DeliveryQuery {
        state: asked.status.map(DeliveryState::from),
        event: asked.event,
        repository: asked.repo,
        since: asked.since.map(|it| it.0),
        until: asked.until.map(|it| it.0),
        ..DeliveryQuery::default()
    };
    if query.is_all() != asked.all.unwrap_or_default() {
        let says = "say which with `status`, `event`, `repo`, `since` or `until`, or give `all=true` and none of these";
        return Err(Problem::invalid("all", says));
    }
    let query = DeliveryQuery { among: may.0.among().cloned(), ..query };
    Ok(Json(Forgotten { forgotten: app.store.forget_deliveries(&query).await? }))
}

pub(super) async fn seen(app: &App, caller: &Caller, id: &str) -> Result<DeliveryLine, Problem> {
    let found = app.store.delivery_line(id, caller.among()).await?;
    found.ok_or_else(|| Problem::no_such("delivery", "`GET /api/v1/deliveries` lists the newest"))
}

fn view(it: DeliveryLine) -> DeliveryView {
    DeliveryView {
        replay_of: replay::original(&it.guid).map(str::to_owned),
        delivery_id: it.delivery_id,
        guid: it.guid,
        event: it.event,
        action: it.action,
        repository: it.repository,
        status: it.state,
        decision: it.decision,
        task_id: it.task_id,
        received_at: it.received_at,
        payload: None,
    }
}
