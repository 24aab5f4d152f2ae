//! One call to GitHub: octocrab carries it, the governor paces it, the answer is read or refused.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use octocrab::Octocrab;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use super::Error;
use super::cache::{Cache, Whose};
use super::governor::Governor;
use crate::text;

/// GitHub cuts its own API calls at 10 s; a little more for the way.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The version whose shapes we read; the newer one is tolerated. A version unknown to a host gives 400.
const API_VERSION: &str = "2022-11-28";

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
        self.link(base, "next")
    }

    /// The route of another page: `next`, `prev` or `last`.
    pub fn link(&self, base: &str, rel: &str) -> Option<String> {
        let link = self.headers.get(header::LINK)?.to_str().ok()?;
        let named = format!("rel=\"{rel}\"");
        let part = link.split(',').find(|part| part.contains(&named))?;
        let url = part.split_once('<')?.1.split_once('>')?.0;
        // The token goes to our own API base and nowhere else.
        Some(format!("/{}", url.strip_prefix(base.trim_end_matches('/'))?.trim_start_matches('/')))
    }
}

/// What a request asks for: how it is paced, whether it may be sent again, how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    /// A new token: a POST that changes nothing which anybody sees.
    Token,
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

    /// Whether it stands in the line of writes.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Mutation)
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

    pub fn token(route: &'a str, body: &'a Value) -> Self {
        Self { kind: Kind::Token, method: Method::POST, route, body: Some(body) }
    }

    pub fn graphql(kind: Kind, body: &'a Value) -> Self {
        Self { kind, method: Method::POST, route: "/graphql", body: Some(body) }
    }

    /// Whether it makes or changes what people read in a conversation: comments, reviews, pull requests, issues. GitHub
    /// counts these; of edits it does not say whether it does. Reactions, check runs and what is resolved are none.
    pub fn makes_content(&self) -> bool {
        let makes = self.kind == Kind::Write && matches!(self.method, Method::POST | Method::PATCH);
        let said = |word| self.route.split('/').any(|it| it == word);
        makes && ["comments", "reviews", "pulls", "issues"].into_iter().any(said) && !said("reactions")
    }

    /// The same with another route.
    pub fn to(&self, route: &'a str) -> Self {
        Self { route, ..self.clone() }
    }
}

/// Send one request under the governor of whose token it carries. A read that was kept is asked for with its `ETag`.
pub(super) async fn call(
    client: &Octocrab,
    governor: &Governor,
    cache: (&Cache, Whose),
    ask: &Ask<'_>,
) -> Result<Answer, Error> {
    let (cache, whose) = cache;
    let kept = if ask.kind == Kind::Read { cache.get(whose, ask.route) } else { None };
    // Held until what the answer says is known: the next write may not go before.
    // Boxed, as what waits is large and every caller's future would hold it.
    let _pass = Box::pin(governor.enter(ask)).await?;
    let Raw { status, mut headers, body } = send(client, ask, kept.as_ref().map(|kept| &kept.etag)).await?;
    if let (StatusCode::NOT_MODIFIED, Some(kept)) = (status, kept) {
        Box::pin(governor.learn(ask, &headers, None)).await;
        if let Some(link) = kept.link {
            headers.insert(header::LINK, link);
        }
        return Ok(Answer { headers, body: kept.body });
    }
    let refused = match ask.kind {
        Kind::Elsewhere if status == StatusCode::FOUND => None,
        kind if kind.is_graphql() && status.is_success() => Error::read_graphql(&headers, &body),
        _ => Error::read(status, &headers, &body),
    };
    match Box::pin(governor.learn(ask, &headers, refused)).await {
        Some(error) => Err(error),
        None => {
            if ask.kind == Kind::Read {
                cache.keep(whose, ask.route, &headers, &body);
            }
            Ok(Answer { headers, body })
        }
    }
}

/// What came back, read whole.
struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

async fn send(client: &Octocrab, ask: &Ask<'_>, etag: Option<&HeaderValue>) -> Result<Raw, Error> {
    let Ask { method, route, body, .. } = ask;
    let started = Instant::now();
    let mut request = Request::builder()
        .method(method.clone())
        .uri(*route)
        .header(header::ACCEPT, "application/vnd.github+json")
        .header("x-github-api-version", API_VERSION);
    if let Some(etag) = etag {
        request = request.header(header::IF_NONE_MATCH, etag);
    }
    let request = match body {
        // The last net: whoever wrote these words should have taken keys out already. Names and paths that a model gave come
        // by here too.
        Some(body) => {
            let body = text::redact_json(body, text::redact);
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
    Ok(Raw { status: parts.status, headers: parts.headers, body })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_is_content() {
        let makes = |method: Method, route: &str| Ask::write(method, route, None).makes_content();
        for made in ["issues/1/comments", "pulls", "pulls/1/reviews", "pulls/1/comments/2/replies"] {
            assert!(makes(Method::POST, &format!("/repos/o/r/{made}")), "{made}");
        }
        assert!(makes(Method::PATCH, "/repos/o/r/issues/comments/1"));
        for none in ["issues/comments/1/reactions", "check-runs", "issues/1/reactions"] {
            assert!(!makes(Method::POST, &format!("/repos/o/r/{none}")), "{none}");
        }
        assert!(!makes(Method::PATCH, "/repos/o/r/check-runs/1"));
        assert!(!makes(Method::DELETE, "/repos/o/r/pulls/1/reviews/2"));
        assert!(!Ask::get("/repos/o/r/pulls").makes_content());
        assert!(!Ask::graphql(Kind::Mutation, &Value::Null).makes_content());
    }
}
