//! The model proxy: two paths of the Messages API, with the real key put on and everything counted.

use std::io;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Gate;
use super::ledger::{Meter, Size};
use super::reading::Reading;
use super::request::{Asked, Refused, allows};
use super::trouble::{Trouble, UpstreamTrouble};

/// What the API itself takes (<https://docs.claude.com/en/api/overview#request-size-limits>).
const LARGEST_BODY: usize = 32 << 20;
const BODY_TIME: Duration = Duration::from_mins(2);
/// How long a connection may stand idle between two requests: the CLI keeps one while its tools run.
const HEAD_TIME: Duration = Duration::from_mins(10);
const LARGEST_ERROR: usize = 256 << 10;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Serve one connection of a sandbox.
pub(super) async fn serve(gate: Gate, client: TcpStream) {
    let service = service_fn(move |request| {
        let gate = gate.clone();
        async move { io::Result::Ok(answer(&gate, request).await.unwrap_or_else(Refusal::into_response)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(client), service);
    if let Err(error) = connection.await {
        debug!("A sandbox's connection to the model proxy broke: {error}");
    }
}

/// An answer in the shape of the API's own errors, so that Claude Code shows the message to whoever reads its result.
struct Refusal {
    status: StatusCode,
    type_: &'static str,
    says: String,
}

impl Refusal {
    fn new(status: StatusCode, type_: &'static str, says: impl Into<String>) -> Self {
        Self { status, type_, says: says.into() }
    }

    fn into_response(self) -> Response<Body> {
        let body =
            json!({"type": "error", "error": {"type": self.type_, "message": format!("cloud-agent: {}", self.says)}});
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if !self.status.is_server_error() {
            response.headers_mut().insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

async fn answer(gate: &Gate, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    let counts_only = match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/messages") => false,
        (&Method::POST, "/v1/messages/count_tokens") => true,
        _ => {
            let says = "a sandbox may only POST /v1/messages and /v1/messages/count_tokens";
            return Err(Refusal::new(StatusCode::FORBIDDEN, "permission_error", says));
        }
    };
    if !has_key(request.headers(), &gate.0.sandbox_key) {
        let says = "this is not the key of this run";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "authentication_error", says));
    }
    let Some(api_key) = gate.0.own_key.as_ref().or(gate.0.gateway.api_key.as_ref()) else {
        let says = "no ANTHROPIC_API_KEY is set";
        gate.set_trouble(UpstreamTrouble::own(Trouble::KeyRefused, says));
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "authentication_error", says));
    };
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    let asked = Asked::read(&body).map_err(|refused| match refused {
        Refused::Unreadable(_) => Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", refused.to_string()),
        Refused::ReachesOut(_) | Refused::Dear(_) => {
            Refusal::new(StatusCode::FORBIDDEN, "permission_error", refused.to_string())
        }
    })?;
    if let Some(allowed) = &gate.0.allowed_models
        && !allows(allowed, &asked.model)
    {
        let model: String = asked.model.chars().take(100).collect();
        let says = format!("the model {model} is not allowed here; allowed: {}", allowed.join(", "));
        gate.set_trouble(UpstreamTrouble::own(Trouble::ModelUnknown, &says));
        return Err(Refusal::new(StatusCode::FORBIDDEN, "permission_error", says));
    }
    // Counting tokens is free of charge.
    let meter = if counts_only { None } else { Some(open(gate, &asked, body.len()).await?) };
    let mut key = HeaderValue::from_str(api_key.expose_secret().trim()).map_err(|_| {
        let says = "the key for the model API holds characters that no key has";
        gate.set_trouble(UpstreamTrouble::own(Trouble::KeyRefused, says));
        Refusal::new(StatusCode::UNAUTHORIZED, "authentication_error", says)
    })?;
    key.set_sensitive(true);
    let mut headers = forwarded(&head.headers, goes_up);
    headers.insert(API_KEY, key);
    // The meter reads the answer as it passes and does not unpack it.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    forward(gate, head.uri.path(), head.uri.query(), headers, body, meter).await
}

async fn open(gate: &Gate, asked: &Asked, input_bytes: usize) -> Result<Meter, Refusal> {
    let rate = gate.0.gateway.prices.of(&asked.model);
    let size = Size { input_bytes, most_output: asked.max_tokens };
    gate.0.ledger.open(&asked.model, rate, size).await.ok_or_else(|| {
        let says = format!("this run has used its budget of ${:.2}", gate.0.ledger.budget() as f64 / 1e6);
        Refusal::new(StatusCode::PAYMENT_REQUIRED, "billing_error", says)
    })
}

fn has_key(headers: &HeaderMap, key: &str) -> bool {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    headers.get(API_KEY).is_some_and(|value| value.as_bytes() == key.as_bytes()) || bearer == Some(key.as_bytes())
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let status = |status, type_, says| Refusal::new(status, type_, says);
    match timeout(BODY_TIME, to_bytes(Body::new(body), LARGEST_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            // axum hides the one error that we want to tell apart behind its own.
            let too_large =
                std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("length limit"));
            Err(if too_large {
                status(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "request_too_large",
                    "a request may have 32 MiB at most".to_owned(),
                )
            } else {
                status(StatusCode::BAD_REQUEST, "invalid_request_error", format!("the request broke off: {error}"))
            })
        }
        Err(_) => {
            Err(status(StatusCode::REQUEST_TIMEOUT, "timeout_error", "the request took too long to come".to_owned()))
        }
    }
}

