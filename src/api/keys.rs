//! Keys of the API: made, listed, revoked.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::{Admin, May, PREFIX, RATE, Scope, hash};
use super::clean::AsItIs;
use super::problem::{Body, Path, Problem};
use crate::app::App;
use crate::clock::{self, Millis};
use crate::store::{Among, ApiKey, Narrowed};

/// What a new key is to be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// For people: letters, digits, spaces and `-_.`, up to 64.
    #[schema(min_length = 1, max_length = 64, example = "ci")]
    pub name: String,
    #[schema(min_items = 1, example = json!(["tasks:read", "tasks:write"]))]
    pub scopes: Vec<Scope>,
    /// `owner/name` each; the key knows nothing of any other, and follows these when they are renamed or transferred. All when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 500, example = json!(["octo/app"]))]
    pub repositories: Option<Vec<String>>,
    /// UTC milliseconds; a moment to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Millis>,
    /// Requests a minute; 600 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub rate_limit: Option<i64>,
    /// What tasks made with this key may cost within 24 hours, those that have not ended with all that they may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub budget_usd_per_day: Option<f64>,
}

/// A key as people may see it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    pub key_id: String,
    /// What the key begins with.
    pub prefix: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub repositories: Option<Vec<String>>,
    pub rate_limit: i64,
    pub budget_usd_per_day: Option<f64>,
    pub created_at: Millis,
    /// The id of the key that made it; null for the server's own.
    pub created_by: Option<String>,
    pub expires_at: Option<Millis>,
    /// To the minute.
    pub last_used_at: Option<Millis>,
}

/// A new key. This is the only time that it is shown.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct MadeKey {
    pub api_key: String,
    #[serde(flatten)]
    pub key: KeyView,
}

/// All keys.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Keys {
    pub api_keys: Vec<KeyView>,
}

/// Make a key. It is shown once.
#[utoipa::path(post, path = "/api/v1/admin/api-keys", operation_id = "create_key", tag = "keys", request_body = NewKey,
    responses((status = 201, body = MadeKey), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn create(
    State(app): State<App>,
    may: May<Admin>,
    Body(new): Body<NewKey>,
) -> Result<impl IntoResponse, Problem> {
    check(&new)?;
    let named = |name: &String| Narrowed { name: name.to_lowercase(), id: None };
    let repositories = match &new.repositories {
        Some(them) => Some(app.store.look_up(&Among(them.iter().map(named).collect())).await?),
        None => None,
    };
    loop {
        let api_key = fresh()?;
        let key = ApiKey {
            key_id: Uuid::now_v7().to_string(),
            prefix: api_key[..PREFIX].to_owned(),
            hash: hash(&api_key),
            name: new.name.trim().to_owned(),
            scopes: Scope::ALL
                .into_iter()
                .filter(|it| new.scopes.contains(it))
                .map(|it| it.name().to_owned())
                .collect(),
            repositories: repositories.clone(),
            rate_limit: new.rate_limit,
            budget_micros_per_day: new.budget_usd_per_day.map(|usd| (usd * 1e6).round() as i64),
            created_at: clock::now(),
            created_by: may.0.key.as_ref().map(|key| key.key_id.clone()),
            expires_at: new.expires_at,
            last_used_at: None,
        };
        if app.store.add_api_key(&key).await? {
            tracing::info!("Made the API key {} `{}`", key.prefix, key.name);
            let no_store = [(header::CACHE_CONTROL, "no-store")];
            return Ok((StatusCode::CREATED, no_store, Extension(AsItIs), Json(MadeKey { api_key, key: view(key) })));
        }
    }
}

/// The keys that are not revoked, newest first.
#[utoipa::path(get, path = "/api/v1/admin/api-keys", operation_id = "list_keys", tag = "keys",
    responses((status = 200, body = Keys), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(State(app): State<App>, _: May<Admin>) -> Result<Json<Keys>, Problem> {
    Ok(Json(Keys { api_keys: app.store.api_keys().await?.into_iter().map(view).collect() }))
}

/// Revoke a key. It opens nothing from now on.
#[utoipa::path(delete, path = "/api/v1/admin/api-keys/{id}", operation_id = "revoke_key", tag = "keys", params(("id" = String, Path, description = "`key_id`")),
    responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn revoke(State(app): State<App>, _: May<Admin>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    match app.store.revoke_api_key(&id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::no_such("key", "`GET /api/v1/admin/api-keys` lists them")),
    }
}

fn check(new: &NewKey) -> Result<(), Problem> {
    let name = new.name.trim();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    if name.is_empty() || name.chars().count() > 64 || !name.chars().all(plain) {
        return Err(Problem::invalid("name", "give 1 to 64 letters, digits, spaces or `-_.`"));
    }
    if new.scopes.is_empty() {
        let all: Vec<_> = Scope::ALL.iter().map(|it| it.name()).collect();
        return Err(Problem::invalid("scopes", format!("give at least one of {}", all.join(", "))));
    }
    if let Some(repositories) = &new.repositories {
        if new.scopes.contains(&Scope::Admin) {
            let says = "a key with `admin` could make itself one for all repositories; leave one of the two out";
            return Err(Problem::invalid("repositories", says));
        }
        if repositories.is_empty() || repositories.len() > 500 {
            return Err(Problem::invalid("repositories", "name 1 to 500, or leave the field out for all"));
        }
        if let Some((n, _)) = repositories.iter().enumerate().find(|(_, it)| !is_repository(it)) {
            return Err(Problem::invalid(&format!("repositories[{n}]"), "write `owner/name`"));
        }
    }
    if new.expires_at.is_some_and(|at| at <= clock::now()) {
        return Err(Problem::invalid("expires_at", "give a moment to come, in UTC milliseconds"));
    }
    if new.rate_limit.is_some_and(|it| !(1..=1_000_000).contains(&it)) {
        return Err(Problem::invalid("rate_limit", "give 1 to 1000000 requests a minute"));
    }
    if new.budget_usd_per_day.is_some_and(|it| !(0.0..=1e6).contains(&it)) {
        return Err(Problem::invalid("budget_usd_per_day", "give 0 to 1000000 US dollars"));
    }
    Ok(())
}

fn is_repository(text: &str) -> bool {
    let part = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    text.len() <= 200 && text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

/// `ca_`, 48 bits that name it, 256 that nobody guesses.
fn fresh() -> Result<String, Problem> {
    let mut random = [0; 38];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(format!("ca_{}", hex::encode(random)))
}

fn view(key: ApiKey) -> KeyView {
    KeyView {
        key_id: key.key_id,
        prefix: key.prefix,
        name: key.name,
        scopes: key.scopes,
        repositories: key.repositories.as_ref().map(Among::names),
        rate_limit: key.rate_limit.unwrap_or(RATE),
        budget_usd_per_day: key.budget_micros_per_day.map(|micros| micros as f64 / 1e6),
        created_at: key.created_at,
        created_by: key.created_by,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
    }
}
