//! `POST /webhooks/github`: signature over the raw bytes, a look at the envelope, one durable write, an answer.

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::json;
use tracing::warn;
use uuid::Uuid;

use super::json::json_of;
use super::refused::{Refused, note};
use super::signature::is_signed;
use super::take::{Arrived, take};
use crate::app::App;
use crate::bodies::{self, Place, Unread, Whole};
use crate::queue::Accepted;

/// GitHub caps payloads at 25 MB and does not send larger ones.
const LARGEST: usize = 25 << 20;
/// Longest that a body which is not taken is read on.
const DRAIN: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(1);

/// The door that GitHub knocks at.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/webhooks/github", post(receive).layer(map_response_with_state(Refused::default(), note)))
        .with_state(app)
}

async fn receive(State(app): State<App>, knock: Knock) -> Result<Response, Turned> {
    // The body has its place in memory until it is stored.
    let Knock(arrived, _place) = knock;
    let (guid, delivery_id) = (arrived.guid.clone(), arrived.delivery_id);
    let taken = take(&app, arrived).await.map_err(|error| {
        warn!(delivery.guid = guid, "Could not store a delivery, GitHub keeps it: {error:#}");
        Turned::NotStored
    })?;
    let word = taken.word();
    let (status, answer) = match (taken.accepted, taken.ignored) {
        (Accepted::New, Some(why)) => {
            (StatusCode::ACCEPTED, json!({ "delivery": delivery_id, "status": word, "reason": why }))
        }
        (Accepted::New, None) => (StatusCode::ACCEPTED, json!({ "delivery": delivery_id, "status": word })),
        (Accepted::Again, _) => (StatusCode::ACCEPTED, json!({ "status": word })),
        (Accepted::Duplicate, _) => (StatusCode::OK, json!({ "status": word })),
    };
    Ok((status, Json(answer)).into_response())
}

/// A delivery whose signature is good and whose JSON is whole.
struct Knock(Arrived, Place);

impl FromRequest<App> for Knock {
    type Rejection = Turned;

    async fn from_request(request: Request, app: &App) -> Result<Self, Turned> {
        let (parts, body) = request.into_parts();
        // Whoever does not even claim a signature gets no memory for a body.
        if !parts.headers.contains_key("x-hub-signature-256") {
            drain(body).await;
            return Err(Turned::Forged);
        }
        let Whole { bytes: raw, place } = read(app, &parts.headers, body).await?;
        let header = |name: &str| parts.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
        if !is_signed(&app.secrets, &raw, header("x-hub-signature-256")) {
            return Err(Turned::Forged);
        }
        let (guid, event) = (header("x-github-delivery"), header("x-github-event"));
        if guid.is_empty() || event.is_empty() {
            return Err(Turned::Malformed("X-GitHub-Delivery or X-GitHub-Event is missing".to_owned()));
        }
        let content_type = header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let json = json_of(&content_type, &raw).map_err(Turned::Malformed)?;
        let envelope = serde_json::from_slice(&json).map_err(|error| {
            Turned::Malformed(match error.is_data() {
                true => "the JSON is no object as GitHub sends it".to_owned(),
                false => format!("no JSON: {error}"),
            })
        })?;
        let (guid, event) = (guid.to_owned(), event.to_owned());
        Ok(Self(Arrived { delivery_id: Uuid::now_v7(), guid, event, content_type, raw, envelope }, place))
    }
}

async fn read(app: &App, headers: &HeaderMap, mut body: Body) -> Result<Whole, Turned> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LARGEST) {
        drain(body).await;
        return Err(Turned::TooLarge);
    }
    match app.bodies.read(&mut body, LARGEST).await {
        Ok(whole) => Ok(whole),
        Err(Unread::Full) => {
            drain(body).await;
            Err(Turned::Full)
        }
        Err(Unread::TooLarge) => Err(Turned::TooLarge),
        Err(Unread::Late) => Err(Turned::Late),
        Err(Unread::Broken(why)) => Err(Turned::Malformed(format!("the body broke off: {why}"))),
    }
}

/// Read on and keep nothing: whoever still sends would otherwise lose the connection and never see the answer. One that pauses
/// listens.
async fn drain(mut body: Body) {
    let read_on = async {
        let mut left = 2 * LARGEST;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(PAUSE, body.frame()).await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN, read_on).await;
}

/// Why a delivery was not taken.
enum Turned {
    Forged,
    Malformed(String),
    TooLarge,
    Late,
    /// Other bodies leave no room in memory. GitHub keeps the delivery, and it is asked for when the list is looked through.
    Full,
    NotStored,
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let retry_after = matches!(self, Self::Full).then(|| [(header::RETRY_AFTER, bodies::RETRY_AFTER.to_string())]);
        let (status, says) = match self {
            Self::Forged => (
                StatusCode::UNAUTHORIZED,
                "the signature does not match: is the App's webhook secret in GITHUB_WEBHOOK_SECRET?".to_owned(),
            ),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, why),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over {LARGEST} bytes")),
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time".to_owned()),
            Self::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "more is being sent at once than fits into memory (BODIES_MB), send it again".to_owned(),
            ),
            Self::NotStored => (StatusCode::SERVICE_UNAVAILABLE, "could not store the delivery, send it again".into()),
        };
        (status, retry_after, Json(json!({ "error": says }))).into_response()
    }
}