/// Headers that the API has a use for. Everything else stays here: other keys, cookies, the host, hop-by-hop headers.
fn goes_up(name: &str) -> bool {
    ["anthropic-", "x-stainless-", "x-claude-code-"].iter().any(|prefix| name.starts_with(prefix))
        || ["content-type", "accept", "user-agent", "x-app"].contains(&name)
}

/// Headers of an answer that the CLI has a use for. Which organisation pays is not its business.
fn goes_down(name: &str) -> bool {
    name.starts_with("anthropic-ratelimit-")
        || ["content-type", "cache-control", "request-id", "retry-after", "x-should-retry"].contains(&name)
}

fn forwarded(headers: &HeaderMap, passes: fn(&str) -> bool) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| passes(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

async fn forward(
    gate: &Gate,
    path: &str,
    query: Option<&str>,
    headers: HeaderMap,
    body: Bytes,
    mut meter: Option<Meter>,
) -> Result<Response<Body>, Refusal> {
    let mut url = gate.0.gateway.upstream.clone();
    url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
    url.set_query(query);
    if let Some(meter) = &mut meter {
        meter.sent();
    }
    let response = match gate.0.gateway.client.post(url).headers(headers).body(body).send().await {
        Ok(response) => response,
        Err(error) => {
            if let Some(meter) = meter.as_mut().filter(|_| error.is_connect()) {
                meter.free();
            }
            return Err(unreachable(gate, &error));
        }
    };
    let status = response.status();
    let mut down = forwarded(response.headers(), goes_down);
    if !status.is_success() {
        if let Some(meter) = &mut meter {
            meter.free();
        }
        return failed(gate, status, down, response).await;
    }
    let Some(meter) = meter else {
        return Ok(respond(status, down, Body::from_stream(response.bytes_stream())));
    };
    let events = down.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    down.remove(SHOULD_RETRY);
    let passing =
        Passing { gate: gate.clone(), upstream: response.bytes_stream().boxed(), reading: Reading::new(events), meter };
    Ok(respond(status, down, Body::from_stream(stream::unfold(Some(passing), Passing::next))))
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn failed(
    gate: &Gate,
    status: StatusCode,
    mut headers: HeaderMap,
    response: reqwest::Response,
) -> Result<Response<Body>, Refusal> {
    if status.is_redirection() || status.is_informational() {
        let says = "ANTHROPIC_BASE_URL answers with a redirect; give it the address that is meant";
        gate.set_trouble(UpstreamTrouble::own(Trouble::Unreachable, says));
        return Err(Refusal::new(StatusCode::BAD_GATEWAY, "api_error", says));
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(Ok(chunk)) = chunks.next().await {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_ERROR {
            break;
        }
    }
    let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let trouble = UpstreamTrouble::of_answer(status, &body, retry_after);
    warn!(run = gate.0.run, status = status.as_u16(), "The model API answered {status}: {}", trouble.message);
    gate.set_trouble(trouble);
    // Claude Code would try these ten times over three minutes; none of them gets better by itself.
    if matches!(status.as_u16(), 400..=403) {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    Ok(respond(status, headers, Body::from(body)))
}

fn unreachable(gate: &Gate, error: &reqwest::Error) -> Refusal {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!(run = gate.0.run, "The model API could not be reached: {error}: {cause}");
    // Without the cause: it may name hosts and addresses of the network that we stand in.
    let says =
        if error.is_timeout() { "the model API did not answer in time" } else { "the model API could not be reached" };
    gate.set_trouble(UpstreamTrouble::own(Trouble::Unreachable, says));
    Refusal::new(StatusCode::BAD_GATEWAY, "api_error", says)
}

/// An answer on its way. When the client goes, this is dropped, and the meter settles what was used.
struct Passing {
    gate: Gate,
    upstream: BoxStream<'static, reqwest::Result<Bytes>>,
    reading: Reading,
    meter: Meter,
}

impl Passing {
    async fn next(passing: Option<Self>) -> Option<(io::Result<Bytes>, Option<Self>)> {
        let mut passing = passing?;
        match passing.upstream.next().await {
            Some(Ok(bytes)) => {
                passing.reading.push(&bytes, &mut passing.meter);
                // Here and not at the headers: an answer that starts well may still be cut. And not at the end of the
                // connection: a client that has what it wants need not wait for it.
                if passing.reading.complete {
                    passing.gate.answered();
                }
                Some((Ok(bytes), Some(passing)))
            }
            Some(Err(error)) => {
                unreachable(&passing.gate, &error);
                Some((Err(io::Error::other("the model API broke off")), None))
            }
            None => {
                passing.reading.end(&mut passing.meter);
                if let Some((type_, message)) = &passing.reading.error {
                    passing.gate.set_trouble(UpstreamTrouble::of_event(type_, message));
                } else if passing.reading.complete {
                    passing.gate.answered();
                } else {
                    let says = "the model API ended its answer in the middle";
                    warn!(run = passing.gate.0.run, "The model API ended its answer in the middle");
                    passing.gate.set_trouble(UpstreamTrouble::own(Trouble::Unreachable, says));
                }
                None
            }
        }
    }
}
