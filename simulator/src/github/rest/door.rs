//! The front door: every request to the simulator comes in here, meets its fault, and is written into the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_lc_rs::digest;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::call::parse_query;
use super::{Call, Needs, ROUTES, Route};
use crate::clock::http_date;
use crate::github::answer::Answer;
use crate::github::auth::{allows, identify};
use crate::github::faults::{Fault, fits, met};
use crate::github::limits::{self, Budget};
use crate::github::state::State;
use crate::github::{BOT_ID, Credential, World, control, git_http, journal, pages};
use crate::server::{HangUp, Reply};

/// The versions of the REST API that exist.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// Answers one request of any kind.
pub(crate) async fn front_door(world: Arc<World>, request: Request<Bytes>) -> Reply {
    if world.down.load(Ordering::SeqCst) {
        return Err(HangUp);
    }
    let path = request.uri().path().to_owned();
    if path.starts_with("/_control/") {
        return Ok(control::answer(&world, &request).await);
    }
    if let Some((full_name, rest)) = git_http::route(&path) {
        return git(&world, request, &full_name, rest).await;
    }
    if let Some(page) = pages::answer(&world, &request) {
        return Ok(page);
    }
    rest(&world, request).await
}

async fn git(world: &Arc<World>, request: Request<Bytes>, full_name: &str, rest: &str) -> Reply {
    let method = request.method().clone();
    // Faults are written for `/{o}/{r}/…`, with or without `.git` in the URL.
    let fault = met(&mut world.state(), method.as_str(), &format!("/{full_name}/{rest}"));
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let note = |status: u16, credential: Credential| {
        let entry = entry(world, &method, uri.path(), uri.query(), &headers, Value::Null, credential, status);
        world.state().journal.push(entry);
    };
    let after = match before(world, fault).await {
        Ok(after) => after,
        Err(early) => {
            note(early.as_ref().map_or(0, |it| it.status), Credential::None);
            return early.map(|it| respond(world, it, None)).map_err(|_| HangUp);
        }
    };
    let (response, credential) = git_http::serve(world, request, full_name, rest).await;
    if matches!(after, Some(Fault::ResetAfterApply)) {
        note(0, credential);
        return Err(HangUp);
    }
    note(response.status().as_u16(), credential);
    Ok(response)
}

async fn rest(world: &Arc<World>, request: Request<Bytes>) -> Reply {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let path = path.strip_prefix(&world.options.api_prefix).unwrap_or(path).to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let fault = met(&mut world.state(), parts.method.as_str(), &by_name(world, &path));
    let json_body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let after = match before(world, fault).await {
        Ok(after) => after,
        Err(early) => {
            let status = early.as_ref().map_or(0, |it| it.status);
            let entry =
                entry(world, &parts.method, &path, Some(&query), &parts.headers, json_body, Credential::None, status);
            world.state().journal.push(entry);
            return early.map(|it| respond(world, it, None)).map_err(|_| HangUp);
        }
    };
    let (method, headers) = (parts.method.clone(), parts.headers.clone());
    let (inner, inner_path, inner_query) = (Arc::clone(world), path.clone(), query.clone());
    // Handlers ask git, which blocks.
    let answering =
        tokio::task::spawn_blocking(move || answer(&inner, &method, &inner_path, &inner_query, &headers, &body));
    let (mut answer, credential, budget) = answering.await.unwrap();
    match after {
        Some(Fault::ResetAfterApply) => answer.status = 0,
        Some(Fault::BadGatewayAfterApply) => answer = Answer::refuse(502, "Server Error"),
        Some(Fault::TruncatedJson) => answer.body.truncate(answer.body.len() / 2),
        _ => {}
    }
    let entry = entry(world, &parts.method, &path, Some(&query), &parts.headers, json_body, credential, answer.status);
    world.state().journal.push(entry);
    if answer.status == 0 {
        return Err(HangUp);
    }
    Ok(respond(world, answer, world.options.rate_limit_headers.then_some(budget)))
}

/// The part of a fault that comes before the request takes effect. `Ok`: go on; `Err`: answer or hang up at once.
async fn before(world: &World, fault: Option<Fault>) -> Result<Option<Fault>, Result<Answer, HangUp>> {
    match fault {
        Some(Fault::Status(status)) => Err(Ok(Answer::refuse(status, "Server Error"))),
        Some(Fault::StatusWithBody(status, body)) => Err(Ok(Answer::json(status, &body))),
        Some(Fault::BadCredentials) => Err(Ok(Answer::bad_credentials())),
        Some(Fault::SecondaryLimit { retry_after }) => Err(Ok(limits::secondary(retry_after))),
        Some(Fault::PrimaryLimit { reset_in }) => {
            let budget = Budget { limit: 5000, used: 5000, reset: world.clock.now() + reset_in };
            let mut answer = limits::primary("installation");
            answer.headers.extend(budget.headers());
            Err(Ok(answer))
        }
        Some(Fault::ResetBeforeApply) => Err(Err(HangUp)),
        Some(Fault::Hang(long)) => {
            tokio::time::sleep(long).await;
            Err(Err(HangUp))
        }
        Some(Fault::Delay(long)) => {
            tokio::time::sleep(long).await;
            Ok(None)
        }
        after => Ok(after),
    }
}

