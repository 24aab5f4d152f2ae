//! The last thing that happens to an answer of this door: what looks like a key is taken out, whichever route gave it. What
//! people and agents wrote stands in tasks and logs, and what is wrong with the database may quote its address.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde_json::Value;

use super::problem::Problem;
use crate::text;

/// The largest answer is a page of a log.
const LONGEST: usize = 64 << 20;

/// Marks an answer that goes out as it is: a stream, whose lines are cleaned one by one, and the one answer that is meant to
/// show a key.
#[derive(Clone, Copy)]
pub struct AsItIs;

pub async fn clean(answer: Response) -> Response {
    if answer.extensions().get::<AsItIs>().is_some() {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(bytes) = to_bytes(body, LONGEST).await else {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_large", "ask for fewer items with `limit`");
        return Problem { field: Some("limit".to_owned()), ..problem }.into_response();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_is_too_large_says_what_to_ask_for() {
        let large = clean(Response::new(Body::from(vec![b'.'; LONGEST + 1]))).await;
        assert_eq!(large.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(clean(Response::new(Body::from("small"))).await.status(), StatusCode::OK);
    }
}
