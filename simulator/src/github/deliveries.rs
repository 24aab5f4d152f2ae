//! Sending webhooks: real HTTP, signed, logged for the deliveries API, never repeated unless asked.

use std::sync::Weak;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use serde_json::Value;
use tokio::sync::mpsc;

use super::events::{Event, is_heard};
use super::{APP_ID, HOOK_ID, INSTALLATION_ID, World};

/// How a delivery went. `status` is the bot's; 502 when it could not be reached, 504 when it took too long, and 0 when
/// nothing was sent: no address, not subscribed, not installed, suspended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered {
    pub status: u16,
    /// The event's GUID; redeliveries keep it.
    pub guid: String,
    /// The comment that the verb made or changed, 0 for other verbs.
    pub comment_id: u64,
}

/// How [`World::deliver_raw`] signs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signature {
    Good,
    /// Right form, wrong digits.
    Wrong,
    /// No signature header at all.
    None,
    /// Only the legacy header, correctly made.
    Sha1Only,
    /// The right digits in upper case, which GitHub never sends.
    UpperHex,
    OtherSecret(&'static str),
}

/// One row of the delivery log.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub id: u64,
    pub guid: String,
    pub event: String,
    pub action: Option<String>,
    pub repository: Option<u64>,
    pub payload: Value,
    pub headers: Vec<(String, String)>,
    pub at: u64,
    pub redelivery: bool,
    pub duration: f64,
    /// 502 when the bot could not be reached, 504 when it took too long.
    pub status: u16,
    pub answer: String,
}

pub(crate) fn client(timeout: Duration) -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Delivers what the bot's own doings cause, one after the other, beside the requests that cause it.
pub(crate) async fn postman(world: Weak<World>, mut letters: mpsc::UnboundedReceiver<Event>) {
    while let Some(event) = letters.recv().await {
        let Some(world) = world.upgrade() else { return };
        world.deliver(event).await;
        world.in_flight.send_modify(|it| *it -= 1);
    }
}

impl World {
    /// Where webhooks go, for example `http://127.0.0.1:3000/webhooks/github`.
    pub fn deliver_to(&self, url: impl Into<String>) {
        self.state().hook.url = url.into();
    }

    /// Signs with another secret from now on.
    pub fn set_webhook_secret(&self, secret: &str) {
        secret.clone_into(&mut self.state().hook.secret);
    }

    /// Chooses the events the App subscribes to; those about the installation come anyway.
    pub fn subscribe(&self, events: &[&str]) {
        self.state().hook.events = events.iter().map(|it| (*it).to_owned()).collect();
    }

    /// Waits until no webhook of the bot's own doings is on its way.
    pub async fn quiesce(&self) {
        let mut in_flight = self.in_flight.subscribe();
        let _ = in_flight.wait_for(|it| *it == 0).await;
    }

    /// The GUID of the newest event of this kind that was to be delivered, such as `pull_request.closed`.
    pub fn newest_delivery(&self, kind: &str) -> Option<String> {
        let state = self.state();
        let is_it = |it: &&Delivery| format!("{}.{}", it.event, it.action.as_deref().unwrap_or_default()) == kind;
        state.deliveries.iter().rev().find(is_it).map(|it| it.guid.clone())
    }

    /// Forgets all deliveries, as GitHub does after some days.
    pub fn forget_deliveries(&self) {
        self.state().deliveries.clear();
    }

    /// Takes a delivery to have been answered so, whatever the answer was: 504 as when it came too late.
    pub fn record_answer(&self, guid: &str, status: u16) {
        for it in self.state().deliveries.iter_mut().filter(|it| it.guid == guid) {
            (it.status, it.answer) = (status, String::new());
        }
    }

    /// Sends an event again, as the button in the App's settings does; same GUID. The bot's status, 0 if unknown.
    pub async fn redeliver(&self, guid: &str) -> u16 {
        let Some(old) = self.state().deliveries.iter().rev().find(|it| it.guid == guid).cloned() else { return 0 };
        let body = self.body_of(&old.payload);
        self.attempt(&old.event, &old.guid, &old.payload, body, true, old.repository).await
    }

    /// GUIDs of the events that the bot has never taken, however often they were sent.
    pub fn missed(&self) -> Vec<String> {
        let state = self.state();
        let taken = |guid: &str| state.deliveries.iter().any(|it| it.guid == guid && matches!(it.status, 200..=299));
        let mut missed: Vec<String> =
            state.deliveries.iter().map(|it| it.guid.clone()).filter(|it| !taken(it)).collect();
        missed.dedup();
        missed
    }

    /// The same event several times at the same moment.
    pub async fn redeliver_many(&self, guid: &str, times: usize) -> Vec<u16> {
        let Some(old) = self.state().deliveries.iter().rev().find(|it| it.guid == guid).cloned() else {
            return Vec::new();
        };
        let sending: Vec<_> = (0..times)
            .map(|_| {
                let request = self.post(&old.event, &old.guid, self.body_of(&old.payload), Signature::Good, None);
                self.runtime.spawn(async move { request.send().await.map_or(0, |it| it.status().as_u16()) })
            })
            .collect();
        let mut statuses = Vec::new();
        for one in sending {
            statuses.push(one.await.unwrap_or(0));
        }
        statuses
    }

