//! What every REST call must pass, and what every answer gets: conventions, permissions, redirects, versions, `ETag`s.

use aws_lc_rs::digest;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};

use super::{Needs, Route, person};
use crate::github::answer::Answer;
use crate::github::auth::allows;
use crate::github::state::State;
use crate::github::{Credential, World};

/// The versions of the REST API that exist.
const VERSIONS: [&str; 2] = ["2022-11-28", "2026-03-10"];

/// What GitHub asks of every request.
pub(crate) fn conventions(headers: &HeaderMap) -> Result<(), Answer> {
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

/// A repository not there: 404, or where it has moved to.
pub(crate) fn moved(
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

pub(crate) fn permit(
    state: &State,
    route: &Route,
    method: &Method,
    repo: u64,
    credential: &Credential,
) -> Result<(), Answer> {
    if let Credential::Person { .. } = credential {
        return person::permit(state, route, method, repo, credential);
    }
    match (route.needs, credential) {
        (Needs::Nothing, _)
        | (Needs::Jwt, Credential::Jwt)
        | (Needs::Token | Needs::AnyToken, Credential::Installation { .. }) => Ok(()),
        (Needs::Jwt, _) => Err(Answer::refuse(401, "A JSON web token could not be decoded")),
        (Needs::Token | Needs::AnyToken | Needs::Person, Credential::None) => {
            Err(Answer::refuse(401, "Requires authentication"))
        }
        (Needs::Token | Needs::AnyToken | Needs::Person, _) => {
            Err(Answer::refuse(403, "Resource not accessible by integration"))
        }
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
pub(crate) fn conditional(mut answer: Answer, headers: &HeaderMap) -> Answer {
    let hash = hex::encode(digest::digest(&digest::SHA256, &answer.body));
    let etag = format!("W/\"{}\"", &hash[..40]);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|it| *it == *etag) {
        answer.status = 304;
        answer.body = Bytes::new();
    }
    answer.with("etag", etag).with("cache-control", "private, max-age=60, s-maxage=60")
}

/// Leaves out what the API version of March 2026 no longer says, if the caller asks for that version.
pub(crate) fn in_version(mut answer: Answer, headers: &HeaderMap) -> Answer {
    if headers.get("x-github-api-version").is_none_or(|it| it != VERSIONS[1]) {
        return answer;
    }
    if let Ok(mut value) = serde_json::from_slice::<Value>(&answer.body) {
        strip(&mut value);
        answer.body = Bytes::from(value.to_string());
    }
    answer
}

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
