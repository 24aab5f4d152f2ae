//! `POST /webhooks/github`: signature over the raw bytes, a look at the envelope, one durable write, an answer.

use std::cell::RefCell;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use tracing::{debug, info, warn};
use uuid::Uuid;
use zstd::bulk::Compressor;

use super::event::{Names, ignorable};
use super::json::json_of;
use super::payload::Envelope;
use super::signature::is_signed;
use crate::app::App;
use crate::clock;
use crate::queue::Accepted;
use crate::store::NewDelivery;

/// GitHub caps payloads at 25 MB and does not send larger ones.
const LARGEST: usize = 25 << 20;
/// Longest that a body may take to come; GitHub itself hangs up after 10 s.
const READING: Duration = Duration::from_secs(30);
/// Longest that a body which is too large is read on.
const DRAIN: Duration = Duration::from_secs(10);
/// Larger bodies are packed on the blocking pool, so that they don't hold up small ones.
const LARGE: usize = 256 << 10;
/// zstd's fastest level: on a payload of 14 KB it saves 90 % in some 30 µs.
const LEVEL: i32 = 1;

/// The door that GitHub knocks at.
pub fn router(app: App) -> Router {
    Router::new().route("/webhooks/github", post(receive)).layer(DefaultBodyLimit::disable()).with_state(app)
}

async fn receive(State(app): State<App>, knock: Knock) -> Result<Response, Turned> {
    let Knock { guid, event, content_type, raw, envelope } = knock;
    let names = Names { mention: app.config.github.mention.clone() };
    let ignored = ignorable(&event, &envelope, &names);
    let delivery_id = Uuid::now_v7();
    let delivery = NewDelivery {
        delivery_id,
        app_id: app.config.github.app_id.unwrap_or_default() as i64,
        guid: guid.clone(),
        event: event.clone(),
        action: envelope.action,
        installation_id: envelope.installation.map(|it| it.id as i64),
        repository: envelope.repository.map(|it| it.full_name),
        content_type,
        body: pack(raw).await?,
        received_at: clock::now(),
        ignored,
    };
    let accepted = app.acceptor.accept(delivery).await.map_err(|error| {
        warn!(delivery.guid = guid, "Could not store a delivery, GitHub keeps it: {error:#}");
        Turned::NotStored
    })?;
    let (status, word) = match (accepted, ignored) {
        (Accepted::Duplicate, _) => (StatusCode::OK, "duplicate"),
        (Accepted::New, Some(_)) => (StatusCode::ACCEPTED, "ignored"),
        (Accepted::New, None) => (StatusCode::ACCEPTED, "accepted"),
    };
    match ignored {
        Some(why) => debug!(delivery.guid = guid, delivery.event = event, "Delivery {word}: {why}"),
        None => info!(delivery.guid = guid, delivery.event = event, delivery.id = %delivery_id, "Delivery {word}"),
    }
    let answer = match (accepted, ignored) {
        (Accepted::New, Some(why)) => json!({ "delivery": delivery_id, "status": word, "reason": why }),
        (Accepted::New, None) => json!({ "delivery": delivery_id, "status": word }),
        (Accepted::Duplicate, _) => json!({ "status": word }),
    };
    Ok((status, Json(answer)).into_response())
}

/// A delivery whose signature is good and whose JSON is whole.
struct Knock {
    guid: String,
    event: String,
    content_type: String,
    raw: Bytes,
    envelope: Envelope,
}

impl FromRequest<App> for Knock {
    type Rejection = Turned;

    async fn from_request(request: Request, app: &App) -> Result<Self, Turned> {
        let (parts, body) = request.into_parts();
        // Whoever does not even claim a signature gets no memory for a body.
        if !parts.headers.contains_key("x-hub-signature-256") {
            drain(body).await;
            return Err(Turned::Forged);
        }
        let reading = tokio::time::timeout(READING, read(&parts.headers, body));
        let raw = reading.await.map_err(|_| Turned::Malformed("the body did not come in time".to_owned()))??;
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
        Ok(Self { guid: guid.to_owned(), event: event.to_owned(), content_type, raw, envelope })
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Turned> {
    let announced = headers.get("content-length").and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LARGEST) {
        drain(body).await;
        return Err(Turned::TooLarge);
    }
    match Limited::new(body, LARGEST).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Turned::TooLarge),
        Err(error) => Err(Turned::Malformed(format!("the body broke off: {error}"))),
    }
}

/// Read on and keep nothing: whoever still sends would otherwise lose the connection and never see the answer.
async fn drain(mut body: Body) {
    let read_on = async {
        let mut left = 2 * LARGEST;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    let _ = tokio::time::timeout(DRAIN, read_on).await;
}

async fn pack(raw: Bytes) -> Result<Bytes, Turned> {
    let packed = if raw.len() <= LARGE {
        pack_small(&raw)
    } else {
        let pack = move || zstd::bulk::compress(&raw, LEVEL);
        tokio::task::spawn_blocking(pack).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    };
    packed.map(Bytes::from).map_err(|_| Turned::NotStored)
}

/// With a compressor that each thread keeps: to make one takes as long as to use it.
fn pack_small(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static KEPT: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| match kept {
        Some(compressor) => compressor.compress(raw),
        None => kept.insert(Compressor::new(LEVEL)?).compress(raw),
    })
}

/// Why a delivery was not taken.
enum Turned {
    Forged,
    Malformed(String),
    TooLarge,
    NotStored,
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let (status, says) = match self {
            Self::Forged => (
                StatusCode::UNAUTHORIZED,
                "the signature does not match: is the App's webhook secret in GITHUB_WEBHOOK_SECRET?".to_owned(),
            ),
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, why),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over {LARGEST} bytes")),
            Self::NotStored => (StatusCode::SERVICE_UNAVAILABLE, "could not store the delivery, send it again".into()),
        };
        (status, Json(json!({ "error": says }))).into_response()
    }
}
