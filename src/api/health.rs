//! `/healthz` says that the process lives, `/readyz` that the database answers, and what else is well or not.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::app::App;

pub async fn alive() -> &'static str {
    "ok\n"
}

/// 200 as long as the database answers, so that GitHub is not turned away because the model is down; 503 else. On a full disk
/// it answers, and stores nothing: that is told in `parts` alone.
pub async fn ready(State(app): State<App>) -> Response {
    let database = tokio::time::timeout(Duration::from_secs(2), app.store.ping()).await;
    let database = match database {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer within 2 s".to_owned()),
    };
    let status = if database.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut parts = app.health.all();
    parts.insert("database", database);
    let all_well = parts.values().all(Option::is_none);
    let parts: BTreeMap<_, _> =
        parts.into_iter().map(|(part, wrong)| (part, wrong.unwrap_or_else(|| "ok".to_owned()))).collect();
    let word = match (status.is_success(), all_well) {
        (true, true) => "ready",
        (true, false) => "degraded",
        (false, _) => "unavailable",
    };
    (status, Json(json!({ "status": word, "parts": parts }))).into_response()
}
