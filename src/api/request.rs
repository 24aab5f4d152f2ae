//! What happens to each request, whatever it asks: it gets an id, and a line in the log.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue};
use tracing::{Instrument as _, debug, info, info_span};
use uuid::Uuid;

const ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that a caller may give.
const LONGEST: usize = 128;

/// The caller's id or a new one, in the log and in the answer.
pub async fn note(request: Request, next: Next) -> Response {
    let given = request.headers().get(&ID).and_then(|it| it.to_str().ok()).filter(|it| is_plain(it));
    let id = given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = info_span!("request", request.id = id, key = tracing::field::Empty);
    let began = Instant::now();
    let mut response = async {
        let response = next.run(request).await;
        let (status, millis) = (response.status().as_u16(), began.elapsed().as_millis());
        // Whoever tries doors that are not there should not fill the log.
        match path.starts_with("/api/") {
            true => info!("{method} {path}: {status} after {millis} ms"),
            false => debug!("{method} {path}: {status} after {millis} ms"),
        }
        response
    }
    .instrument(span)
    .await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(ID, id);
    }
    response
}

/// What can stand in a log as it is.
fn is_plain(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}