/// Answers a REST call, and says who made it and where that caller stands.
fn answer(
    world: &Arc<World>,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> (Answer, Credential, Budget) {
    let mut guard = world.state();
    let state = &mut *guard;
    let identity = identify(world, state, headers);
    let credential = identity.clone().unwrap_or(Credential::None);
    let who = match &credential {
        Credential::None => "nobody",
        Credential::Jwt => "app",
        Credential::Installation { .. } => "installation",
    };
    let mut events = Vec::new();
    let outcome = identity.and_then(|credential| {
        conventions(headers)?;
        if limits::exhausted(world, state, who) {
            return Err(limits::primary(who));
        }
        carry_out(world, state, method, path, query, headers, body, credential, &mut events)
    });
    let mut answer = outcome.unwrap_or_else(|refusal| refusal);
    if *method == Method::GET && answer.status == 200 {
        answer = conditional(answer, headers);
    }
    if headers.get("x-github-api-version").is_some_and(|it| it == VERSIONS[1]) {
        answer = newer(answer);
    }
    let free = answer.status == 304 || path == "/rate_limit";
    let budget = limits::spend(world, state, who, u64::from(!free));
    drop(guard);
    world.deliver_later(events);
    (answer, credential, budget)
}

/// What GitHub asks of every request.
fn conventions(headers: &HeaderMap) -> Result<(), Answer> {
    if headers.get(header::USER_AGENT).is_none_or(http::HeaderValue::is_empty) {
        return Err(Answer::refuse(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
        ));
    }
    match headers.get("x-github-api-version").map(|it| it.to_str().unwrap_or("?")) {
        Some(unknown) if !VERSIONS.contains(&unknown) => {
            Err(Answer::refuse(400, &format!("{unknown:?} is not a supported version of the API")))
        }
        _ => Ok(()),
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one request, taken apart once")]
fn carry_out(
    world: &Arc<World>,
    state: &mut State,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
    credential: Credential,
    events: &mut Vec<crate::github::events::Event>,
) -> Result<Answer, Answer> {
    let named = named(state, path);
    let unknown = || Answer::refuse(404, &format!("Not Found (the simulator has no {method} {path})"));
    let (route, params) = find(method, &named).ok_or_else(unknown)?;
    let full_name = ["o", "r"].map(|it| params.iter().find(|(name, _)| name == it).map(|it| it.1.clone()));
    let mut repo = 0;
    if let [Some(owner), Some(name)] = full_name {
        let full = format!("{owner}/{name}");
        match state.repo_named(&full) {
            Some(found) => repo = found.id,
            None => return Err(moved(world, state, method, &full, path, query, &credential)),
        }
    }
    permit(state, route, method, repo, &credential)?;
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let mut call = Call {
        world,
        state,
        params: params.into_iter().map(|(name, value)| (name, decode(&value))).collect(),
        query: parse_query(query),
        below: if repo == 0 {
            path.to_owned()
        } else {
            named.splitn(5, '/').nth(4).map(|it| format!("/{it}")).unwrap_or_default()
        },
        headers,
        body: parse_body(body)?,
        credential,
        token: text.split_once(' ').map_or(text, |it| it.1).to_owned(),
        repo,
        now: world.clock.now(),
        events: Vec::new(),
    };
    let outcome = (route.run)(&mut call);
    *events = call.events;
    outcome
}

fn parse_body(body: &Bytes) -> Result<Value, Answer> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| Answer::refuse(400, "Problems parsing JSON"))?;
    if value.is_object() { Ok(value) } else { Err(Answer::refuse(400, "Body should be a JSON object")) }
}

fn find(method: &Method, path: &str) -> Option<(&'static Route, Vec<(String, String)>)> {
    let matching = ROUTES.iter().filter(|it| it.method == method.as_str());
    matching.filter_map(|it| Some((it, fits(it.path, path)?))).next()
}

/// `/repositories/{id}/…` written with owner and name.
fn named(state: &State, path: &str) -> String {
    let by_id = path.strip_prefix("/repositories/").map(|it| it.split_once('/').unwrap_or((it, "")));
    let found = by_id.and_then(|(id, rest)| {
        let id: u64 = id.parse().ok()?;
        let repo = state.repos.iter().find(|it| it.id == id)?;
        Some(format!("/repos/{}/{rest}", repo.full_name()))
    });
    match found {
        Some(found) if !path.ends_with('/') => found.trim_end_matches('/').to_owned(),
        Some(found) => found,
        None => path.to_owned(),
    }
}

/// As [`named`], for faults, which are written with `/repos/{o}/{r}`.
fn by_name(world: &World, path: &str) -> String {
    named(&world.state(), path)
}

/// A repository not there: 404, or where it has moved to.
fn moved(
    world: &World,
    state: &State,
    method: &Method,
    full: &str,
    path: &str,
    query: &str,
    credential: &Credential,
) -> Answer {
    let Some(repo) = state.repo_formerly(full) else { return Answer::not_found() };
    if repo.private && *credential == Credential::None {
        return Answer::not_found();
    }
    let rest = path.splitn(5, '/').nth(4).map(|it| format!("/{it}")).unwrap_or_default();
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    let location = format!("{}/repositories/{}{rest}{query}", world.api_url, repo.id);
    let status = if *method == Method::GET { 301 } else { 307 };
    let message = if status == 301 { "Moved Permanently" } else { "Temporary Redirect" };
    Answer::json(status, &json!({ "message": message, "url": location })).with("location", location)
}

fn permit(state: &State, route: &Route, method: &Method, repo: u64, credential: &Credential) -> Result<(), Answer> {
    match (route.needs, credential) {
        (Needs::Nothing, _) | (Needs::Jwt, Credential::Jwt) | (Needs::Token, Credential::Installation { .. }) => Ok(()),
        (Needs::Jwt, _) => Err(Answer::refuse(401, "A JSON web token could not be decoded")),
        (Needs::Token, Credential::Jwt) => Err(Answer::refuse(403, "Resource not accessible by integration")),
        (Needs::Token, Credential::None) => Err(Answer::refuse(401, "Requires authentication")),
        (Needs::Repo(accepted), credential) => {
            let here = state.repo(repo);
            let reading = *method == Method::GET && !here.private;
            let Credential::Installation { permissions, repository_ids, .. } = credential else {
                return if reading { Ok(()) } else { Err(Answer::not_found()) };
            };
            let within = here.installed && repository_ids.as_ref().is_none_or(|it| it.contains(&repo));
            if !within {
                return if reading { Ok(()) } else { Err(Answer::not_found()) };
            }
            let has = |name: &str, level: &str| {
                allows(permissions, name, level) && allows(&state.installation.permissions, name, level)
            };
            if reading || accepted.iter().any(|(name, level)| has(name, level)) {
                return Ok(());
            }
            let wanted: Vec<String> = accepted.iter().map(|(name, level)| format!("{name}={level}")).collect();
            Err(Answer::refuse(403, "Resource not accessible by integration")
                .with("x-accepted-github-permissions", wanted.join("; ")))
        }
    }
}

/// Adds an `ETag`; 304 without a body if the caller has this very answer.
fn conditional(mut answer: Answer, headers: &HeaderMap) -> Answer {
    let hash = hex::encode(digest::digest(&digest::SHA256, &answer.body));
    let etag = format!("W/\"{}\"", &hash[..40]);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|it| *it == *etag) {
        answer.status = 304;
        answer.body = Bytes::new();
    }
    answer.with("etag", etag).with("cache-control", "private, max-age=60, s-maxage=60")
}

