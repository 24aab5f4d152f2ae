//! The gateway between a sandbox that tries everything and a model API that keeps a record.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

pub mod egress;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use cloud_agent::gateway::{
    EGRESS_PORT, Gate, Gateway, GatewaySettings, MODEL_PORT, RunTerms, Trouble, UpstreamTrouble,
};
use cloud_agent::sandbox::Door;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":100,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":20}}\n\n";

/// What the API was asked, and what it says next.
#[derive(Clone, Default)]
struct Api {
    asked: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
    says: Arc<Mutex<Option<Response>>>,
}

impl Api {
    fn will_say(&self, response: http::response::Builder, body: impl Into<Body>) {
        *self.says.lock().unwrap() = Some(response.body(body.into()).unwrap());
    }

    /// A stream that the test writes piece by piece.
    fn will_stream(&self) -> mpsc::UnboundedSender<&'static str> {
        let (pieces, out) = mpsc::unbounded_channel();
        let out = futures::stream::unfold(out, async |mut out: mpsc::UnboundedReceiver<&'static str>| {
            Some((Ok::<_, Infallible>(Bytes::from(out.recv().await?)), out))
        });
        self.will_say(Response::builder().header("content-type", "text/event-stream"), Body::from_stream(out));
        pieces
    }

    fn asked(&self) -> Vec<(String, HeaderMap, Bytes)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn serve(self) -> SocketAddr {
        let app = Router::new().fallback(Self::answer).with_state(self);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        address
    }

    async fn answer(State(api): State<Self>, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        api.asked.lock().unwrap().push((head.uri.to_string(), head.headers, body));
        let said = api.says.lock().unwrap().take();
        said.unwrap_or_else(|| {
            let body = json!({"type": "message", "usage": {"input_tokens": 100, "output_tokens": 20}});
            Response::builder().header("content-type", "application/json").body(Body::from(body.to_string())).unwrap()
        })
    }
}

/// A sandbox seen from inside: an address for each door.
struct World {
    api: Api,
    gate: Gate,
    model: String,
    proxy: SocketAddr,
    client: reqwest::Client,
}

fn terms() -> RunTerms {
    RunTerms {
        run: "r1".into(),
        budget_micros: 5_000_000,
        spent_micros: 0,
        allowed_models: None,
        egress: vec![],
        api_key: None,
    }
}

async fn world(terms: RunTerms) -> World {
    let api = Api::default();
    let url = format!("http://{}/base", api.clone().serve().await).parse().unwrap();
    let gateway = Gateway::new(GatewaySettings::new(url, Some("sk-real".into()))).unwrap();
    let gate = gateway.open(terms).unwrap();
    let (mut model, mut proxy) = (None, None);
    for door in gate.doors() {
        let address = open(&door).await;
        match door.port {
            MODEL_PORT => model = Some(address),
            EGRESS_PORT => proxy = Some(address),
            port => panic!("a door at {port}"),
        }
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    World { api, gate, model: format!("http://{}", model.unwrap()), proxy: proxy.unwrap(), client }
}

async fn open(door: &Door) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, serve) = (listener.local_addr().unwrap(), door.serve.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream);
        }
    });
    address
}

impl World {
    fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let key = &self.gate.env()["ANTHROPIC_API_KEY"];
        self.client.post(format!("{}{path}", self.model)).header("x-api-key", key).body(body.to_string())
    }

    async fn ask(&self, model: &str) -> (StatusCode, HeaderMap, Value) {
        let response = self.post("/v1/messages?beta=true", &json!({"model": model})).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.json().await.unwrap_or_default())
    }

    /// Wait until nothing is under way, and say what was used.
    async fn settled(&self) -> (u64, u64, i64) {
        self.gate.close().await;
        let usage = self.gate.usage();
        (usage.input, usage.output, usage.micros)
    }
}

