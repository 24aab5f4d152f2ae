//! How calls are paced, what is asked again with an `ETag`, how tokens are kept: against the simulator, and against a stub
//! that knows several installations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use cloud_agent::github::{Error, Github, Limit};
use futures::future::join_all;
use serde_json::json;
use simulator::GitHub;
use simulator::github::Options;

use super::{Stage, client_of};

/// Status and headers of the next answers.
type Says = (u16, Vec<(&'static str, String)>);

/// A GitHub that says what it is told to, by installation. Its tokens are `ghs_` and the installation's number.
#[derive(Clone, Default)]
struct Stub {
    says: Arc<Mutex<HashMap<u64, Says>>>,
    /// `METHOD path`, for each installation.
    seen: Arc<Mutex<Vec<(u64, String)>>>,
}

impl Stub {
    async fn start() -> (Self, Github) {
        let stub = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(answer).with_state(stub.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let simulator = GitHub::start().await;
        (stub, client_of(&url, simulator.app_id(), simulator.private_key_pem()))
    }

    fn says(&self, installation: u64, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.says.lock().unwrap().insert(installation, (status, headers));
    }

    /// How many calls carried a token of this installation since the last look.
    fn calls(&self, installation: u64) -> usize {
        let mut seen = self.seen.lock().unwrap();
        let before = seen.len();
        seen.retain(|(of, _)| *of != installation);
        before - seen.len()
    }
}

async fn answer(State(stub): State<Stub>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let answer = |status: u16, body: serde_json::Value| {
        Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
    };
    if let Some(id) = path.strip_prefix("/app/installations/").and_then(|it| it.strip_suffix("/access_tokens")) {
        // The first installation has lost repository 7 to the ninth.
        return match id {
            "404" => answer(404, json!({ "message": "Not Found" })),
            _ => answer(201, json!({ "token": format!("ghs_{id}"), "expires_at": "2999-01-01T00:00:00Z" })),
        };
    }
    if path == "/repositories/7/installation" {
        return answer(200, json!({ "id": 9 }));
    }
    let token = request.headers().get("authorization").map_or("", |it| it.to_str().unwrap());
    let installation: u64 = token.trim_start_matches("Bearer ghs_").parse().unwrap();
    stub.seen.lock().unwrap().push((installation, format!("{} {path}", request.method())));
    let (status, headers) = stub.says.lock().unwrap().get(&installation).cloned().unwrap_or((200, Vec::new()));
    let mut response =
        answer(status, json!({ "id": 1, "title": "t", "message": "You have exceeded a secondary rate limit" }));
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn limit(error: Error) -> (Limit, i64) {
    match error {
        Error::Limited { until, limit } => (limit, (until - cloud_agent::clock::now()) / 1000),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn one_installation_is_silent_and_the_others_go_on() {
    let (stub, github) = Stub::start().await;
    let (one, two) = (github.repo(1, 1, "one/app"), github.repo(2, 2, "two/app"));
    one.issue(1).await.unwrap();
    stub.says(1, 403, &[("retry-after", "40")]);
    let (why, left) = limit(one.comment(1, "hi").await.unwrap_err());
    assert!(why == Limit::Secondary && (38..=40).contains(&left), "{left}");
    stub.calls(1);
    for _ in 0..3 {
        limit(one.issue(1).await.unwrap_err());
        limit(one.comment(1, "hi").await.unwrap_err());
        two.issue(1).await.unwrap();
        two.comment(1, "hi").await.unwrap();
    }
    assert_eq!((stub.calls(1), stub.calls(2)), (0, 6), "nothing is sent into the silence");
}

#[tokio::test]
async fn the_last_requests_of_an_hour_are_for_writes() {
    let (stub, github) = Stub::start().await;
    let repo = github.repo(1, 1, "one/app");
    let reset = (cloud_agent::clock::now() / 1000 + 1800).to_string();
    let left = |remaining: &'static str| {
        let reset = reset.clone();
        let stub = stub.clone();
        move || {
            let headers =
                [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", &reset)];
            stub.says(1, 200, &headers);
        }
    };
    left("101")();
    repo.issue(1).await.unwrap();
    assert!(repo.is_pressed().await, "edits that can be left out are");
    left("100")();
    repo.issue(1).await.unwrap();
    let (why, wait) = limit(repo.issue(1).await.unwrap_err());
    assert!(why == Limit::Primary && (1795..=1802).contains(&wait), "{wait}");
    repo.comment(1, "what is done is told").await.unwrap();
    left("0")();
    repo.comment(1, "to the last").await.unwrap();
    stub.calls(1);
    let (why, _) = limit(repo.comment(1, "before GitHub has to refuse").await.unwrap_err());
    assert_eq!((why, stub.calls(1)), (Limit::Primary, 0));
}

#[tokio::test]
async fn a_host_without_limits_is_not_held_back() {
    let (_stub, github) = Stub::start().await;
    let repo = github.repo(1, 1, "one/app");
    repo.issue(1).await.unwrap();
    let comments = join_all((0..400).map(|_| repo.comment(1, "hi"))).await;
    assert!(comments.into_iter().all(|it| it.is_ok()));
}

#[tokio::test]
async fn a_repository_that_was_transferred_is_the_new_owners() {
    let (stub, github) = Stub::start().await;
    github.repo(404, 7, "old/app").issue(1).await.unwrap();
    assert_eq!(stub.calls(9), 1);
}

#[tokio::test]
async fn a_burst_of_comments_is_spread_and_none_is_lost() {
    let stage = Stage::new().await;
    stage.repo.pull(stage.number).await.unwrap();
    let many = 24;
    let made = join_all((0..many).map(|_| stage.repo.comment(stage.number, "One of many"))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let comments: Vec<_> = stage.github.journal().into_iter().filter(|it| it.path.ends_with("/comments")).collect();
    assert_eq!(comments.len(), many);
    assert!(comments.iter().all(|it| it.status == 201));
    // 20 at once, and then one a second.
    let first = comments.iter().map(|it| it.at).min().unwrap();
    let last = comments.iter().map(|it| it.at).max().unwrap();
    assert!(last >= first + 3, "{first} {last}");
}

#[tokio::test]
async fn what_was_read_before_costs_nothing() {
    let stage = Stage::new().await;
    stage.many_comments().await;
    let (repo, number) = (&stage.repo, stage.number);
    let read = async || {
        let before = stage.github.journal().len();
        let found = (repo.pull(number).await.unwrap().title, repo.review_comments(number).await.unwrap().len());
        let statuses: Vec<u16> =
            stage.github.journal()[before..].iter().filter(|it| it.method == "GET").map(|it| it.status).collect();
        (found, statuses)
    };
    // `mergeable` is null when a pull request is read for the first time.
    read().await;
    let (first, _) = read().await;
    assert_eq!(first, ("Count".to_owned(), 120));
    // Two pages of comments, found again without a `Link` in the 304.
    assert_eq!(read().await, (first, vec![304, 304, 304]));
    stage.github.comment_quietly("alice", &stage.place(), "Something new");
    assert_eq!(repo.comments(number).await.unwrap().len(), 1);
    assert_eq!(repo.comments(number).await.unwrap().len(), 1);
    stage.github.comment_quietly("alice", &stage.place(), "And more");
    assert_eq!(repo.comments(number).await.unwrap().len(), 2, "what has changed is read anew");
    let identity = async || stage.client.powers().await.unwrap().0.len();
    let powers = identity().await;
    assert_eq!(identity().await, powers);
    let app = stage.github.journal().into_iter().rfind(|it| it.path == "/app").unwrap();
    assert_eq!(app.status, 304, "the App itself, which is looked at every minute");
}

#[tokio::test]
async fn tokens_are_replaced_before_they_expire() {
    let stage = Stage::with(Options { token_life: 8, ..Options::default() }).await;
    let mints = || stage.github.journal().iter().filter(|it| it.path.ends_with("/access_tokens")).count();
    for _ in 0..100 {
        stage.repo.pull(stage.number).await.unwrap();
        if mints() > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(mints(), 2);
    let journal = stage.github.journal();
    assert!(journal.iter().all(|it| it.status != 401), "none was refused");
}

#[tokio::test]
async fn a_suspended_installation_is_asked_once() {
    let stage = Stage::new().await;
    stage.repo.pull(stage.number).await.unwrap();
    stage.github.suspend_installation();
    for _ in 0..3 {
        assert!(matches!(stage.repo.pull(stage.number).await, Err(Error::Suspended)));
    }
    stage.client.forget_installation(stage.github.installation_id());
    let before = stage.github.journal().len();
    for _ in 0..3 {
        assert!(matches!(stage.repo.pull(stage.number).await, Err(Error::Suspended)));
    }
    assert_eq!(stage.github.journal().len(), before + 1);
    stage.github.unsuspend_installation();
    stage.client.forget_installation(stage.github.installation_id());
    stage.repo.pull(stage.number).await.unwrap();
    stage.github.set_installed("octo/app", false);
    stage.client.forget_installation(stage.github.installation_id());
    assert!(matches!(stage.repo.comment(stage.number, "hi").await, Err(Error::Uncovered)));
    stage.github.uninstall();
    stage.client.forget_installation(stage.github.installation_id());
    assert!(matches!(stage.repo.comment(stage.number, "hi").await, Err(Error::Uninstalled)));
}
