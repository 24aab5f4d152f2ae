//! `/healthz` says that the process lives, `/readyz` that deliveries can be stored, and what else is well or not.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::app::App;

/// How often the outside is looked at; sooner while something is wrong.
const WELL: Duration = Duration::from_mins(1);
const UNWELL: Duration = Duration::from_secs(5);

pub async fn alive() -> &'static str {
    "ok\n"
}

/// 200 as long as deliveries can be stored, so that GitHub is not turned away because the model is down; 503 else.
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

/// Look at GitHub and the model for ever.
pub async fn watch(app: &App) {
    loop {
        let (github, model) = tokio::join!(app.github.powers(), app.gateway.reach());
        let wrong = [("github", github.err().map(|it| it.to_string())), ("model", model.err())];
        let pause = if wrong.iter().all(|(_, wrong)| wrong.is_none()) { WELL } else { UNWELL };
        for (part, wrong) in wrong {
            app.health.note(part, wrong.as_deref());
        }
        tokio::time::sleep(pause).await;
    }
}
