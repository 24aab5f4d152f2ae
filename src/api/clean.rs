//! The last thing that happens to an answer of this door: what looks like a key is taken out, whichever route gave it. What
//! people and agents wrote stands in tasks and logs, and what is wrong with the database may quote its address.

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{StatusCode, header};
use serde_json::Value;

use super::auth::problem;
use crate::text;

/// The largest answer is a page of a log.
const LONGEST: usize = 64 << 20;

pub async fn clean(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, LONGEST).await else {
        return problem(StatusCode::INTERNAL_SERVER_ERROR, "too_large", "ask for fewer items with `limit`");
    };
    let said = String::from_utf8_lossy(&bytes);
    let clean = match serde_json::from_str::<Value>(&said) {
        Ok(value) => {
            let clean = text::redact_json(&value, text::redact);
            (clean != value).then(|| clean.to_string())
        }
        Err(_) => Some(text::redact(&said)).filter(|clean| *clean != said),
    };
    match clean {
        Some(clean) => {
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(clean))
        }
        None => Response::from_parts(parts, Body::from(bytes)),
    }
}
