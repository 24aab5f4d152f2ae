//! Completion webhooks: whoever asked for a task hears of its end. The call is a job of the queue that is made in the
//! transaction that ends the task, so no crash loses it; it may be heard twice, with the same delivery id.

mod phone;

use anyhow::{Context as _, Result};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, info, info_span, warn};
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::problem::Problem;
use super::secret::Given;
use super::whole::whole;
use crate::app::App;
use crate::clock::{self, Millis};
use crate::gateway::egress::Network;
use crate::gateway::host::Place;
use crate::queue::{Job, Verdict};
use crate::store::{self, Called, NewCallback, Secret, Tried};
use crate::text;

pub use phone::Phone;

/// Longest address, and the lengths of a secret.
const LONGEST: usize = 2048;
const SECRET: std::ops::RangeInclusive<usize> = 16..=255;
/// The longest pause between two tries, in milliseconds.
const REST: Millis = 6 * 3_600_000;
/// When what failed on our side is tried again, in milliseconds.
const AGAIN: Millis = 2_000;

/// How the callback of a task stands.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CallbackView {
    /// In `x-cloud-agent-delivery`, the same over all tries.
    pub delivery_id: String,
    /// Where it goes; the rest of the address is not shown.
    pub host: String,
    /// `waiting` for the task's end or the next try, `delivered`, `refused` or `given_up`.
    pub status: String,
    pub tries: i64,
    /// The status that the last try was answered with.
    pub last_status: Option<u16>,
    /// What was wrong with the last try.
    pub says: Option<String>,
    pub next_at: Option<Millis>,
    pub ended_at: Option<Millis>,
}

impl From<store::Callback> for CallbackView {
    fn from(it: store::Callback) -> Self {
        Self {
            delivery_id: it.delivery_id,
            host: it.host,
            status: it.outcome.map_or("waiting", Called::name).to_owned(),
            tries: it.tries,
            last_status: it.last.status,
            says: it.last.says,
            next_at: it.next_at,
            ended_at: it.ended_at,
        }
    }
}

/// The client that calls, with the system's resolver and the public internet.
pub fn phone() -> Phone {
    Phone::new(Network::public())
}

/// What a request asks for, if it can be had.
pub fn wanted(app: &App, url: Option<&str>, secret: Option<&Given>) -> Result<Option<NewCallback>, Problem> {
    let (url, secret) = match (url, secret) {
        (None, None) => return Ok(None),
        (Some(_), None) => {
            let says = "give a secret of 16 to 255 characters: the callback is signed with it";
            return Err(Problem::invalid("callback_secret", says));
        }
        (None, Some(_)) => return Err(Problem::invalid("callback_url", "give the address that is to be called")),
        (Some(url), Some(secret)) => (url, secret),
    };
    if !SECRET.contains(&secret.expose().chars().count()) {
        return Err(Problem::invalid("callback_secret", "give 16 to 255 characters"));
    }
    let url = address(app, url).map_err(|says| Problem::invalid("callback_url", says))?;
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(Some(NewCallback {
        delivery_id: Uuid::now_v7().to_string(),
        url: url.to_string().into(),
        secret: secret.0.clone(),
        host,
    }))
}

