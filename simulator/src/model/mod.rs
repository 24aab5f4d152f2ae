//! A Claude that says what it is told: the Anthropic Messages API with scripted answers, for the real CLI or for tests.

mod demo;
mod demo_review;
mod read;
mod script;
mod stream;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};

use crate::github::{Moment, Tripwire};
use crate::server::{HangUp, Reply, Server};
pub use demo::{BUGGY_CALC, demo_files};
pub use demo_review::{BUGGY_MAX, MAX_TEST, line_of_mistake};
pub use read::{last_prompt, working_directory};
use script::{Action, Trouble};
pub use script::{Block, Script, Step, Usage, bash, text, thinking, tool};

/// What a request must show in `x-api-key`.
const KEY: &str = "sk-ant-simulated-key";

/// A running Messages API. It ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Model {
    inner: Arc<Inner>,
    _server: Arc<Server>,
}

#[derive(Debug)]
struct Inner {
    url: String,
    state: Mutex<State>,
    wire: Tripwire,
}

type Chooser = Box<dyn Fn(&str) -> Option<Script> + Send>;

struct State {
    key: String,
    /// The script of runs that nothing else applies to.
    usual: Script,
    chooser: Option<Chooser>,
    /// Scripts waiting for the next runs, in order.
    queue: VecDeque<Script>,
    runs: Vec<Run>,
    requests: Vec<(HeaderMap, Value)>,
    /// Requests of the newest run, for `flaky`.
    served: u64,
}

/// A prompt in a session, and the script it got.
struct Run {
    session: String,
    prompts: usize,
    script: Script,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("usual", &self.usual).field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl Model {
    /// On a free port, saying hello to everybody.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same at an address of choice.
    pub async fn start_at(listen: SocketAddr) -> Self {
        let server = Server::bind(listen).expect("the address to listen on is free");
        let state = State {
            key: KEY.to_owned(),
            usual: Script::hello(),
            chooser: None,
            queue: VecDeque::new(),
            runs: Vec::new(),
            requests: Vec::new(),
            served: 0,
        };
        let inner = Arc::new(Inner {
            url: format!("http://{}", server.address()),
            state: Mutex::new(state),
            wire: Tripwire::default(),
        });
        let serving = Arc::downgrade(&inner);
        server.serve(move |request| {
            let inner = serving.upgrade();
            async move {
                match inner {
                    Some(inner) => inner.answer(request).await,
                    None => Err(HangUp),
                }
            }
        });
        tokio::task::yield_now().await;
        Self { inner, _server: Arc::new(server) }
    }

    /// For `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// For `ANTHROPIC_API_KEY`; any other is refused with 401.
    pub fn api_key(&self) -> String {
        self.inner.state().key.clone()
    }

    /// Every new run follows this script, unless [`Model::next`] or [`Model::will_for`] says otherwise.
    pub fn will(&self, script: Script) {
        self.inner.state().usual = script;
    }

    /// Chooses a script by the run's prompt; `None` leaves it to [`Model::will`].
    pub fn will_for(&self, choose: impl Fn(&str) -> Option<Script> + Send + 'static) {
        self.inner.state().chooser = Some(Box::new(choose));
    }

    /// The next run that is new follows this script; several calls queue up.
    pub fn next(&self, script: Script) {
        self.inner.state().queue.push_back(script);
    }

    /// The tripwire that every `POST /v1/messages` steps on.
    pub fn wire(&self) -> &Tripwire {
        &self.inner.wire
    }

    /// The bodies of all `POST /v1/messages` so far.
    pub fn requests(&self) -> Vec<Value> {
        self.inner.state().requests.iter().map(|it| it.1.clone()).collect()
    }

    /// Their headers, in the same order.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.inner.state().requests.iter().map(|it| it.0.clone()).collect()
    }

