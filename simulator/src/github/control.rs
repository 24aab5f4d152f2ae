//! Control by HTTP, for a person with curl beside a running demo.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};

use super::World;

/// `POST /_control/issue {"who","repo","title","body"}`, `/_control/comment {"who","where","text"}`,
/// `/_control/label {"who","where","name"}`, `/_control/merge {"who","where"}`; `GET /_control/story`. The buttons of the
/// pages are forms: `POST /_control/click who=…&check=…&action=…&back=…`.
pub(crate) async fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Response<Body> {
    if request.uri().path() == "/_control/click" {
        return click(world, request).await;
    }
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
        _ => plain(404, "GET story, POST issue, comment, label, merge or click\n".to_owned()),
    }
}

/// A button of a check run was pressed on its page; without an action it is GitHub's own *Re-run*. Back to the page.
async fn click(world: &Arc<World>, request: &Request<Bytes>) -> Response<Body> {
    let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    // A page from elsewhere must not press buttons here.
    let own = format!("http://{}", header("host"));
    if *request.method() != Method::POST || !["", own.as_str()].contains(&header("origin")) {
        return plain(403, "only a button of these pages can be pressed\n".to_owned());
    }
    let form = String::from_utf8_lossy(request.body()).into_owned();
    let field = |name: &str| -> String {
        let pairs = form.split('&').filter_map(|it| it.split_once('='));
        let value = pairs.filter(|it| it.0 == name).map(|it| it.1.replace('+', " ")).next().unwrap_or_default();
        percent_encoding::percent_decode_str(&value).decode_utf8_lossy().into_owned()
    };
    let (who, action, back) = (field("who"), field("action"), field("back"));
    let who = if who.is_empty() { "alice" } else { &who };
    let id: u64 = field("check").parse().unwrap_or_default();
    let offered = world.state().checks.get(&id).is_some_and(|check| {
        check.status == "completed"
            && (action.is_empty() || check.actions.iter().any(|it| it["identifier"] == action.as_str()))
    });
    if !offered {
        return plain(404, "this check run has no such button now\n".to_owned());
    }
    if action.is_empty() {
        world.rerun_check(who, id).await;
    } else {
        world.click_action(who, id, &action).await;
    }
    let local = back.starts_with('/') && !back.starts_with("//") && !back.contains(['\r', '\n', '\\']);
    let back = if local { back } else { "/".to_owned() };
    let response = Response::builder().status(303).header("location", back);
    response.body(Body::empty()).unwrap_or_else(|_| plain(400, "no such page\n".to_owned()))
}

fn said(value: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(format!("{value}\n"))).unwrap()
}

fn plain(status: u16, text: String) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "text/plain; charset=utf-8");
    response.body(Body::from(text)).unwrap()
}