    /// Sends any bytes as a delivery, well or badly signed. Not logged. The bot's status and answer.
    pub async fn deliver_raw(
        &self,
        event: &str,
        guid: &str,
        body: &[u8],
        signature: Signature,
        content_type: &str,
    ) -> (u16, String) {
        let request = self.post(event, guid, body.to_vec(), signature, Some(content_type));
        let sent = self.runtime.spawn(async move {
            match request.send().await {
                Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
                Err(error) => (0, error.to_string()),
            }
        });
        sent.await.unwrap_or((0, String::new()))
    }

    /// Delivers an event and returns the bot's status and the GUID.
    pub(crate) async fn deliver(&self, event: Event) -> (u16, String) {
        let guid = uuid::Uuid::new_v4().to_string();
        let heard = is_heard(&self.state(), &event);
        if !heard || self.state().hook.url.is_empty() {
            return (0, guid);
        }
        let body = self.body_of(&event.payload);
        let status = self.attempt(event.name, &guid, &event.payload, body, false, event.repo).await;
        (status, guid)
    }

    /// Leaves events to the postman.
    pub(crate) fn deliver_later(&self, events: Vec<Event>) {
        if !self.state().side_effects {
            return;
        }
        for event in events {
            self.in_flight.send_modify(|it| *it += 1);
            if self.outbox.send(event).is_err() {
                self.in_flight.send_modify(|it| *it -= 1);
            }
        }
    }

    /// Sends on the simulator's own runtime, and logs how it went.
    async fn attempt(
        &self,
        event: &str,
        guid: &str,
        payload: &Value,
        body: Vec<u8>,
        redelivery: bool,
        repository: Option<u64>,
    ) -> u16 {
        let request = self.post(event, guid, body, Signature::Good, None).build().unwrap();
        let headers = request.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned())).collect();
        let (http, began) = (self.http.clone(), Instant::now());
        let sent = self.runtime.spawn(async move {
            match http.execute(request).await {
                Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
                Err(error) if error.is_timeout() => (504, "timed out".to_owned()),
                Err(_) => (502, "failed to connect to host".to_owned()),
            }
        });
        let (status, answer) = sent.await.unwrap_or((502, "the simulator ended".to_owned()));
        let mut state = self.state();
        let id = 3_400_000_000_000 + state.fresh();
        state.deliveries.push(Delivery {
            id,
            guid: guid.to_owned(),
            event: event.to_owned(),
            action: payload["action"].as_str().map(str::to_owned),
            repository,
            payload: payload.clone(),
            headers,
            at: self.clock.now(),
            redelivery,
            duration: began.elapsed().as_secs_f64(),
            status,
            answer,
        });
        status
    }

    fn post(
        &self,
        event: &str,
        guid: &str,
        body: Vec<u8>,
        signature: Signature,
        content_type: Option<&str>,
    ) -> reqwest::RequestBuilder {
        let (url, secret, configured) = {
            let state = self.state();
            (state.hook.url.clone(), state.hook.secret.clone(), state.hook.content_type.clone())
        };
        let usual = if configured == "form" { "application/x-www-form-urlencoded" } else { "application/json" };
        let sha256 = |secret: &str| mac(hmac::HMAC_SHA256, secret, &body);
        let sha1 = |secret: &str| mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret, &body);
        let (new, old) = match signature {
            Signature::Good => (Some(sha256(&secret)), Some(sha1(&secret))),
            Signature::Wrong => (Some(sha256("wrong")), Some(sha1("wrong"))),
            Signature::None => (None, None),
            Signature::Sha1Only => (None, Some(sha1(&secret))),
            Signature::UpperHex => (Some(sha256(&secret).to_uppercase()), None),
            Signature::OtherSecret(other) => (Some(sha256(other)), Some(sha1(other))),
        };
        let mut request = self
            .http
            .post(url)
            .header("user-agent", "GitHub-Hookshot/5ea7e11")
            .header("accept", "*/*")
            .header("content-type", content_type.unwrap_or(usual))
            .header("x-github-event", event)
            .header("x-github-delivery", guid)
            .header("x-github-hook-id", HOOK_ID.to_string())
            .header("x-github-hook-installation-target-type", "integration")
            .header("x-github-hook-installation-target-id", APP_ID.to_string());
        if let Some(new) = new {
            request = request.header("x-hub-signature-256", format!("sha256={new}"));
        }
        if let Some(old) = old {
            request = request.header("x-hub-signature", format!("sha1={old}"));
        }
        request.body(body)
    }

    /// The bytes of a payload under the hook's content type.
    fn body_of(&self, payload: &Value) -> Vec<u8> {
        let json = payload.to_string();
        if self.state().hook.content_type == "form" {
            let encoded = percent_encoding::utf8_percent_encode(&json, percent_encoding::NON_ALPHANUMERIC);
            return format!("payload={encoded}").into_bytes();
        }
        json.into_bytes()
    }
}

impl Delivery {
    /// The row as the list shows it; no payload there.
    pub fn row(&self) -> Value {
        let text = match self.status {
            200..=399 => "OK".to_owned(),
            502 | 504 if !self.answer.is_empty() => self.answer.clone(),
            status => format!("Invalid HTTP Response: {status}"),
        };
        serde_json::json!({
            "id": self.id,
            "guid": self.guid,
            "delivered_at": crate::clock::iso(self.at),
            "redelivery": self.redelivery,
            "duration": self.duration,
            "status": text,
            "status_code": self.status,
            "event": self.event,
            "action": self.action,
            "installation_id": INSTALLATION_ID,
            "repository_id": self.repository,
            "throttled_at": null,
        })
    }
}

fn mac(algorithm: hmac::Algorithm, secret: &str, body: &[u8]) -> String {
    hex::encode(hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), body))
}
