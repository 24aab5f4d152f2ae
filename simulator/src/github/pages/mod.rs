//! Web pages for people who look at the result in a browser: repositories, issues, pull requests, check runs.

mod diff;
mod markdown;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};

use self::markdown::{Link, escape, render};
use super::World;
use super::shapes::REACTIONS;
use super::state::{Check, Issue, Kind, Reaction, State};
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
            (title, conversation(world, &state, repo.id, issue))
        }
        [owner, name, "runs", id] => {
            let repo = state.repo_named(&format!("{owner}/{name}"))?;
            let check = state.checks.get(&id.parse().ok()?).filter(|it| it.repo == repo.id)?;
            (format!("{} · {}", check.name, repo.full_name()), run(&state, check))
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
        .header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
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

/// An issue or pull request with everything said about it.
fn conversation(world: &World, state: &State, repo: u64, issue: &Issue) -> String {
    let link = Link { repo: state.repo(repo).full_name() };
    let mut out = format!(
        "<h1>{} <span class=\"dim\">#{}</span></h1><p class=\"head\">{} ",
        escape(&issue.title),
        issue.number,
        badge(issue)
    );
    let author = escape(state.login(issue.author).trim_end_matches("[bot]"));
    if let Some(pull) = &issue.pull {
        let merge = if pull.merged_at.is_some() { "merged into" } else { "wants to merge into" };
        let _ = write!(
            out,
            "<b>{author}</b> {merge} <code class=\"ref\">{}</code> from <code class=\"ref\">{}</code>",
            escape(&pull.base),
            escape(&pull.head),
        );
    } else {
        let _ = write!(out, "<span class=\"dim\"><b>{author}</b> opened this issue</span>");
    }
    for label in &issue.labels {
        let _ = write!(out, " <span class=\"label\">{}</span>", escape(label));
    }
    out.push_str("</p>");
    let text = issue.body.as_deref().unwrap_or("*No description provided.*");
    out.push_str(&said(state, &link, issue.author, issue.created_at, text, &issue.reactions));
    for note in state.notes.values().filter(|it| it.repo == repo && it.number == issue.number) {
        out.push_str(&said(state, &link, note.author, note.created_at, &note.body, &note.reactions));
    }
    let Some(pull) = &issue.pull else { return out };
    let bare = world.bare(repo);
    let head = format!("refs/pull/{}/head", issue.number);
    let base = if pull.merged_at.is_some() { format!("{head}~1") } else { pull.base.clone() };
    for commit in bare.commits(&base, &head) {
        let subject = commit.message.lines().next().unwrap_or_default();
        let _ = write!(
            out,
            "<p class=\"commit\"><b>{}</b> {} <code>{}</code></p>",
            escape(commit.author_name.trim_end_matches("[bot]")),
            escape(subject),
            &commit.sha[..7],
        );
    }
    let sha = bare.resolve(&head).unwrap_or_default();
    let checks = state.checks.values().filter(|it| it.repo == repo && it.head_sha == sha);
    let lines: String = checks.map(|it| check_line(&link, it)).collect();
    if !lines.is_empty() {
        let _ = write!(out, "<section class=\"box checks\">{lines}</section>");
    }
    let stat = bare.stat(&base, &head);
    let (added, deleted) = stat.iter().filter_map(|it| it.0).fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let _ = write!(
        out,
        "<h2>Files changed <span class=\"count\">{}</span> <span class=\"plus\">+{added}</span> \
         <span class=\"minus\">−{deleted}</span></h2>",
        stat.len(),
    );
    out + &diff::coloured(&bare.diff(&base, &head, 3))
}

/// One comment.
fn said(state: &State, link: &Link, author: u64, at: u64, text: &str, reactions: &[Reaction]) -> String {
    let login = state.login(author);
    let bot = state.account_by_id(author).is_some_and(|it| it.kind == Kind::Bot);
    let name = login.trim_end_matches("[bot]");
    let initial = name.chars().next().unwrap_or('?').to_uppercase().to_string();
    let mut out = format!(
        "<section class=\"said{}\"><span class=\"face\">{}</span><div class=\"box\"><div class=\"by\"><b>{}</b>{} \
         <span class=\"dim\">{}</span></div><div class=\"text\">{}</div>",
        if bot { " bot" } else { "" },
        escape(&initial),
        escape(name),
        if bot { " <span class=\"mark\">bot</span>" } else { "" },
        iso(at).replace(['T', 'Z'], " "),
        render(text, link),
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

fn check_line(link: &Link, check: &Check) -> String {
    let state = check.conclusion.as_deref().unwrap_or(&check.status);
    let mark = match state {
        "success" => "✓",
        "failure" | "timed_out" | "action_required" => "✗",
        "queued" | "in_progress" => "●",
        _ => "▪",
    };
    format!(
        "<p class=\"check {state}\"><span class=\"mark\">{mark}</span> <a href=\"/{}/runs/{}\"><b>{}</b></a> {} \
         <span class=\"dim\">{}</span></p>",
        link.repo,
        check.id,
        escape(&check.name),
        escape(check.title.as_deref().unwrap_or_default()),
        state.replace('_', " "),
    )
}

/// A check run's own page.
fn run(state: &State, check: &Check) -> String {
    let link = Link { repo: state.repo(check.repo).full_name() };
    let part = |text: &Option<String>| {
        let html = render(text.as_deref().unwrap_or_default(), &link);
        format!("<section class=\"box\"><div class=\"text\">{html}</div></section>")
    };
    let mut out = format!(
        "<h1>{}</h1><section class=\"box checks\">{}</section>",
        escape(check.title.as_deref().unwrap_or(&check.name)),
        check_line(&link, check)
    );
    for text in [&check.summary, &check.text].into_iter().filter(|it| it.is_some()) {
        out.push_str(&part(text));
    }
    out
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
