//! One call to GitHub: octocrab carries it, the governor paces it, the answer is read or refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use octocrab::Octocrab;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::Error;
use crate::clock::{self, Millis};
use crate::text;

/// GitHub cuts its own API calls at 10 s; a little more for the way.
const TIMEOUT: Duration = Duration::from_secs(15);
/// A rate limit that ends within this time is waited for in place; a longer one is told to the caller.
const SHORT_WAIT: Millis = 5_000;
/// The version whose shapes we read; the newer one is tolerated. A version unknown to a host gives 400.
const API_VERSION: &str = "2022-11-28";

/// Paces the calls of one installation: writes one after another with some time between, nothing at all while GitHub
/// asks us to wait.
pub(super) struct Governor {
    last_write: Mutex<Option<Instant>>,
    silent_until: AtomicI64,
    spacing: Duration,
}

impl Governor {
    pub fn new(spacing: Duration) -> Self {
        Self { last_write: Mutex::new(None), silent_until: AtomicI64::new(0), spacing }
    }

    async fn wait(&self) -> Result<(), Error> {
        loop {
            let until = self.silent_until.load(Ordering::Relaxed);
            let left = until - clock::now();
            if left <= 0 {
                return Ok(());
            }
            if left > SHORT_WAIT {
                return Err(Error::Limited { until });
            }
            tokio::time::sleep(Duration::from_millis(left as u64)).await;
        }
    }

    fn hush(&self, until: Millis) {
        self.silent_until.fetch_max(until, Ordering::Relaxed);
    }
}

/// An answer that was read whole.
pub(super) struct Answer {
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // An empty 204 reads as null.
        let text = if self.body.is_empty() { "null" } else { &self.body };
        // Half an answer to a write says that it may have happened, so this is no mistake of ours.
        serde_json::from_str(text).map_err(|error| Error::Unreachable(format!("the answer can't be read: {error}")))
    }

    /// Where a 302 points.
    pub fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION)?.to_str().ok()
    }

    /// The next page's route, from the `Link` header: pages are followed, never built.
    pub fn next(&self, base: &str) -> Option<String> {
        let link = self.headers.get(header::LINK)?.to_str().ok()?;
        let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
        let url = next.split_once('<')?.1.split_once('>')?.0;
        // The token goes to our own API base and nowhere else.
        Some(format!("/{}", url.strip_prefix(base.trim_end_matches('/'))?.trim_start_matches('/')))
    }
}

/// What a request asks for: how it is paced, whether it may be sent again, how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    /// A read that GitHub answers with a 302 to another host, which is told and not followed.
    Elsewhere,
    /// GraphQL, where reads are POSTs too and refusals come with 200.
    Query,
    Mutation,
}

impl Kind {
    pub fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Elsewhere | Self::Query)
    }

    pub fn is_graphql(self) -> bool {
        matches!(self, Self::Query | Self::Mutation)
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask<'a> {
    pub kind: Kind,
    pub method: Method,
    pub route: &'a str,
    pub body: Option<&'a Value>,
}

impl<'a> Ask<'a> {
    pub fn get(route: &'a str) -> Self {
        Self { kind: Kind::Read, method: Method::GET, route, body: None }
    }

    pub fn elsewhere(route: &'a str) -> Self {
        Self { kind: Kind::Elsewhere, ..Self::get(route) }
    }

    pub fn write(method: Method, route: &'a str, body: Option<&'a Value>) -> Self {
        Self { kind: Kind::Write, method, route, body }
    }

    pub fn graphql(kind: Kind, body: &'a Value) -> Self {
        Self { kind, method: Method::POST, route: "/graphql", body: Some(body) }
    }

    /// The same with another route.
    pub fn to(&self, route: &'a str) -> Self {
        Self { route, ..self.clone() }
    }
}

/// Send one request under the governor of its installation (none for calls as the App).
pub(super) async fn call(client: &Octocrab, governor: Option<&Arc<Governor>>, ask: &Ask<'_>) -> Result<Answer, Error> {
    let Some(governor) = governor else {
        return send(client, ask).await;
    };
    governor.wait().await?;
    let answer = if ask.kind.reads() {
        send(client, ask).await
    } else {
        // Held during the call: GitHub asks for one write at a time and a second between two.
        let mut last = governor.last_write.lock().await;
        if let Some(last) = *last {
            tokio::time::sleep_until(last + governor.spacing).await;
        }
        governor.wait().await?;
        let answer = send(client, ask).await;
        *last = Some(Instant::now());
        answer
    };
    if let Err(Error::Limited { until }) = &answer {
        governor.hush(*until);
    }
    answer
}

async fn send(client: &Octocrab, ask: &Ask<'_>) -> Result<Answer, Error> {
    let Ask { kind, method, route, body } = ask;
    let started = Instant::now();
    let request = Request::builder()
        .method(method.clone())
        .uri(*route)
        .header(header::ACCEPT, "application/vnd.github+json")
        .header("x-github-api-version", API_VERSION);
    let request = match body {
        // The last net: whoever wrote these words should have taken our keys out already.
        Some(body) => {
            let body = text::redact_json(body, text::redact_held);
            request.header(header::CONTENT_TYPE, "application/json").body(body.to_string())
        }
        None => request.body(String::new()),
    };
    let request = request.map_err(|error| Error::Ours(format!("the route {route} can't be used: {error}")))?;
    // Boxed: it is large, and every caller's future would hold it.
    let answering = Box::pin(async {
        let response = client.execute(request).await?;
        let (parts, body) = response.into_parts();
        Ok::<_, octocrab::Error>((parts, body.collect().await?.to_bytes()))
    });
    let answered = tokio::time::timeout(TIMEOUT, answering).await;
    let (parts, bytes) = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Error::Unreachable(in_words(&error))),
        Err(_) => return Err(Error::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs()))),
    };
    let body = String::from_utf8_lossy(&bytes).into_owned();
    debug!(
        github.method = %method, github.route = route, github.status = parts.status.as_u16(),
        github.ms = started.elapsed().as_millis() as u64, "Called GitHub"
    );
    let refused = match kind {
        Kind::Elsewhere if parts.status == StatusCode::FOUND => None,
        _ if kind.is_graphql() && parts.status.is_success() => Error::read_graphql(&parts.headers, &body),
        _ => Error::read(parts.status, &parts.headers, &body),
    };
    match refused {
        Some(error) => Err(error),
        None => Ok(Answer { headers: parts.headers, body }),
    }
}

/// The whole chain: octocrab's own words stop at "Service Error".
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words.lines().next().unwrap_or_default().to_owned()
}
