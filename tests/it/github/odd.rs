//! Answers that a GitHub in order does not give, from a server that says what it is told to: refusals of GraphQL, and
//! storage that fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use cloud_agent::github::{Error, Repo};
use serde_json::{Value, json};
use simulator::GitHub;

use super::client_of;

/// A GitHub, and the storage that its logs are in.
#[derive(Clone, Default)]
struct Stub {
    /// What GraphQL answers, in this order.
    says: Arc<Mutex<VecDeque<Value>>>,
    /// `METHOD path authorization`, and the body.
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    storage: String,
}

impl Stub {
    /// Below this prefix, and our client of a repository there.
    async fn start(prefix: &str) -> (Self, Repo) {
        let storage = Self::default().serve().await;
        let stub = Self { storage: storage.1, ..Self::default() };
        let stub = Self { seen: storage.0.seen, ..stub };
        let (stub, url) = stub.serve().await;
        // For its key; the repository is ours.
        let simulator = GitHub::start().await;
        let github = client_of(&format!("{url}{prefix}"), simulator.app_id(), simulator.private_key_pem());
        (stub, github.repo(1, 2, "octo/app"))
    }

    async fn serve(self) -> (Self, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        (self, url)
    }

    fn will_say(&self, answers: impl IntoIterator<Item = Value>) {
        self.says.lock().unwrap().extend(answers);
    }

    fn seen(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn answer(State(stub): State<Stub>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap_or(Value::Null);
    let authorization = parts.headers.get("authorization").map_or("none", |it| it.to_str().unwrap());
    let path = parts.uri.path().to_owned();
    let authorization = if authorization.starts_with("Bearer ey") { "the App" } else { authorization };
    stub.seen.lock().unwrap().push((format!("{} {path} {authorization}", parts.method), body));
    let answer = |status: u16, body: String| Response::builder().status(status).body(Body::from(body)).unwrap();
    if path.ends_with("/access_tokens") {
        return answer(201, json!({ "token": "ghs_stub" }).to_string());
    }
    if path.ends_with("/graphql") {
        return answer(200, stub.says.lock().unwrap().pop_front().unwrap().to_string());
    }
    match path.rsplit_once('/').unwrap() {
        (job, "logs") => Response::builder()
            .status(StatusCode::FOUND)
            .header(header::LOCATION, format!("{}/log/{}?sig=secret", stub.storage, job.rsplit_once('/').unwrap().1))
            .body(Body::empty())
            .unwrap(),
        // What the storage answers for this job: a log of as many lines, or a status.
        ("/log", status @ ("403" | "404" | "410" | "500")) => answer(status.parse().unwrap(), String::new()),
        ("/log", lines) => {
            let lines: Vec<String> = (1..=lines.parse().unwrap()).map(|it: u32| format!("line {it}")).collect();
            answer(200, lines.join("\n") + "\n")
        }
        _ => answer(404, String::new()),
    }
}

fn page(threads: &[&str], next: Option<&str>) -> Value {
    let nodes: Vec<Value> =
        threads.iter().map(|id| json!({ "id": id, "path": "a.rs", "comments": { "nodes": [] } })).collect();
    json!({ "data": { "repository": { "pullRequest": { "reviewThreads": {
        "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next }, "nodes": nodes,
    } } } } })
}

fn refusal(kind: &str) -> Value {
    json!({ "data": { "x": null }, "errors": [{ "type": kind, "path": ["x"], "message": "said" }] })
}

#[tokio::test]
async fn threads_are_asked_for_page_by_page_beside_the_rest_api() {
    let (stub, repo) = Stub::start("/api/v3").await;
    stub.will_say([page(&["one", "two"], Some("here")), page(&["three"], None)]);
    let ids: Vec<String> = repo.threads(7).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(ids, ["one", "two", "three"]);
    let seen = stub.seen();
    let calls: Vec<&str> = seen.iter().map(|it| it.0.as_str()).collect();
    let ask = "POST /api/graphql Bearer ghs_stub";
    assert_eq!(calls, ["POST /api/v3/app/installations/1/access_tokens the App", ask, ask]);
    let variables = |at: usize| seen[at].1["variables"].clone();
    assert_eq!(variables(1), json!({ "owner": "octo", "name": "app", "number": 7, "after": null }));
    assert_eq!(variables(2)["after"], "here");
}

#[tokio::test]
async fn refusals_of_graphql_are_told_apart() {
    let (stub, repo) = Stub::start("").await;
    stub.will_say([refusal("FORBIDDEN"), refusal("NOT_FOUND"), refusal("UNPROCESSABLE")]);
    assert!(matches!(repo.resolve_thread("one").await, Err(Error::Forbidden(said)) if said == "said"));
    assert!(matches!(repo.threads(7).await, Err(Error::NotFound(_))));
    assert!(matches!(repo.resolve_thread("one").await, Err(Error::Invalid(_))));
    // To resolve takes a token that may do more than talk, and only that.
    let tokens: Vec<Value> =
        stub.seen().into_iter().filter(|it| it.0.contains("access_tokens")).map(|it| it.1).collect();
    assert_eq!(tokens[0]["permissions"]["contents"], "write");
    assert_eq!(tokens[1]["permissions"]["contents"], "read");
    // A trouble that passes: a read is repeated, a write is for the outbox.
    let trouble = json!({ "errors": [{ "message": "Something went wrong while executing your query." }] });
    stub.will_say([trouble.clone(), page(&["one"], None), trouble]);
    assert_eq!(repo.threads(7).await.unwrap().len(), 1);
    assert!(matches!(repo.resolve_thread("one").await, Err(Error::Unreachable(_))));
    // While limited, nothing is sent at all.
    stub.will_say([refusal("RATE_LIMITED")]);
    assert!(matches!(repo.threads(7).await, Err(Error::Limited { .. })));
    stub.seen();
    assert!(matches!(repo.pull(7).await, Err(Error::Limited { .. })));
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn the_storage_of_logs_never_sees_our_token() {
    let (stub, repo) = Stub::start("").await;
    assert_eq!(repo.job_log_tail(3, 1000).await.unwrap().as_deref(), Some("line 1\nline 2\nline 3\n"));
    let calls: Vec<String> = stub.seen().into_iter().map(|it| it.0).collect();
    assert_eq!(calls[1..], ["GET /repos/octo/app/actions/jobs/3/logs Bearer ghs_stub", "GET /log/3 none"]);
    assert_eq!(repo.job_log_tail(100_000, 30).await.unwrap().as_deref(), Some("line 99999\nline 100000\n"));
    for gone in [403, 404, 410] {
        assert_eq!(repo.job_log_tail(gone, 30).await.unwrap(), None);
    }
    let failed = repo.job_log_tail(500, 30).await.unwrap_err().to_string();
    assert!(failed.contains("500") && !failed.contains("secret"), "{failed}");
}
