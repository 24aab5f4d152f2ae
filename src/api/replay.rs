//! `POST /api/v1/deliveries/{id}/replay`: what GitHub has told us, judged once more.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{DeliveriesWrite, May, Scope};
use super::create;
use super::deliveries::seen;
use super::problem::{Path, Problem, Query};
use crate::app::App;
use crate::webhook::replay as again;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Say what would be decided and why, and do nothing.
    dry_run: Option<bool>,
}

/// What comes of a replay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayView {
    /// The delivery that is replayed.
    pub replay_of: String,
    /// The new delivery; null where nothing was done.
    pub delivery_id: Option<String>,
    pub dry_run: bool,
    /// `waiting`, `done`, `ignored` or `failed`: of the new delivery, or what it would be.
    pub status: String,
    /// What was decided, or would be.
    pub decision: Option<String>,
}

/// Handle a delivery once more, by the rules and against the facts of now, as a new delivery. What was asked in it makes no
/// second task before the first has ended, and what people were told is not told again. A dry run does nothing; anything
/// else needs `tasks:write` besides `deliveries:write`.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/replay", operation_id = "replay_delivery", tag = "deliveries",
    params(("id" = String, Path, description = "`delivery_id`"), Asked),
    responses((status = 200, description = "What a dry run has found", body = ReplayView),
              (status = 202, description = "It waits for its turn", body = ReplayView),
              (status = "4XX", body = Problem, content_type = "application/problem+json"),
              (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn replay(
    State(app): State<App>,
    may: May<DeliveriesWrite>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<(StatusCode, Json<ReplayView>), Problem> {
    // What was asked in it may become a task.
    if !asked.dry_run.unwrap_or_default() {
        may.0.may(Scope::TasksWrite)?;
    }
    let line = seen(&app, &may.0, &id).await?;
    let conflict = |code: &str, says: &str| Problem::new(StatusCode::CONFLICT, code, says);
    let Some(whole) = app.store.kept_delivery(&id).await? else {
        let says =
            "what GitHub sent is not kept any more; ask GitHub for it again on the App's page, *Advanced*, *Redeliver*";
        return Err(conflict("body_gone", says));
    };
    if asked.dry_run.unwrap_or_default() {
        // Boxed: looking at what it is about is a large future.
        let decided = Box::pin(again::rehearse(&app, &whole)).await.map_err(|no| create::problem(no, &may.0))?;
        let (status, decision) = (decided.state.name().to_owned(), Some(decided.decision));
        let view = ReplayView { replay_of: id, delivery_id: None, dry_run: true, status, decision };
        return Ok((StatusCode::OK, Json(view)));
    }
    if line.state == "waiting" {
        return Err(conflict("undecided", "the delivery waits to be looked at; try again when it has a decision"));
    }
    let new = again::replay(&app, whole).await?;
    let made = seen(&app, &may.0, &new).await?;
    tracing::info!(delivery.id = new, "Replays the delivery {id}");
    let view = ReplayView {
        replay_of: id,
        delivery_id: Some(new),
        dry_run: false,
        status: made.state,
        decision: made.decision,
    };
    Ok((StatusCode::ACCEPTED, Json(view)))
}
