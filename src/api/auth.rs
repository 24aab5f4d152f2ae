//! Who calls, what the key may do, and how often.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::{Span, warn};
use utoipa::ToSchema;

use super::problem::Problem;
use super::streams::Streams;
use crate::app::App;
use crate::store::{Among, ApiKey};
use crate::task::Account;

/// What a key may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Scope {
    #[serde(rename = "tasks:read")]
    TasksRead,
    /// Make, stop and repeat tasks.
    #[serde(rename = "tasks:write")]
    TasksWrite,
    #[serde(rename = "deliveries:read")]
    DeliveriesRead,
    #[serde(rename = "deliveries:write")]
    DeliveriesWrite,
    #[serde(rename = "usage:read")]
    UsageRead,
    /// Make and revoke keys, and so everything else.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    pub const ALL: [Self; 6] =
        [Self::TasksRead, Self::TasksWrite, Self::DeliveriesRead, Self::DeliveriesWrite, Self::UsageRead, Self::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Self::TasksRead => "tasks:read",
            Self::TasksWrite => "tasks:write",
            Self::DeliveriesRead => "deliveries:read",
            Self::DeliveriesWrite => "deliveries:write",
            Self::UsageRead => "usage:read",
            Self::Admin => "admin",
        }
    }
}

/// Who holds a key that opens.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `None` for the server's own key.
    pub key: Option<Arc<ApiKey>>,
}

impl Caller {
    /// Whoever may make keys may make one for anything: `admin` holds all scopes.
    pub fn may(&self, scope: Scope) -> Result<(), Problem> {
        let holds = |scope: Scope| match &self.key {
            None => true,
            Some(key) => key.scopes.iter().any(|it| it == scope.name()),
        };
        if holds(scope) || holds(Scope::Admin) {
            return Ok(());
        }
        let says =
            format!("this key lacks the scope `{}`: ask whoever runs the server for one that has it", scope.name());
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", says))
    }

    /// The repositories that this key is for; `None` for all.
    pub fn among(&self) -> Option<&Among> {
        self.key.as_ref()?.repositories.as_ref()
    }

    /// Whether it is for a repository; without an id, whether it is for one of that name.
    pub fn may_see(&self, id: Option<u64>, name: &str) -> bool {
        self.among().is_none_or(|them| them.has(id, name))
    }

    /// The id of the key, under which its tasks are counted.
    pub fn key_id(&self) -> &str {
        self.key.as_ref().map_or("admin", |key| &key.key_id)
    }

    /// In whose name its tasks are made.
    pub fn account(&self) -> Account {
        Account::of_key(self.key_id(), self.key.as_ref().map_or("admin", |key| &key.name))
    }

    /// How people are told who it was. Names of keys are plain words.
    pub fn says(&self) -> String {
        self.key.as_ref().map_or_else(|| "The admin key".to_owned(), |key| format!("The API key `{}`", key.name))
    }
}

/// A caller whose key has the scope that `S` names.
pub struct May<S>(pub Caller, PhantomData<S>);

/// A scope as a type, so that a handler says in its arguments what it takes.
pub trait Asks {
    const SCOPE: Scope;
}

macro_rules! asks {
    ($($name:ident)*) => {$(
        pub struct $name;
        impl Asks for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}
asks!(TasksRead TasksWrite DeliveriesRead DeliveriesWrite UsageRead Admin);

impl<S: Asks, T: Send + Sync> FromRequestParts<T> for May<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::unauthorized)?.clone();
        caller.may(S::SCOPE)?;
        Ok(Self(caller, PhantomData))
    }
}

