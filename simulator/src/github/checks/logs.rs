//! Logs of GitHub Actions jobs. They are kept on another host than the API: it redirects to an address that works once,
//! for a minute, and only without credentials.

use std::net::TcpListener;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, header};
use serde_json::Value;

use crate::github::{Credential, World, journal};

/// How long an address works, in seconds.
const TICKET_LIFE: u64 = 60;

/// A job of a workflow run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub run: u64,
    pub log: String,
}

#[derive(Debug)]
pub(crate) struct Ticket {
    job: u64,
    until: u64,
}

/// A socket beside the main one, and its URL.
pub(crate) fn bind(url: &str) -> (TcpListener, String) {
    let host = url.trim_start_matches("http://").rsplit_once(':').map_or("127.0.0.1", |it| it.0);
    let listener = TcpListener::bind(format!("{host}:0")).expect("a free port for the logs");
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

impl World {
    /// The host that serves logs, which must never see a token.
    pub fn logs_url(&self) -> &str {
        &self.logs_url
    }

    /// A new address of a job's log.
    pub(crate) fn log_address(&self, tickets: &mut std::collections::HashMap<String, Ticket>, job: u64) -> String {
        let name = uuid::Uuid::new_v4().simple().to_string();
        let url = format!("{}/logs/{job}/{name}?sig=x", self.logs_url);
        tickets.insert(name, Ticket { job, until: self.clock.now() + TICKET_LIFE });
        url
    }
}

/// Answers on the log host. Every request is in the journal like those of the API.
pub(crate) fn answer(world: &World, request: &Request<Bytes>) -> Response<Body> {
    let headers = request.headers();
    let (status, text) = log(world, request);
    let shown = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
    let shown = shown.map(|(name, value)| {
        let secret = name == header::AUTHORIZATION.as_str();
        if secret { (name, value.split(' ').next().unwrap_or_default().to_owned()) } else { (name, value) }
    });
    world.state().journal.push(journal::Request {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        credential: Credential::None,
        headers: shown.collect(),
        body: Value::Null,
        status,
        at: world.clock.now(),
    });
    let response = Response::builder().status(status).header("content-type", "text/plain; charset=utf-8");
    response.body(Body::from(text)).unwrap()
}

fn log(world: &World, request: &Request<Bytes>) -> (u16, String) {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return (
            400,
            "InvalidAuthenticationInfo: Authentication information is not given in the correct format".into(),
        );
    }
    let mut state = world.state();
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    match state.tickets.remove(name) {
        Some(ticket) if ticket.until >= world.clock.now() => {
            (200, state.jobs.get(&ticket.job).map(|it| it.log.clone()).unwrap_or_default())
        }
        Some(_) => (403, "AuthenticationFailed: Signed expiry time has passed".to_owned()),
        None => (403, "AuthenticationFailed: Server failed to authenticate the request".to_owned()),
    }
}