    /// Forgets scripts, runs and requests.
    pub fn reset(&self) {
        let mut state = self.inner.state();
        state.usual = Script::hello();
        state.chooser = None;
        state.queue.clear();
        state.runs.clear();
        state.requests.clear();
        state.served = 0;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Bytes>) -> Reply {
        let path = request.uri().path().to_owned();
        if *request.method() == Method::HEAD {
            return Ok(Response::new(Body::empty()));
        }
        if path == "/__requests" {
            let all: Vec<Value> = self.state().requests.iter().map(|it| it.1.clone()).collect();
            return Ok(json_reply(200, &json!(all), &[]));
        }
        if request.headers().get("x-api-key").is_none_or(|it| *it != *self.state().key) {
            return Ok(error(401, "authentication_error", "invalid x-api-key", &[]));
        }
        match (request.method(), path.as_str()) {
            (&Method::GET, "/v1/models") => Ok(json_reply(200, &models(), &[])),
            (&Method::POST, "/v1/messages/count_tokens") => {
                let tokens = (request.body().len() / 4).max(1);
                Ok(json_reply(200, &json!({ "input_tokens": tokens }), &[]))
            }
            (&Method::POST, "/v1/messages") => {
                let moment = self.wire.step();
                let answer = if moment == Some(Moment::Before) { Err(HangUp) } else { self.message(&request).await };
                if moment.is_some() {
                    self.wire.act("POST /v1/messages");
                    return Err(HangUp);
                }
                answer
            }
            _ => Ok(error(404, "not_found_error", "Not found", &[])),
        }
    }

    async fn message(&self, request: &Request<Bytes>) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(request.body()) else {
            return Ok(error(400, "invalid_request_error", "The request body is not valid JSON", &[]));
        };
        if !body["messages"].is_array() || !body["max_tokens"].is_u64() {
            return Ok(error(400, "invalid_request_error", "messages, max_tokens: Field required", &[]));
        }
        let (action, nth) = {
            let mut state = self.state();
            state.requests.push((request.headers().clone(), body.clone()));
            let script = state.script_for(&body, request.headers());
            state.served += 1;
            (script.action(&body, state.served), state.served)
        };
        let id = format!("req_simulated_{nth}");
        match action {
            Action::Error { status, kind, message, headers } => Ok(error(status, &kind, &message, &headers)),
            Action::Hang => {
                tokio::time::sleep(Duration::from_hours(1)).await;
                Err(HangUp)
            }
            Action::Say { step, trouble, delay } => {
                let message = stream::message(&body, &step, request.body().len());
                if body["stream"] != json!(true) {
                    // Claude Code asks anew without streaming when a stream failed: the same trouble meets it there.
                    return match trouble {
                        None => Ok(json_reply(200, &message, &step.headers)),
                        Some(Trouble::Cut) => Err(HangUp),
                        Some(Trouble::ErrorEvent) => Ok(error(529, "overloaded_error", "Overloaded", &[])),
                    };
                }
                Ok(stream::reply(&message, trouble, delay, &id, &step.headers))
            }
        }
    }
}

impl State {
    /// The script of the run that this request belongs to. A run is a session, which the CLI names in a header, and the
    /// prompt it is at; a further prompt goes on with the session's script unless another one is waiting.
    fn script_for(&mut self, body: &Value, headers: &HeaderMap) -> Script {
        // Side requests (titles, summaries) bring no tools: they must not use up a script.
        if body["tools"].as_array().is_none_or(Vec::is_empty) {
            return self.runs.last().map_or_else(|| self.usual.clone(), |it| it.script.clone());
        }
        let session = headers.get("x-claude-code-session-id").and_then(|it| it.to_str().ok());
        let session = session.map_or_else(|| read::first_prompt(body), str::to_owned);
        let prompts = read::prompts(body);
        let same = |it: &&Run| it.session == session;
        if let Some(run) = self.runs.iter().filter(same).find(|it| it.prompts == prompts) {
            return run.script.clone();
        }
        let chosen =
            self.queue.pop_front().or_else(|| self.chooser.as_ref().and_then(|it| it(&read::last_prompt(body))));
        let script = match (chosen, self.runs.iter().rev().find(same)) {
            (Some(script), _) => script,
            (None, Some(before)) => before.script.clone(),
            (None, None) => self.usual.clone(),
        };
        self.served = 0;
        self.runs.push(Run { session, prompts, script: script.clone() });
        script
    }
}

fn models() -> Value {
    let model = json!({
        "type": "model", "id": "claude-sonnet-4-5", "display_name": "Scripted", "created_at": "2025-01-01T00:00:00Z",
    });
    json!({ "data": [model], "has_more": false, "first_id": "claude-sonnet-4-5", "last_id": "claude-sonnet-4-5" })
}

fn error(status: u16, kind: &str, message: &str, headers: &[(String, String)]) -> Response<Body> {
    let body = json!({
        "type": "error",
        "error": { "type": kind, "message": message },
        "request_id": "req_simulated",
    });
    json_reply(status, &body, headers)
}

fn json_reply(status: u16, body: &Value, headers: &[(String, String)]) -> Response<Body> {
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("request-id", "req_simulated");
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body.to_string())).unwrap()
}
