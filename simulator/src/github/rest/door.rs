//! The front door: every request to the simulator comes in here, meets its fault, and is written into the journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::call::parse_query;
use super::gate::{conditional, conventions, in_version, moved, permit};
use super::{Call, ROUTES, Route};
use crate::clock::http_date;
use crate::github::answer::Answer;
use crate::github::auth::identify;
use crate::github::events::Event;
use crate::github::faults::{Fault, fits, met};
use crate::github::limits::{self, Budget};
use crate::github::openapi::complaint;
use crate::github::state::State;
use crate::github::{BOT_ID, Credential, Moment, World, control, git_http, journal, pages};
use crate::server::{HangUp, Reply};

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
    if !path.starts_with(&world.options.api_prefix) && path != world.graphql_path() {
        let prefix = &world.options.api_prefix;
        let refusal = Answer::refuse(404, &format!("Not Found (REST is below {prefix} here, not at {path})"));
        Asked::of(&world, &request).note(&world, Credential::None, 404);
        return Ok(respond(&world, refusal, None));
    }
    rest(&world, request).await
}

/// A request, taken apart once.
struct Asked {
    method: Method,
    /// Without the API prefix.
    path: String,
    query: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    fn of(world: &World, request: &Request<Bytes>) -> Self {
        let path = request.uri().path();
        let below = path.strip_prefix(&world.options.api_prefix).unwrap_or(path);
        Self {
            method: request.method().clone(),
            path: if path == world.graphql_path() { "/graphql" } else { below }.to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
            body: request.body().clone(),
        }
    }

    /// Steps on the wire. What comes back is for `tripped`, once the request has taken effect.
    fn trip(&self, world: &World) -> Result<Option<Moment>, HangUp> {
        match world.wire().step() {
            Some(Moment::Before) => self.act(world),
            later => Ok(later),
        }
    }

    fn tripped(&self, world: &World, moment: Option<Moment>) -> Result<(), HangUp> {
        moment.map_or(Ok(()), |_| self.act(world))
    }

    fn act<T>(&self, world: &World) -> Result<T, HangUp> {
        self.note(world, Credential::None, 0);
        let query = if self.query.is_empty() { "" } else { "?" };
        world.wire().act(&format!("{} {}{query}{}", self.method, self.path, self.query));
        Err(HangUp)
    }

    /// Writes the request into the journal, with how it ended; 0 means without an answer.
    fn note(&self, world: &World, credential: Credential, status: u16) {
        let shown = |name: &http::HeaderName, value: &str| match *name {
            header::AUTHORIZATION => value.split(' ').next().unwrap_or_default().to_owned(),
            _ => value.to_owned(),
        };
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), shown(name, value.to_str().unwrap_or("?"))));
        let entry = journal::Request {
            method: self.method.to_string(),
            path: self.path.clone(),
            query: self.query.clone(),
            credential,
            headers: headers.collect(),
            body: serde_json::from_slice(&self.body).unwrap_or(Value::Null),
            status,
            at: world.clock.now(),
        };
        world.state().journal.push(entry);
    }
}

async fn git(world: &Arc<World>, request: Request<Bytes>, full_name: &str, rest: &str) -> Reply {
    let asked = Asked { body: Bytes::new(), ..Asked::of(world, &request) };
    let moment = asked.trip(world)?;
    // Faults are written for `/{o}/{r}/…`, with or without `.git` in the URL.
    let path = format!("/{full_name}/{rest}");
    let fault = met(&mut world.state(), asked.method.as_str(), &path, &asked.query);
    let after = match before(world, fault).await {
        Ok(after) => after,
        Err(early) => return end_early(world, &asked, early),
    };
    let (mut response, credential) = git_http::serve(world, request, full_name, rest).await;
    asked.tripped(world, moment)?;
    match after {
        Some(Fault::ResetAfterApply) => {
            asked.note(world, credential, 0);
            return Err(HangUp);
        }
        Some(Fault::BadGatewayAfterApply) => response = respond(world, Answer::refuse(502, "Server Error"), None),
        Some(Fault::TruncatedJson) => response = git_http::half(response).await,
        _ => {}
    }
    asked.note(world, credential, response.status().as_u16());
    Ok(response)
}

