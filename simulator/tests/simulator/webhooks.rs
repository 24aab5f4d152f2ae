//! Webhooks: signed, logged, repeated only when asked, and caused by the bot's own doings too.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::GitHub;
use simulator::github::{Role, Signature};

use super::client::{Client, good_jwt};

pub type Seen = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// Something that takes webhooks and remembers them.
pub async fn bot(github: &GitHub, status: StatusCode) -> Seen {
    let seen = Seen::default();
    let take = async move |State(seen): State<Seen>, headers: HeaderMap, body: Bytes| {
        seen.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap_or(Value::Null)));
        status
    };
    let app = Router::new().fallback(take).with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    github.deliver_to(format!("http://{}/webhooks/github", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    seen
}

async fn world() -> GitHub {
    let github = GitHub::start().await;
    github.create_repo("octo/app", &[("a", "a\n")]);
    github.person("alice", Role::Write);
    github
}

pub fn names(seen: &Seen) -> Vec<String> {
    let all = seen.lock().unwrap();
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    all.iter()
        .map(|(headers, body)| {
            let event = headers["x-github-event"].to_str().unwrap();
            format!("{event}.{} by {}", word(&body["action"]), word(&body["sender"]["login"]))
        })
        .collect()
}

#[tokio::test]
async fn people_and_the_bot_itself_cause_deliveries() {
    let github = world().await;
    let seen = bot(&github, StatusCode::ACCEPTED).await;
    github.open_issue("alice", "octo/app", "Broken", "").await;
    let said = github.comment("alice", "octo/app#1", "@cloud-agent fix this").await;
    assert_eq!(said.status, 202);
    github.comment_quietly("alice", "octo/app#1", "unheard");
    let client = Client::of_installation(&github, json!({})).await;
    client.post("/repos/octo/app/issues/1/comments", json!({ "body": "on it" })).await;
    github.quiesce().await;
    assert_eq!(
        names(&seen),
        ["issues.opened by alice", "issue_comment.created by alice", "issue_comment.created by cloud-agent[bot]"]
    );
    let (headers, body) = seen.lock().unwrap()[1].clone();
    assert_eq!(headers["x-github-delivery"], *said.guid);
    assert!(headers["user-agent"].to_str().unwrap().starts_with("GitHub-Hookshot/"));
    assert!(headers["x-hub-signature-256"].to_str().unwrap().starts_with("sha256="));
    assert_eq!(body["installation"]["id"], json!(github.installation_id()));
    assert_eq!(body["comment"]["author_association"], "CONTRIBUTOR", "misleading on purpose");
    assert_eq!(body["issue"]["body"], Value::Null);
    let foreign = github.check_by_other_app("octo/app", "main", "ci", "failure");
    assert_eq!(github.rerun_check("alice", foreign).await.status, 202);
    assert_eq!(names(&seen).last().unwrap(), "check_run.rerequested by alice");
    github.side_effects(false);
    client.post("/repos/octo/app/issues/1/comments", json!({ "body": "done" })).await;
    github.quiesce().await;
    assert_eq!(seen.lock().unwrap().len(), 4);
    github.suspend_installation();
    assert_eq!(github.comment("alice", "octo/app#1", "hello?").await.status, 0);
}

#[tokio::test]
async fn failed_deliveries_wait_to_be_asked_for() {
    let github = world().await;
    let seen = bot(&github, StatusCode::INTERNAL_SERVER_ERROR).await;
    for nth in 0..3 {
        github.open_issue("alice", "octo/app", &format!("Issue {nth}"), "text").await;
    }
    assert_eq!(seen.lock().unwrap().len(), 3, "GitHub does not retry");
    let app = Client::with_token(&github, &good_jwt(&github));
    let page = app.request(Method::GET, "/app/hook/deliveries?per_page=2&status=failure").send().await.unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    let rows: Vec<Value> = page.json().await.unwrap();
    assert_eq!((rows.len(), &rows[0]["status_code"], &rows[0]["redelivery"]), (2, &json!(500), &json!(false)));
    let next = link.split_once('<').unwrap().1.split_once('>').unwrap().0;
    let rest: Vec<Value> = app.http.get(next).bearer_auth(&app.token).send().await.unwrap().json().await.unwrap();
    assert_eq!(rest.len(), 1);
    let id = &rest[0]["id"];
    let full = app.get(&format!("/app/hook/deliveries/{id}")).await.1;
    assert_eq!(full["request"]["payload"]["issue"]["title"], "Issue 0");
    let seen = bot(&github, StatusCode::ACCEPTED).await;
    assert_eq!(app.post(&format!("/app/hook/deliveries/{id}/attempts"), json!({})).await.0, 202);
    github.quiesce().await;
    assert_eq!(seen.lock().unwrap()[0].0["x-github-delivery"], *rest[0]["guid"].as_str().unwrap());
    let newest = &app.get("/app/hook/deliveries").await.1[0];
    assert_eq!((&newest["redelivery"], &newest["status"]), (&json!(true), &json!("OK")));
    assert_eq!(github.redeliver_many(rest[0]["guid"].as_str().unwrap(), 4).await, [202; 4]);
    github.advance(std::time::Duration::from_hours(4 * 24));
    let app = Client::with_token(
        &github,
        &super::client::jwt(&github, 4 * 86_400 - 60, 4 * 86_400 + 540, &json!(github.app_id())),
    );
    assert_eq!(app.get("/app/hook/deliveries").await.1, json!([]));
}

#[tokio::test]
async fn raw_deliveries_can_be_badly_signed() {
    let github = world().await;
    let seen = bot(&github, StatusCode::OK).await;
    for signature in [Signature::Good, Signature::None, Signature::Sha1Only, Signature::UpperHex] {
        github.deliver_raw("issues", "one", b"{}", signature, "application/json").await;
    }
    let seen = seen.lock().unwrap();
    let has: Vec<(bool, bool)> = seen
        .iter()
        .map(|it| (it.0.contains_key("x-hub-signature-256"), it.0.contains_key("x-hub-signature")))
        .collect();
    assert_eq!(has, [(true, true), (false, false), (false, true), (true, false)]);
}