/// An address that may be called, as far as its looks tell; where its name leads is looked at when it is called.
fn address(app: &App, given: &str) -> Result<Url, String> {
    let url: Option<Url> = given.parse().ok().filter(|_| given.len() <= LONGEST);
    let mut url = url.ok_or_else(|| format!("give an https address of at most {LONGEST} characters"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave name and password out: `callback_secret` tells who calls".to_owned());
    }
    url.set_fragment(None);
    let is_named = app.config.callbacks.names(&url);
    match url.scheme() {
        "https" => (),
        "http" if is_named => (),
        "http" => return Err("give an https address; the operator can allow a host with CALLBACK_HOSTS".to_owned()),
        _ => return Err("give an https address".to_owned()),
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err("give an https address with a host".to_owned());
    };
    if !is_named && Place::parse(&format!("{host}:{port}")).is_err() {
        return Err("give a public host by its name; the operator can allow others with CALLBACK_HOSTS".to_owned());
    }
    Ok(url)
}

/// Work on one callback.
pub async fn call(app: App, phone: Phone, job: Job) -> Verdict {
    let span = info_span!("callback", delivery = job.lease().job_id, task.id = tracing::field::Empty);
    let called = async {
        tokio::select! {
            called = try_once(&app, &phone, &job) => called,
            _ = job.stopped() => Ok(Verdict::Again { at: clock::now(), failed: false }),
        }
    };
    match called.instrument(span).await {
        Ok(verdict) => verdict,
        Err(error) => {
            warn!("A callback broke: {error:#}");
            Verdict::Again { at: clock::now() + AGAIN, failed: true }
        }
    }
}

async fn try_once(app: &App, phone: &Phone, job: &Job) -> Result<Verdict> {
    let (store, lease) = (&app.store, job.lease());
    let callback = store.callback(&lease.job_id).await?.filter(|it| it.outcome.is_none());
    let task = match &callback {
        Some(callback) => store.task(&callback.task_id).await?,
        None => None,
    };
    let (Some(callback), Some(task)) = (callback, task) else {
        store.finish(lease).await?;
        return Ok(Verdict::Done);
    };
    tracing::Span::current().record("task.id", &callback.task_id);
    let body = serde_json::to_value(whole(app, &task).await?).context("write a task")?;
    // As every other answer of this door.
    let body = text::redact_json(&body, text::redact).to_string();
    let (tried, called) = match dial(app, phone, &callback, body).await? {
        Ok(tried) => (tried, Some(Called::Delivered)),
        Err((tried, Some(called))) => (tried, Some(called)),
        Err((tried, None)) => {
            let last = callback.tries + 1 >= i64::from(app.config.callbacks.tries);
            (tried, last.then_some(Called::GivenUp))
        }
    };
    if let Some(called) = called {
        match called {
            Called::Delivered => info!("{} has heard of the end", callback.host),
            _ => warn!("{} will not hear of the end: {}", callback.host, tried.says.as_deref().unwrap_or_default()),
        }
        store.end_callback(lease, &tried, called).await?;
        return Ok(Verdict::Done);
    }
    let at = clock::now() + pause(app.config.callbacks.retry.0.as_millis() as Millis, callback.tries);
    info!("{} did not take the callback: {}", callback.host, tried.says.as_deref().unwrap_or_default());
    store.note_try(lease, &tried, at).await?;
    Ok(Verdict::Again { at, failed: false })
}

/// Call once. What came of it, and where it failed, whether there is no sense in another try.
async fn dial(
    app: &App,
    phone: &Phone,
    callback: &store::Callback,
    body: String,
) -> Result<Result<Tried, (Tried, Option<Called>)>> {
    let says = |says: String| Tried { status: None, says: Some(says) };
    let opened = async |what| app.store.secret_of(&callback.task_id, what).await;
    let (url, secret) = match (opened(Secret::CallbackUrl).await, opened(Secret::CallbackSecret).await) {
        (Ok(Some(url)), Ok(Some(secret))) => (url, secret),
        (Err(error), _) | (_, Err(error)) if error.chain().any(|it| it.downcast_ref::<store::Error>().is_some()) => {
            return Err(error);
        }
        // Sealed with a key that is gone.
        _ => return Ok(Err((says("its address can't be opened any more".to_owned()), Some(Called::GivenUp)))),
    };
    // Looked at again: the settings may have changed since it was asked for.
    let url = match address(app, url.expose_secret()) {
        Ok(url) => url,
        Err(why) => return Ok(Err((says(why), Some(Called::Refused)))),
    };
    let call = phone::Call {
        is_named: app.config.callbacks.names(&url),
        url,
        delivery_id: &callback.delivery_id,
        secret: &secret,
        body,
        timeout: app.config.callbacks.timeout.0,
    };
    Ok(match phone.call(call).await {
        Ok(status) if status.is_success() => Ok(Tried { status: Some(status.as_u16()), says: None }),
        Ok(status) => {
            let more = if status.is_redirection() { "; redirects are not followed" } else { "" };
            let tried = Tried { status: Some(status.as_u16()), says: Some(format!("it answered {status}{more}")) };
            // Whoever says so wants to hear no more.
            Err((tried, (status == http::StatusCode::GONE).then_some(Called::GivenUp)))
        }
        Err(error @ phone::NoAnswer::Private) => Err((says(error.to_string()), Some(Called::Refused))),
        Err(error) => Err((says(text::line(&error.to_string(), 200)), None)),
    })
}

/// How long to wait after so many tries before this one.
fn pause(first: Millis, before: i64) -> Millis {
    let times = 4_i64.saturating_pow(before.clamp(0, 30) as u32);
    first.saturating_mul(times).min(REST.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_six_hours() {
        let all: Vec<_> = (0..8).map(|before| pause(10_000, before) / 1000).collect();
        assert_eq!(all, [10, 40, 160, 640, 2560, 10_240, 21_600, 21_600]);
        assert_eq!(pause(50, 100), REST);
    }
}
