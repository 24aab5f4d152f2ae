//! Somebody who wants to be called when a task has ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use sha2::Sha256;

/// What a receiver does with a call.
#[derive(Debug, Clone)]
pub enum Does {
    Answers(u16),
    Redirects(String),
    /// Says nothing, for ever.
    Hangs,
}

/// A call, as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|it| it.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether it is signed with this secret, as receivers of GitHub's deliveries check it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let claimed = self.header("x-cloud-agent-signature-256").strip_prefix("sha256=").unwrap();
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&self.body);
        mac.verify_slice(&hex::decode(claimed).unwrap()).is_ok()
    }
}

/// A server on loopback.
pub struct Receiver {
    pub url: String,
    pub host: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    heard: Mutex<Vec<Heard>>,
    next: Mutex<VecDeque<Does>>,
}

impl Receiver {
    /// It does this first, and then answers 204.
    pub async fn that(first: &[Does]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let inner = Arc::new(Inner::default());
        inner.next.lock().unwrap().extend(first.iter().cloned());
        let router = Router::new().fallback(hear).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url: format!("http://{host}/hook?token=hidden"), host, inner }
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.inner.heard.lock().unwrap().clone()
    }
}

async fn hear(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    inner.heard.lock().unwrap().push(Heard { headers, body });
    let does = inner.next.lock().unwrap().pop_front();
    match does.unwrap_or(Does::Answers(204)) {
        Does::Answers(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Does::Redirects(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Does::Hangs => std::future::pending().await,
    }
}