async fn rest(world: &Arc<World>, request: Request<Bytes>) -> Reply {
    let asked = Arc::new(Asked::of(world, &request));
    let moment = asked.trip(world)?;
    let fault = {
        let mut state = world.state();
        // Faults are written with `/repos/{o}/{r}`.
        let path = named(&state, &asked.path);
        met(&mut state, asked.method.as_str(), &path, &asked.query)
    };
    let after = match before(world, fault).await {
        Ok(after) => after,
        Err(early) => return end_early(world, &asked, early),
    };
    if let Some(Fault::AppliedLate(now)) = after {
        asked.note(world, Credential::None, 0);
        let world = Arc::clone(world);
        tokio::spawn(async move {
            now.notified().await;
            tokio::task::spawn_blocking(move || drop(answer(&world, &asked))).await
        });
        return Err(HangUp);
    }
    // Handlers ask git, which blocks.
    let answering = tokio::task::spawn_blocking({
        let (world, asked) = (Arc::clone(world), Arc::clone(&asked));
        move || answer(&world, &asked)
    });
    let (mut answer, credential, budget) = answering.await.unwrap();
    asked.tripped(world, moment)?;
    match after {
        Some(Fault::ResetAfterApply) => {
            asked.note(world, credential, 0);
            return Err(HangUp);
        }
        Some(Fault::BadGatewayAfterApply) => answer = Answer::refuse(502, "Server Error"),
        Some(Fault::TruncatedJson) => answer.body.truncate(answer.body.len() / 2),
        _ => {}
    }
    asked.note(world, credential, answer.status);
    Ok(respond(world, answer, world.options.rate_limit_headers.then_some(budget)))
}

/// Ends a request that a fault has stopped.
fn end_early(world: &World, asked: &Asked, early: Result<Answer, HangUp>) -> Reply {
    asked.note(world, Credential::None, early.as_ref().map_or(0, |it| it.status));
    early.map(|it| respond(world, it, None))
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
fn answer(world: &Arc<World>, asked: &Asked) -> (Answer, Credential, Budget) {
    let mut guard = world.state();
    let state = &mut *guard;
    let identity = identify(world, state, &asked.headers);
    let credential = identity.clone().unwrap_or(Credential::None);
    let who = match &credential {
        Credential::None => "nobody",
        Credential::Jwt => "app",
        Credential::Installation { .. } => "installation",
        Credential::Person { id, .. } => &format!("person {id}"),
    };
    let mut events = Vec::new();
    let outcome = identity.and_then(|credential| {
        conventions(&asked.headers)?;
        if limits::exhausted(world, state, who) {
            return Err(limits::primary(who));
        }
        carry_out(world, state, asked, credential, &mut events)
    });
    let mut answer = outcome.unwrap_or_else(|refusal| refusal);
    if asked.method == Method::GET && answer.status == 200 {
        answer = conditional(answer, &asked.headers);
    }
    let answer = in_version(answer, &asked.headers);
    let free = answer.status == 304 || asked.path == "/rate_limit";
    let budget = limits::spend(world, state, who, u64::from(!free));
    drop(guard);
    world.deliver_later(events);
    (answer, credential, budget)
}

fn carry_out(
    world: &Arc<World>,
    state: &mut State,
    asked: &Asked,
    credential: Credential,
    events: &mut Vec<Event>,
) -> Result<Answer, Answer> {
    let Asked { method, path, query, headers, body } = asked;
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
    if repo != 0 && method != Method::GET && state.repo(repo).archived {
        return Err(Answer::refuse(403, "Repository was archived so is read-only."));
    }
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let text = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let below = named.splitn(5, '/').nth(4).map(|it| format!("/{it}")).unwrap_or_default();
    let mut call = Call {
        world,
        state,
        params: params.into_iter().map(|(name, value)| (name, decode(&value))).collect(),
        query: parse_query(query),
        below: if repo == 0 { path.clone() } else { below },
        headers,
        body: parse_body(body)?,
        by: match &credential {
            Credential::Person { id, .. } => *id,
            _ => BOT_ID,
        },
        credential,
        token: text.split_once(' ').map_or(text, |it| it.1).to_owned(),
        repo,
        now: world.clock.now(),
        events: Vec::new(),
    };
    let outcome = (route.run)(&mut call);
    *events = call.events;
    if !body.is_empty() && outcome.is_ok() {
        call.state.violations.extend(complaint(method.as_str(), route.path, &call.body));
    }
    if let (&Method::POST, Ok(answer)) = (method, &outcome) {
        call.state.lag.get_mut().creates(&answer.body);
    }
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
    let mut matching = ROUTES.iter().filter(|it| it.method == method.as_str());
    matching.find_map(|it| Some((it, fits(it.path, path)?)))
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
