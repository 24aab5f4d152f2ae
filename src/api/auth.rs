//! Who may ask: whoever holds the admin key.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::StatusCode;
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::Sha256;

use crate::app::App;

/// Proof that the caller holds the admin key.
pub struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let given = parts.headers.get("authorization").and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
        match given {
            Some(given) if is_one_of(&app.admin_keys, given) => Ok(Self),
            _ => Err(problem(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "send `Authorization: Bearer <ADMIN_API_KEY>`; the key stands in DATA_DIR/admin-api-key",
            )),
        }
    }
}

/// An error as `application/problem+json`, with a stable code and a sentence that says what to do.
pub fn problem(status: StatusCode, code: &str, says: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body =
        json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "code": code, "detail": says });
    (status, [("content-type", "application/problem+json")], Json(body)).into_response()
}

/// All are compared, so that the time tells nothing of which it was.
fn is_one_of(keys: &[SecretString], given: &str) -> bool {
    keys.iter().fold(false, |found, key| found | same(given, key.expose_secret()))
}

/// The same text, compared in a time that says nothing about where they differ.
fn same(given: &str, expected: &str) -> bool {
    let keyed =
        |text: &str| Hmac::<Sha256>::new_from_slice(b"compare").ok().map(|mac| mac.chain_update(text.as_bytes()));
    match (keyed(given), keyed(expected)) {
        (Some(given), Some(expected)) => given.verify_slice(&expected.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}
