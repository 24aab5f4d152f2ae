//! Web pages for people who look at the result in a browser: repositories, issues, pull requests, check runs.

mod checks;
mod diff;
mod markdown;
mod talk;
mod threads;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};

use self::markdown::{Link, escape, render};
use super::World;
use super::shapes::REACTIONS;
use super::state::{Issue, Kind, Reaction, State};
use crate::clock::iso;

/// First parts of paths that belong to REST.
const RESERVED: [&str; 11] =
    ["app", "repos", "repositories", "users", "installation", "meta", "rate_limit", "api", "graphql", "orgs", "search"];

/// A page, if this request is for one. `?live` makes it reload itself.
pub(crate) fn answer(world: &Arc<World>, request: &Request<Bytes>) -> Option<Response<Body>> {
    if *request.method() != Method::GET {
        return None;
    }
    let path = request.uri().path();
    let parts: Vec<&str> = path.trim_matches('/').split('/').filter(|it| !it.is_empty()).collect();
    if parts.first().is_some_and(|it| RESERVED.contains(it)) {
        return None;
    }
    let state = world.state();
    let crumbs = match parts.as_slice() {
        [owner, name, ..] => {
            format!(" <span class=\"dim\">/</span> <a href=\"/{0}/{1}\">{0}/{1}</a>", escape(owner), escape(name))
        }
        _ => String::new(),
    };
    let (title, body) = match parts.as_slice() {
        [] => ("Repositories".to_owned(), state.repos.iter().map(|it| listing(&state, it.id)).collect()),
        [owner, name] => {
            let repo = state.repo_named(&format!("{owner}/{name}"))?;
            (repo.full_name(), listing(&state, repo.id))
        }
        [owner, name, "issues" | "pull", number, ..] => {
            let repo = state.repo_named(&format!("{owner}/{name}"))?;
            let issue = repo.issues.get(&number.parse().ok()?)?;
            let title = format!("{} · #{} · {}", issue.title, issue.number, repo.full_name());
            (title, talk::page(world, &state, repo.id, issue))
        }
        [owner, name, "runs", id] => {
            let repo = state.repo_named(&format!("{owner}/{name}"))?;
            let check = state.checks.get(&id.parse().ok()?).filter(|it| it.repo == repo.id)?;
            (format!("{} · {}", check.name, repo.full_name()), checks::page(&state, check))
        }
        _ => return None,
    };
    let live = request.uri().query().is_some_and(|it| it.contains("live"));
    Some(page(&title, &crumbs, &body, live))
}

fn page(title: &str, crumbs: &str, body: &str, live: bool) -> Response<Body> {
    let reload = if live { "<meta http-equiv=\"refresh\" content=\"3\">" } else { "" };
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>{reload}<style>{}</style></head>\
         <body><header><a href=\"/\">Simulated GitHub</a>{crumbs}<span class=\"note\">a simulation on this machine</span></header>\
         <main>{body}</main></body></html>",
        escape(title),
        include_str!("style.css"),
    );
    Response::builder()
        .header("content-type", "text/html; charset=utf-8")
        .header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
        .body(Body::from(html))
        .unwrap()
}

fn listing(state: &State, repo: u64) -> String {
    let repo = state.repo(repo);
    let name = repo.full_name();
    let mut out = format!("<h1><a href=\"/{name}\">{}</a></h1><ul class=\"list\">", escape(&name));
    for issue in repo.issues.values().rev() {
        let kind = if issue.pull.is_some() { "pull" } else { "issues" };
        let _ = write!(
            out,
            "<li>{} <a href=\"/{name}/{kind}/{}\">{}</a> <span class=\"dim\">#{} by {}</span></li>",
            badge(issue),
            issue.number,
            escape(&issue.title),
            issue.number,
            escape(&state.login(issue.author)),
        );
    }
    out + "</ul>"
}

/// One comment: by whom, and what they did if they did more than to comment; `more` HTML goes below the text.
fn said(
    state: &State,
    link: &Link,
    (author, did): (u64, &str),
    at: u64,
    text: &str,
    reactions: &[Reaction],
    more: &str,
) -> String {
    let login = state.login(author);
    let bot = state.account_by_id(author).is_some_and(|it| it.kind == Kind::Bot);
    let name = login.trim_end_matches("[bot]");
    let initial = name.chars().next().unwrap_or('?').to_uppercase().to_string();
    let text =
        if text.is_empty() { String::new() } else { format!("<div class=\"text\">{}</div>", render(text, link)) };
    let mut out = format!(
        "<section class=\"said{}\"><span class=\"face\">{}</span><div class=\"box\"><div class=\"by\"><b>{}</b>{} {did} \
         <span class=\"dim\">{}</span></div>{text}{more}",
        if bot { " bot" } else { "" },
        escape(&initial),
        escape(name),
        if bot { " <span class=\"mark\">bot</span>" } else { "" },
        iso(at).replace(['T', 'Z'], " "),
    );
    let mut chips = String::new();
    for (word, emoji) in REACTIONS {
        let count = reactions.iter().filter(|it| it.content == word).count();
        if count > 0 {
            let _ = write!(chips, "<span class=\"chip\">{emoji} {count}</span>");
        }
    }
    if !chips.is_empty() {
        let _ = write!(out, "<div class=\"chips\">{chips}</div>");
    }
    out + "</div></section>"
}

fn badge(issue: &Issue) -> &'static str {
    match &issue.pull {
        Some(pull) if pull.merged_at.is_some() => "<span class=\"state merged\">Merged</span>",
        Some(pull) if issue.open && pull.draft => "<span class=\"state draft\">Draft</span>",
        _ if issue.open => "<span class=\"state open\">Open</span>",
        Some(_) => "<span class=\"state shut\">Closed</span>",
        None => "<span class=\"state merged\">Closed</span>",
    }
}
