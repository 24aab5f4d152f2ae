//! The server as a client sees it: requests, answers, and what is tried again.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

use super::screen::{escaped_json, harmless, harmless_json, hint};
use super::trouble::{Told, Trouble};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a stream may be silent: three heartbeats of the server.
const SILENCE: Duration = Duration::from_secs(50);
/// How long is waited in all for a server that says it is too much.
const LEFT_ALONE: Duration = Duration::from_mins(3);
/// The shortest time after which the same is asked again.
const SOON: Duration = Duration::from_millis(250);
/// How long to wait before asking again for something that may be asked for twice.
const AGAIN: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// A server, and the key to it.
#[derive(Debug, Clone)]
pub struct Server {
    pub url: Url,
    key: Option<SecretString>,
    client: Client,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// As it was sent, on one line, with the characters escaped that a terminal acts on.
    pub json: String,
    /// The same with these characters taken out.
    value: Value,
}

impl Answer {
    /// A text in it, however little else of it is understood.
    pub fn text(&self, name: &str) -> String {
        self.value[name].as_str().unwrap_or_default().to_owned()
    }

    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        serde_json::from_value(self.value)
            .context("understand the server's answer; this `ca` may be of another version")
    }
}

/// A query; what is not given is left out.
pub type Query<'a> = &'a [(&'a str, Option<String>)];

impl Server {
    pub fn new(url: Url, key: Option<SecretString>) -> Result<Self> {
        // No redirect is followed: it would take the key elsewhere, or make a GET of a POST.
        let client = Client::builder().redirect(Policy::none()).read_timeout(SILENCE).connect_timeout(PATIENCE);
        // None is kept for later either: between two questions a balancer may have closed it.
        let client = client.pool_max_idle_per_host(0);
        // A proxy would get the key, and send it on to itself.
        let client = if is_here(&url) { client.no_proxy() } else { client };
        let client = match url.scheme() {
            "https" => {
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                client
            }
            // To read all root certificates takes longer than the rest of a request.
            "http" => client.tls_certs_only([]),
            other => {
                return Err(Trouble::Usage(format!(
                    "a server's address begins with http:// or https://, not {other}:"
                ))
                .into());
            }
        };
        Ok(Self { url, key, client: client.build()? })
    }

    pub async fn get(&self, path: &[&str], query: Query<'_>) -> Result<Answer> {
        let answer = self.send_patiently(self.request(Method::GET, path, query)?.timeout(PATIENCE)).await?;
        self.read(answer).await
    }

    /// The same for those who wait themselves when the server asks for it.
    pub async fn get_at_once(&self, path: &[&str]) -> Result<Answer> {
        let answer = self.send(self.request(Method::GET, path, &[])?.timeout(PATIENCE)).await?;
        self.read(answer).await
    }

    /// Something other than JSON.
    pub async fn get_text(&self, path: &[&str], query: Query<'_>) -> Result<String> {
        let answer = self.send_patiently(self.request(Method::GET, path, query)?.timeout(PATIENCE)).await?;
        match answer.status().is_success() {
            true => Ok(harmless(&answer.text().await.map_err(|error| self.unreached(&error))?)),
            false => self.read(answer).await.map(|it| harmless(&it.json)),
        }
    }

    /// Something large: its bytes as they come, for as long as they come.
    pub async fn download(&self, path: &[&str]) -> Result<Response> {
        let answer = self.send_patiently(self.request(Method::GET, path, &[])?).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        self.read(answer).await?;
        Err(Trouble::Strange { url: self.url.clone(), status, pause: None }.into())
    }

    pub async fn delete(&self, path: &[&str]) -> Result<()> {
        let answer = self.send(self.request(Method::DELETE, path, &[])?.timeout(PATIENCE)).await?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(()),
            _ => self.read(answer).await.map(drop),
        }
    }

    pub async fn post<T: Serialize + ?Sized>(&self, path: &[&str], body: Option<&T>) -> Result<Answer> {
        let answer = self.send(self.post_request(path, body)?).await?;
        self.read(answer).await
    }

    /// Ask for something that a query describes.
    pub async fn post_asking(&self, path: &[&str], query: Query<'_>) -> Result<Answer> {
        let answer = self.send(self.request(Method::POST, path, query)?.timeout(PATIENCE)).await?;
        self.read(answer).await
    }

    /// Ask for something that is made once however often it is asked for with this key, and so again where it is not known
    /// whether it was heard, or what was answered.
    pub async fn post_once<T: Serialize + ?Sized>(&self, path: &[&str], body: Option<&T>, key: &str) -> Result<Answer> {
        let mut pauses = AGAIN.into_iter();
        loop {
            let request = self.post_request(path, body)?.header("idempotency-key", key);
            let answer = match self.send(request).await {
                Ok(answer) => self.read(answer).await,
                Err(error) => Err(error),
            };
            let last = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error.downcast::<Trouble>()?,
            };
            if !last.is_away() {
                return Err(last.into());
            }
            let Some(next) = pauses.next() else {
                return Err(Trouble::Unsure { last: Box::new(last), key: key.to_owned() }.into());
            };
            let why = last.to_string();
            hint(&format!("{}; trying again", harmless(why.lines().next().unwrap_or_default())));
            tokio::time::sleep(last.pause().unwrap_or(next).min(PATIENCE)).await;
        }
    }

    /// The stream of a task's log, after the event with this `seq`. A status other than 200 is no error here.
    pub async fn stream(&self, task: &str, after: i64) -> Result<Response> {
        let request = self.request(Method::GET, &["api", "v1", "tasks", task, "events"], &[])?;
        let request = request.header(header::ACCEPT, "text/event-stream");
        let request = if after > 0 { request.header("last-event-id", after) } else { request };
        self.send(request).await
    }

    /// What an answer says; an error for all that is none.
    pub async fn read(&self, answer: Response) -> Result<Answer> {
        let (status, pause) = (answer.status(), retry_after(answer.headers()));
        let body = answer.text().await.map_err(|error| self.unreached(&error))?;
        let strange = || Trouble::Strange { url: self.url.clone(), status: status.as_u16(), pause };
        let Ok(value) = serde_json::from_str::<Value>(&body) else { return Err(strange().into()) };
        let value = harmless_json(&value);
        // `readyz` says with a 503 what is wrong; that is an answer too.
        if status.is_success() || (status == StatusCode::SERVICE_UNAVAILABLE && value["parts"].is_object()) {
            return Ok(Answer { status, json: escaped_json(&body), value });
        }
        let problem: Told = serde_json::from_value(value).map_err(|_| strange())?;
        Err(match status {
            StatusCode::UNAUTHORIZED => self.unauthorized().into(),
            _ => Trouble::Told(Box::new(Told { pause, ..problem })).into(),
        })
    }

    fn post_request<T: Serialize + ?Sized>(&self, path: &[&str], body: Option<&T>) -> Result<RequestBuilder> {
        let request = self.request(Method::POST, path, &[])?.timeout(PATIENCE);
        Ok(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    fn request(&self, method: Method, path: &[&str], query: Query<'_>) -> Result<RequestBuilder> {
        let mut url = self.url.clone();
        // What is typed as an id stays one part of the path, whatever it is made of.
        url.path_segments_mut()
            .map_err(|()| Trouble::Usage(format!("{} is no address of a server", self.url)))?
            .pop_if_empty()
            .extend(path);
        if query.iter().any(|it| it.1.is_some()) {
            let given = query.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
            url.query_pairs_mut().extend_pairs(given);
        }
        let request = self.client.request(method, url);
        Ok(match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        })
    }

    /// Ask, and again when the server says that it is too much now.
    async fn send_patiently(&self, request: RequestBuilder) -> Result<Response> {
        let mut left = LEFT_ALONE;
        while let Some(again) = request.try_clone() {
            let answer = self.send(again).await?;
            let pause = retry_after(answer.headers()).unwrap_or(Duration::from_secs(1));
            if answer.status() != StatusCode::TOO_MANY_REQUESTS || pause > left {
                return Ok(answer);
            }
            left -= pause;
            hint(&format!("The server asks to be left alone; going on in {} s", pause.as_secs().max(1)));
            tokio::time::sleep(pause).await;
        }
        // One that can't be sent at all: this says why.
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let answer = request.send().await.map_err(|error| self.unreached(&error))?;
        if answer.status().is_redirection() {
            let to = answer.headers().get(header::LOCATION).and_then(|it| it.to_str().ok()).unwrap_or("another place");
            return Err(Trouble::Moved { url: self.url.clone(), to: harmless(to) }.into());
        }
        Ok(answer)
    }

    fn unauthorized(&self) -> Trouble {
        match self.key {
            Some(_) => Trouble::BadKey(self.url.clone()),
            None => Trouble::NoKey(self.url.clone()),
        }
    }

    pub fn unreached(&self, error: &reqwest::Error) -> Trouble {
        let mut why = error.source();
        while let Some(deeper) = why.and_then(|it| it.source()) {
            why = Some(deeper);
        }
        if error.is_builder() {
            let why = why.map(ToString::to_string).unwrap_or_default();
            return Trouble::Usage(format!(
                "nothing could be sent: {why}; look at CA_API_KEY, CA_URL and --idempotency-key"
            ));
        }
        let why = if error.is_timeout() { None } else { why.map(ToString::to_string) };
        Trouble::Unreached { url: self.url.clone(), why: why.unwrap_or_else(|| "no answer in time".to_owned()) }
    }
}

/// How long a server asks to be left alone.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()).max(SOON))
}

/// Whether a server is on this machine: what is sent there passes nobody else.
pub fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
