//! The key that a request shows: whose it is, and what it may do.

use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Caller, RATE, Scope};
use super::problem::Problem;
use crate::clock::Millis;
use crate::store::Among;

/// The key that the request has shown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnKey {
    /// `admin` for the server's own.
    pub name: String,
    /// What the key begins with; null for the server's own.
    pub prefix: Option<String>,
    pub scopes: Vec<String>,
    /// The only ones that it knows of; all when null.
    pub repositories: Option<Vec<String>>,
    /// Requests a minute; null for the server's own, which has no rate.
    pub rate_limit: Option<i64>,
    pub expires_at: Option<Millis>,
}

/// What the key of this request may do. Any key may ask.
#[utoipa::path(get, path = "/api/v1/key", operation_id = "get_own_key", tag = "keys",
    responses((status = 200, body = OwnKey), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn own(Extension(caller): Extension<Caller>) -> Json<OwnKey> {
    let key = caller.key.as_deref();
    let all = || Scope::ALL.iter().map(|it| it.name().to_owned()).collect();
    Json(OwnKey {
        name: key.map_or_else(|| "admin".to_owned(), |key| key.name.clone()),
        prefix: key.map(|key| key.prefix.clone()),
        scopes: key.map_or_else(all, |key| key.scopes.clone()),
        repositories: key.and_then(|key| key.repositories.as_ref()).map(Among::names),
        rate_limit: key.map(|key| key.rate_limit.unwrap_or(RATE)),
        expires_at: key.and_then(|key| key.expires_at),
    })
}
