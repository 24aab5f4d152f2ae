//! Control by HTTP, for a person with curl beside a running demo.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};

use super::World;

/// `POST /_control/issue {"who","repo","title","body"}`, `/_control/comment {"who","where","text"}`,
/// `/_control/label {"who","where","name"}`, `/_control/merge {"who","where"}`; `GET /_control/story`.
pub(crate) async fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Response<Body> {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let who = if text("who").is_empty() { "alice".to_owned() } else { text("who") };
    let place = text("where");
    let known = |place: &str| {
        let state = world.state();
        place.split_once('#').is_some_and(|(repo, number)| {
            let repo = state.repo_named(repo).map(|it| it.id);
            repo.zip(number.parse().ok()).is_some_and(|(repo, number)| state.issue(repo, number).is_some())
        })
    };
    let verb = request.uri().path().trim_start_matches("/_control/");
    match (request.method(), verb) {
        (&Method::GET, "story") => plain(200, world.story().join("\n") + "\n"),
        (&Method::POST, "issue") => {
            let repo = text("repo");
            if world.state().repo_named(&repo).is_none() {
                return plain(404, format!("no repository {repo:?}\n"));
            }
            let number = world.open_issue(&who, &repo, &text("title"), &text("body")).await;
            said(&json!({ "number": number, "url": format!("{}/{repo}/issues/{number}", world.url()) }))
        }
        (&Method::POST, "comment" | "label" | "merge") if !known(&place) => plain(404, format!("no {place:?}\n")),
        (&Method::POST, "comment") => {
            let done = world.comment(&who, &place, &text("text")).await;
            said(&json!({ "comment_id": done.comment_id, "guid": done.guid, "answer": done.status }))
        }
        (&Method::POST, "label") => {
            let done = world.label(&who, &place, &text("name")).await;
            said(&json!({ "guid": done.guid, "answer": done.status }))
        }
        (&Method::POST, "merge") => said(&json!({ "merged": world.merge(&who, &place).await })),
        _ => plain(404, "GET story, POST issue, comment, label or merge\n".to_owned()),
    }
}

fn said(value: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(format!("{value}\n"))).unwrap()
}

fn plain(status: u16, text: String) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "text/plain; charset=utf-8");
    response.body(Body::from(text)).unwrap()
}