#[tokio::test]
async fn the_key_is_swapped_and_little_else_passes() {
    let world = world(terms()).await;
    let key = world.gate.env()["ANTHROPIC_API_KEY"].clone();
    let body = json!({"model": "claude-opus-4", "odd":  [1.50, "ü"]});
    let request = world
        .post("/v1/messages?beta=true", &body)
        .header("anthropic-beta", "b1")
        .header("anthropic-version", "2023-06-01")
        .header("cookie", "a=b")
        .header("x-forwarded-for", "1.2.3.4")
        .bearer_auth(&key);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let (uri, headers, sent) = world.api.asked().pop().unwrap();
    assert_eq!(uri, "/base/v1/messages?beta=true");
    assert_eq!(sent, body.to_string());
    assert_eq!(headers["x-api-key"], "sk-real");
    assert_eq!(headers["anthropic-beta"], "b1");
    assert!(headers["host"].to_str().unwrap().starts_with("127.0.0.1:"));
    assert!(!format!("{headers:?}").contains(&key));
    for gone in ["authorization", "cookie", "x-forwarded-for"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    // A bearer token is as good as x-api-key; both are this run's only.
    let bearer = world.client.post(format!("{}/v1/messages", world.model)).bearer_auth(&key).body(r#"{"model":"m"}"#);
    assert_eq!(bearer.send().await.unwrap().status(), 200);
    assert_eq!(world.settled().await, (200, 40, 2 * (500 + 500)));
}

#[tokio::test]
async fn other_paths_and_keys_are_refused() {
    let world = world(terms()).await;
    let key = world.gate.env()["ANTHROPIC_API_KEY"].clone();
    for (method, path) in [
        ("GET", "/v1/messages"),
        ("GET", "/v1/models"),
        ("HEAD", "/api/hello"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/messages/"),
        ("POST", "//v1/messages"),
        ("POST", "/v1/files"),
        ("POST", "/v1/%6dessages"),
        ("POST", "/"),
    ] {
        let request = world.client.request(method.parse().unwrap(), format!("{}{path}", world.model));
        assert_eq!(request.header("x-api-key", &key).send().await.unwrap().status(), 403, "{method} {path}");
    }
    let wrong = world.client.post(format!("{}/v1/messages", world.model)).header("x-api-key", "sk-real").body("{}");
    let wrong = wrong.send().await.unwrap();
    assert_eq!(
        (wrong.status(), &wrong.headers()["x-should-retry"]),
        (StatusCode::UNAUTHORIZED, &"false".parse().unwrap())
    );
    let link = json!({"model": "m", "tools": [{"type": "web_fetch_20250910"}]});
    assert_eq!(world.post("/v1/messages", &link).send().await.unwrap().status(), 403);
    assert_eq!(world.post("/v1/messages", &json!(1)).send().await.unwrap().status(), 400);
    assert!(world.api.asked().is_empty());
    assert_eq!(world.post("/v1/messages/count_tokens", &json!({"model": "m"})).send().await.unwrap().status(), 200);
    assert_eq!(world.settled().await, (0, 0, 0), "counting tokens costs nothing");
}

#[tokio::test]
async fn an_answer_streams_and_is_counted_as_it_passes() {
    let world = world(terms()).await;
    let pieces = world.api.will_stream();
    pieces.send(START).unwrap();
    let response = world.post("/v1/messages", &json!({"model": "claude-sonnet-4"})).send().await.unwrap();
    let mut stream = response.bytes_stream();
    // The API has not ended its answer, and the first piece is here and counted.
    assert_eq!(stream.next().await.unwrap().unwrap(), START);
    let mut usage = world.gate.watch();
    usage.wait_for(|usage| (usage.input, usage.micros) == (100, 315)).await.unwrap();
    pieces.send(DELTA).unwrap();
    drop(pieces);
    assert_eq!(stream.next().await.unwrap().unwrap(), DELTA);
    assert!(stream.next().await.is_none());
    assert_eq!(world.settled().await, (100, 20, 300 + 300));
}

#[tokio::test]
async fn hanging_up_in_mid_stream_is_paid_for() {
    let world = world(terms()).await;
    let pieces = world.api.will_stream();
    pieces.send(START).unwrap();
    pieces.send("data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"0123456789012345678901234567890123456789\"}}\n\n").unwrap();
    let response = world.post("/v1/messages", &json!({"model": "claude-sonnet-4"})).send().await.unwrap();
    let mut stream = response.bytes_stream();
    assert!(stream.next().await.unwrap().is_ok());
    let mut usage = world.gate.watch();
    usage.wait_for(|usage| usage.output == 10).await.unwrap();
    drop(stream);
    // The gateway hangs up as well, so that nothing more is written that nobody reads.
    tokio::time::timeout(Duration::from_secs(5), pieces.closed()).await.unwrap();
    assert_eq!(world.settled().await, (100, 10, 300 + 150));
}

#[tokio::test]
async fn a_budget_that_is_used_up_ends_the_run_with_words() {
    let world = world(RunTerms { budget_micros: 5_000_000, spent_micros: 4_999_500, ..terms() }).await;
    assert_eq!(world.ask("claude-opus-4").await.0, 200);
    tokio::time::timeout(Duration::from_secs(5), world.gate.spent()).await.unwrap();
    let (status, headers, body) = world.ask("claude-opus-4").await;
    assert_eq!(status, 402);
    assert_eq!(headers["x-should-retry"], "false");
    let error = json!({"type": "billing_error", "message": "cloud-agent: this run has used its budget of $5.00"});
    assert_eq!(body, json!({"type": "error", "error": error}));
    assert_eq!(world.api.asked().len(), 1);
    assert_eq!((world.gate.left_micros(), world.gate.trouble()), (0, None));
}

#[tokio::test]
async fn requests_in_parallel_do_not_slip_past_the_budget_together() {
    let world = world(RunTerms { budget_micros: 2_500, ..terms() }).await;
    // Each may cost all of it and costs 1000: each goes when it is alone, and the third overdraws.
    let body = json!({"model": "claude-opus-4", "max_tokens": 100});
    let all = (0..8).map(|_| world.post("/v1/messages", &body).send());
    let all = futures::future::join_all(all).await;
    let mut said: Vec<u16> = all.into_iter().map(|answer| answer.unwrap().status().as_u16()).collect();
    said.sort_unstable();
    assert_eq!(said, [200, 200, 200, 402, 402, 402, 402, 402]);
    assert_eq!(world.settled().await, (300, 60, 3_000));
}

#[tokio::test]
async fn only_allowed_models_are_asked() {
    let world = world(RunTerms { allowed_models: Some(vec!["sonnet".into(), "claude-x-1".into()]), ..terms() }).await;
    assert_eq!(world.ask("claude-sonnet-4").await.0, 200);
    let (status, _, body) = world.ask("claude-opus-4").await;
    assert_eq!((status, &body["error"]["type"]), (StatusCode::FORBIDDEN, &json!("permission_error")));
    let message = body["error"]["message"].as_str().unwrap();
    assert_eq!(message, "cloud-agent: the model claude-opus-4 is not allowed here; allowed: sonnet, claude-x-1");
    assert_eq!(world.gate.trouble().unwrap().kind, Trouble::ModelUnknown);
}

#[tokio::test]
async fn trouble_is_passed_on_and_remembered_until_it_is_over() {
    let world = world(terms()).await;
    let error = |type_: &str| json!({"type": "error", "error": {"type": type_, "message": "m"}}).to_string();
    world.api.will_say(Response::builder().status(401), error("authentication_error"));
    let (status, headers, body) = world.ask("m").await;
    assert_eq!(
        (status, &headers["x-should-retry"], &body["error"]["message"]),
        (StatusCode::UNAUTHORIZED, &"false".parse().unwrap(), &json!("m"))
    );
    assert_eq!(world.gate.trouble().unwrap().kind, Trouble::KeyRefused);
    world.api.will_say(
        Response::builder().status(529).header("retry-after", "7").header("anthropic-organization-id", "o"),
        error("overloaded_error"),
    );
    let (status, headers, _) = world.ask("m").await;
    assert_eq!((status.as_u16(), &headers["retry-after"]), (529, &"7".parse().unwrap()));
    assert!(!headers.contains_key("x-should-retry") && !headers.contains_key("anthropic-organization-id"));
    let trouble =
        UpstreamTrouble { kind: Trouble::Overloaded, status: Some(529), message: "m".into(), retry_after: Some(7) };
    assert_eq!(world.gate.trouble(), Some(trouble));
    assert_eq!(world.ask("m").await.0, 200);
    assert_eq!(world.gate.trouble(), None);
    world.api.will_say(Response::builder().status(302).header("location", "https://example.com"), "");
    assert_eq!(world.ask("m").await.0, 502);
    assert_eq!(world.settled().await.0, 100, "errors cost nothing");
}

#[tokio::test]
async fn without_a_key_or_an_api_the_answer_says_so() {
    // A port that nobody listens on.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (key, status, kind) in [(None, 401, Trouble::KeyRefused), (Some("k"), 502, Trouble::Unreachable)] {
        let url = format!("http://{nobody}").parse().unwrap();
        let gate = Gateway::new(GatewaySettings::new(url, key.map(Into::into))).unwrap().open(terms()).unwrap();
        let address = open(&gate.doors()[0]).await;
        let request =
            reqwest::Client::builder().no_proxy().build().unwrap().post(format!("http://{address}/v1/messages"));
        let request = request.header("x-api-key", &gate.env()["ANTHROPIC_API_KEY"]).body(r#"{"model":"m"}"#);
        assert_eq!(request.send().await.unwrap().status(), status);
        assert_eq!(gate.trouble().unwrap().kind, kind);
        gate.close().await;
        assert_eq!(gate.usage().micros, 0);
    }
}

#[tokio::test]
async fn a_closed_gate_serves_nobody() {
    let world = world(terms()).await;
    let pieces = world.api.will_stream();
    pieces.send(START).unwrap();
    let mut stream = world.post("/v1/messages", &json!({"model": "m"})).send().await.unwrap().bytes_stream();
    assert!(stream.next().await.unwrap().is_ok());
    world.gate.close().await;
    assert_eq!(world.gate.usage().input, 100);
    assert!(stream.next().await.is_none_or(|piece| piece.is_err()));
    assert!(world.post("/v1/messages", &json!({"model": "m"})).send().await.is_err());
}