/// Let those through who hold a key and have not asked too often.
pub async fn guard(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let caller = match door.caller(bearer(request.headers())).await {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let spent = door.rates.take(&caller);
    request.extensions_mut().insert(caller);
    let mut response = match &spent {
        Some(spent) if spent.over => spent.problem().into_response(),
        _ => next.run(request).await,
    };
    if let Some(spent) = spent {
        spent.show(response.headers_mut());
    }
    response
}

/// What a request shows as its key.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// What decides who comes in.
#[derive(Clone)]
pub struct Door {
    app: App,
    pub rates: Rates,
    pub streams: Streams,
}

impl Door {
    pub fn new(app: App) -> Self {
        Self { app, rates: Rates::default(), streams: Streams::default() }
    }

    /// Whose key this is. No key, a wrong one, one that has expired or was revoked: all the same.
    pub async fn caller(&self, given: Option<&str>) -> Result<Caller, Problem> {
        // No key has anything but printable letters; PostgreSQL takes no NUL, whoever sends one.
        let printable = given.filter(|given| !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_graphic()));
        let given = printable.ok_or_else(Problem::unauthorized)?;
        if is_one_of(&self.app.admin_keys, given) {
            Span::current().record("key", "admin");
            return Ok(Caller { key: None });
        }
        let prefix = given.get(..PREFIX).ok_or_else(Problem::unauthorized)?;
        let key = self.app.store.api_key(prefix).await?.filter(|key| same(&hash(given), &key.hash));
        let key = key.ok_or_else(Problem::unauthorized)?;
        Span::current().record("key", &key.prefix);
        if let Err(error) = self.app.store.note_use(&key).await {
            warn!("Could not note the use of a key: {error:#}");
        }
        Ok(Caller { key: Some(key.into()) })
    }

    /// Whether what opened this door once would still open it: the key is neither revoked nor expired.
    pub async fn still_opens(&self, caller: &Caller) -> Result<bool> {
        let Some(key) = &caller.key else { return Ok(true) };
        Ok(self.app.store.api_key(&key.prefix).await?.is_some_and(|it| it.key_id == key.key_id))
    }
}

/// `ca_` and the twelve characters after it find the row, and are no secret.
pub const PREFIX: usize = 15;

/// What the store keeps of a key. A plain SHA-256 is right for it: argon2 and its like make it dear to try the few words
/// that people choose, but a key has 256 random bits, which nobody tries, and a slow hash on each request would let
/// strangers spend our processor. There is no salt because no two keys are alike, and no pepper because the hash of a
/// random key tells nothing that would have to be hidden.
pub fn hash(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
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

/// Requests a minute for a key that does not say.
pub const RATE: i64 = 600;

/// A bucket for each key. They are this process's own: what a rate protects is the process, and a count in the store would
/// make a write of each read. So behind a balancer a key gets its rate from each process.
#[derive(Clone, Default)]
pub struct Rates {
    buckets: Arc<Mutex<HashMap<String, Bucket>>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

/// What is left to a key after a request.
pub struct Spent {
    limit: i64,
    left: i64,
    /// Seconds until there is one more.
    next: u32,
    over: bool,
}

impl Rates {
    /// One request, where the answer can't show what is left.
    pub fn check(&self, caller: &Caller) -> Result<(), Problem> {
        match self.take(caller) {
            Some(spent) if spent.over => Err(spent.problem()),
            _ => Ok(()),
        }
    }

    /// One request; `None` for the server's own key, which has no rate.
    pub fn take(&self, caller: &Caller) -> Option<Spent> {
        let key = caller.key.as_ref()?;
        let limit = key.rate_limit.unwrap_or(RATE).max(1);
        let (most, per_second) = (limit as f64, limit as f64 / 60.0);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        // A bucket that nobody has used for a minute is full again, and so as good as none.
        buckets.retain(|_, it| it.at.elapsed().as_secs() < 60);
        let now = Instant::now();
        let bucket = buckets.entry(key.key_id.clone()).or_insert(Bucket { left: most, at: now });
        bucket.left = (bucket.left + bucket.at.elapsed().as_secs_f64() * per_second).min(most);
        bucket.at = now;
        let over = bucket.left < 1.0;
        if !over {
            bucket.left -= 1.0;
        }
        let next = ((1.0 - bucket.left.fract()) / per_second).ceil().max(1.0);
        Some(Spent { limit, left: bucket.left as i64, next: next as u32, over })
    }
}

impl Spent {
    fn problem(&self) -> Problem {
        let says = format!("this key may ask {} times a minute; wait {} s", self.limit, self.next);
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", says);
        Problem { retry_after: Some(self.next), ..problem }
    }

    /// As the IETF's draft on rate limits has it.
    fn show(&self, headers: &mut HeaderMap) {
        let policy = format!("\"minute\";q={};w=60", self.limit);
        let left = format!("\"minute\";r={};t={}", self.left, self.next);
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", left)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}