/// What the API version of March 2026 no longer says.
fn newer(mut answer: Answer) -> Answer {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(object) => {
                for gone in ["assignee", "merge_commit_sha", "rate"] {
                    object.remove(gone);
                }
                object.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    if let Ok(mut value) = serde_json::from_slice::<Value>(&answer.body) {
        strip(&mut value);
        answer.body = Bytes::from(value.to_string());
    }
    answer
}

fn respond(world: &World, answer: Answer, budget: Option<Budget>) -> Response<Body> {
    let serial = {
        let mut state = world.state();
        state.served += 1;
        state.served
    };
    let mut response = Response::builder()
        .status(answer.status)
        .header("date", http_date(world.clock.now()))
        .header("server", "github.com")
        .header("x-github-media-type", "github.v3; format=json")
        .header("x-github-request-id", format!("SIM0:{BOT_ID:X}:{serial:06X}"));
    for (name, value) in answer.headers.into_iter().chain(budget.map(Budget::headers).unwrap_or_default()) {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

#[expect(clippy::too_many_arguments, reason = "a row of the journal")]
fn entry(
    world: &World,
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Value,
    credential: Credential,
    status: u16,
) -> journal::Request {
    let shown = |name: &http::HeaderName, value: &str| match *name {
        header::AUTHORIZATION => value.split(' ').next().unwrap_or_default().to_owned(),
        _ => value.to_owned(),
    };
    let headers = headers.iter().map(|(name, value)| (name.to_string(), shown(name, value.to_str().unwrap_or("?"))));
    journal::Request {
        method: method.to_string(),
        path: path.to_owned(),
        query: query.unwrap_or_default().to_owned(),
        credential,
        headers: headers.collect(),
        body,
        status,
        at: world.clock.now(),
    }
}
