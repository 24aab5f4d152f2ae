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
use super::tasks::page;
use crate::app::App;
use crate::clock::Millis;
use crate::store::{DeliveryLine, DeliveryQuery};
use crate::text;

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
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `waiting`, `done`, `ignored` or `failed`.
    status: Option<String>,
    /// Such as `issue_comment`.
    event: Option<String>,
    /// `owner/name`.
    repo: Option<String>,
    /// Received from this moment on, in UTC milliseconds.
    since: Option<Millis>,
}

/// Deliveries, newest first.
#[utoipa::path(get, path = "/api/v1/deliveries", operation_id = "list_deliveries", tag = "deliveries", params(Asked),
    responses((status = 200, body = DeliveryPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(app): State<App>,
    may: May<DeliveriesRead>,
    Query(asked): Query<Asked>,
) -> Result<Json<DeliveryPage>, Problem> {
    const STATES: [&str; 4] = ["waiting", "done", "ignored", "failed"];
    if asked.status.as_deref().is_some_and(|it| !STATES.contains(&it)) {
        return Err(Problem::invalid("status", format!("give one of {}", STATES.join(", "))));
    }
    if asked.cursor.as_deref().is_some_and(|it| Uuid::parse_str(it).is_err()) {
        return Err(Problem::invalid("cursor", "give the `next_cursor` of the page before"));
    }
    let limit = page(asked.limit, 50)?;
    let query = DeliveryQuery {
        id: None,
        state: asked.status,
        event: asked.event,
        repository: asked.repo,
        since: asked.since,
        among: may.0.among().map(<[_]>::to_vec),
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

async fn seen(app: &App, caller: &Caller, id: &str) -> Result<DeliveryLine, Problem> {
    let found = app.store.delivery_line(id, caller.among()).await?;
    found.ok_or_else(|| Problem::no_such("delivery", "`GET /api/v1/deliveries` lists the newest"))
}

fn view(it: DeliveryLine) -> DeliveryView {
    DeliveryView {
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
