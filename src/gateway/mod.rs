//! Stage 4: all that a sandbox may reach: the model proxy and the egress proxy.
//!
//! ```text
//!  sandbox 127.0.0.1:8787 ──▶ model.rs    POST /v1/messages   key swapped, budget held ──▶ ANTHROPIC_BASE_URL
//!          127.0.0.1:3128 ──▶ egress.rs   CONNECT host:443    if the run's list has it, for TLS with that name ──▶ that host
//! ```
//!
//! What is absent: no key and no token goes in, no other path or method goes out, and nothing said inside a sandbox
//! changes what its gate lets through.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span, debug, info, warn};
use url::Url;
use uuid::Uuid;

use crate::config;
use crate::sandbox::Door;
use crate::task::BLOCKED_OTHERS;

pub mod egress;
pub mod hello;
pub mod host;
mod idle;
mod ledger;
mod model;
mod once;
pub mod price;
mod reading;
mod request;
mod trouble;

pub use ledger::Usage;
pub use trouble::{NoModel, Trouble, UpstreamTrouble};

/// The model proxy's port inside a sandbox.
pub const MODEL_PORT: u16 = 8787;
/// The egress proxy's port inside a sandbox.
pub const EGRESS_PORT: u16 = 3128;

/// Connections of one run that are served at once; more are closed at once. A request may be 32 MiB large.
const MODEL_CONNECTIONS: usize = 32;
const EGRESS_CONNECTIONS: usize = 128;
/// Different hosts that are remembered as blocked; an agent that tries more is counted under `…`.
const BLOCKED_HOSTS: usize = 200;

/// What all runs have in common.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// `ANTHROPIC_BASE_URL`; a path in it is kept.
    pub upstream: Url,
    /// `ANTHROPIC_API_KEY`.
    pub api_key: Option<SecretString>,
    /// `MODEL_PRICES`.
    pub prices: price::Prices,
    /// How long the model API may be silent in the middle of an answer.
    pub silence: Duration,
}

/// What one run may do.
#[derive(Debug, Clone)]
pub struct RunTerms {
    /// The run's id, for logs.
    pub run: String,
    /// Micro-dollars for the whole run, over all its attempts.
    pub budget_micros: i64,
    /// What earlier attempts have used of it.
    pub spent_micros: i64,
    /// Full ids or families (`sonnet`); none: any model.
    pub allowed_models: Option<Vec<String>>,
    /// Hosts besides the model: `host`, `host:port`, `host:port/tcp` or `*.host`, see [`host::Rule`].
    pub egress: Vec<String>,
    /// The key of whoever asked; the operator's when absent.
    pub api_key: Option<SecretString>,
}

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(
        "the HTTP client for the model API can't be made ({0}); are CA certificates installed (`ca-certificates`)?"
    )]
    Client(#[source] reqwest::Error),
    #[error("ANTHROPIC_BASE_URL must be an http or https address such as https://api.anthropic.com, not {0}")]
    Upstream(Url),
    #[error("egress: {0}")]
    Egress(#[from] host::BadHost),
}

/// Makes gates. Cheap to clone; connections to the model API are shared by all runs.
#[derive(Clone)]
pub struct Gateway(Arc<Common>);

struct Common {
    upstream: Url,
    api_key: Option<SecretString>,
    prices: price::Prices,
    client: reqwest::Client,
}

/// What one run's sandbox can reach. Cheap to clone; all clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Open>);

struct Open {
    gateway: Arc<Common>,
    run: String,
    /// Opens this gate and nothing else; worthless outside of the run's sandbox.
    sandbox_key: String,
    allowed_models: Option<Vec<String>>,
    /// The key of whoever asked. With it the operator's is never used.
    own_key: Option<SecretString>,
    egress: Vec<host::Rule>,
    network: egress::Network,
    ledger: ledger::Ledger,
    blocked: Mutex<BTreeMap<String, u64>>,
    trouble: Mutex<Option<UpstreamTrouble>>,
    answered: AtomicBool,
    closed: CancellationToken,
    connections: TaskTracker,
    /// The run's, so that what is logged here carries its ids too.
    span: Span,
}

impl GatewaySettings {
    /// List prices, and five minutes of silence.
    pub fn new(upstream: Url, api_key: Option<SecretString>) -> Self {
        Self { upstream, api_key, prices: price::Prices::default(), silence: Duration::from_mins(5) }
    }
}

impl Gateway {
    pub fn new(settings: GatewaySettings) -> Result<Self, GatewayError> {
        let GatewaySettings { upstream, api_key, prices, silence } = settings;
        if !matches!(upstream.scheme(), "http" | "https") || upstream.host_str().is_none() {
            return Err(GatewayError::Upstream(upstream));
        }
        let mut client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // No limit on the whole: an answer may take many minutes, but never long without a byte.
            .read_timeout(silence)
            // A redirect would carry the key to wherever it points.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&upstream) {
            // A proxy of the host's network has no way to our own loopback.
            client = client.no_proxy();
        }
        let client = client.build().map_err(GatewayError::Client)?;
        let api_key = api_key.filter(|key| !secrecy::ExposeSecret::expose_secret(key).trim().is_empty());
        Ok(Self(Arc::new(Common { upstream, api_key, prices, client })))
    }

    /// Whether the model API can be reached with the key in force; in words when not. It costs nothing.
    pub async fn reach(&self) -> Result<(), NoModel> {
        let common = &self.0;
        let Some(key) = &common.api_key else {
            return Err(NoModel::NoKey);
        };
        let url = format!("{}/v1/models?limit=1", common.upstream.as_str().trim_end_matches('/'));
        let request = common
            .client
            .get(url)
            .timeout(Duration::from_secs(10))
            .header("x-api-key", secrecy::ExposeSecret::expose_secret(key))
            .header("anthropic-version", "2023-06-01");
        let place = config::shown(&common.upstream);
        match request.send().await {
            Ok(answer) if matches!(answer.status().as_u16(), 401 | 403) => Err(NoModel::KeyRefused(place)),
            Ok(answer) if answer.status().is_server_error() => {
                Err(NoModel::Away(format!("{place} answers {}", answer.status())))
            }
            // Also a 404: gateways that speak the API need not list models.
            Ok(_) => Ok(()),
            Err(error) => Err(NoModel::Away(format!("{place} can't be reached: {}", error.without_url()))),
        }
    }

    /// Open a gate for one run.
    pub fn open(&self, terms: RunTerms) -> Result<Gate, GatewayError> {
        let RunTerms { run, budget_micros, spent_micros, allowed_models, egress, api_key } = terms;
        Ok(Gate(Arc::new(Open {
            gateway: self.0.clone(),
            run,
            sandbox_key: format!("cloud-agent-run-{}", Uuid::new_v4().simple()),
            allowed_models,
            own_key: api_key,
            egress: egress.iter().map(|rule| rule.parse()).collect::<Result<_, _>>()?,
            network: egress::Network::public(),
            ledger: ledger::Ledger::new(budget_micros, spent_micros),
            blocked: Mutex::default(),
            trouble: Mutex::default(),
            answered: AtomicBool::new(false),
            closed: CancellationToken::new(),
            connections: TaskTracker::new(),
            span: Span::current(),
        })))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Gate {
    /// The doors to give to the sandbox.
    pub fn doors(&self) -> Vec<Door> {
        vec![
            self.door(MODEL_PORT, MODEL_CONNECTIONS, model::serve),
            self.door(EGRESS_PORT, EGRESS_CONNECTIONS, |gate, client| async move {
                let open = &gate.0;
                egress::serve(client, &open.egress, &open.network, |host| gate.block(host)).await;
            }),
        ]
    }

    fn door<F>(&self, port: u16, most: usize, serve: impl Fn(Self, TcpStream) -> F + Send + Sync + 'static) -> Door
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let gate = self.clone();
        let places = Arc::new(Semaphore::new(most));
        let take = move |client: TcpStream| {
            let Ok(place) = places.clone().try_acquire_owned() else {
                warn!(run = gate.0.run, "A sandbox has {most} connections to port {port} already; closed one more");
                return;
            };
            if gate.0.closed.is_cancelled() {
                return;
            }
            // Small writes are the rule in a stream of events.
            let _ = client.set_nodelay(true);
            let (closed, served) = (gate.0.closed.clone(), serve(gate.clone(), client));
            let serving = async move {
                let _place = place;
                closed.run_until_cancelled(served).await;
            };
            gate.0.connections.spawn(serving.instrument(gate.0.span.clone()));
        };
        Door { port, serve: Arc::new(take) }
    }

    /// What the sandboxed process has to be told. No secret: the key opens this gate only, and only from inside.
    pub fn env(&self) -> BTreeMap<String, String> {
        let proxy = format!("http://127.0.0.1:{EGRESS_PORT}");
        let model = format!("http://127.0.0.1:{MODEL_PORT}");
        let mut env = BTreeMap::from([
            ("ANTHROPIC_BASE_URL".to_owned(), model),
            ("ANTHROPIC_API_KEY".to_owned(), self.0.sandbox_key.clone()),
            // Node's own fetch looks at the proxy variables only when it is told to.
            ("NODE_USE_ENV_PROXY".to_owned(), "1".to_owned()),
        ]);
        for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
            env.insert(name.to_owned(), proxy.clone());
            env.insert(name.to_lowercase(), proxy.clone());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            // Without this Claude Code sends its model requests to the proxy.
            env.insert(name.to_owned(), "127.0.0.1,localhost".to_owned());
        }
        env
    }

    /// What has been used so far. Final once `close` has returned.
    pub fn usage(&self) -> Usage {
        self.0.ledger.usage()
    }

    /// The same by model, as it was asked for.
    pub fn usage_by_model(&self) -> BTreeMap<String, Usage> {
        self.0.ledger.by_model()
    }

    /// Hears of every change of `usage`.
    pub fn watch(&self) -> watch::Receiver<Usage> {
        self.0.ledger.watch()
    }

    /// Whether the budget is used up, what earlier attempts used included.
    pub fn is_spent(&self) -> bool {
        self.0.ledger.is_spent()
    }

    /// Resolves when the budget is used up.
    pub async fn spent(&self) {
        let mut usage = self.watch();
        // It can't fail: the sender lives as long as this gate.
        let _ = usage.wait_for(|usage| self.0.ledger.is_spent_by(usage)).await;
    }

    /// Micro-dollars that are left of the budget.
    pub fn left_micros(&self) -> i64 {
        self.0.ledger.left()
    }

    /// What the egress proxy refused and why: `host:port`, in plain letters, with the reason in parentheses unless it is the
    /// list; and how often.
    pub fn blocked(&self) -> BTreeMap<String, u64> {
        lock(&self.0.blocked).clone()
    }

    /// The last model request that came to nothing, unless one has been answered to the end since.
    pub fn trouble(&self) -> Option<UpstreamTrouble> {
        lock(&self.0.trouble).clone()
    }

    /// Whether the model has answered to the end, if only once. Half an answer costs money too, and gets nobody further.
    pub fn has_answered(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed)
    }

    /// End all connections and take no more. What was under way is counted when this returns.
    pub async fn close(&self) {
        self.0.closed.cancel();
        self.0.connections.close();
        self.0.connections.wait().await;
        debug!(run = self.0.run, "Closed the gate of run {}", self.0.run);
    }

    fn block(&self, host: String) {
        let mut blocked = lock(&self.0.blocked);
        let new = !blocked.contains_key(&host);
        let full = new && blocked.len() >= BLOCKED_HOSTS;
        // Once a host: a sandbox must not be able to fill the log.
        if new && !full {
            info!(run = self.0.run, host, "Refused a sandbox's connection to {host}");
        }
        *blocked.entry(if full { BLOCKED_OTHERS.to_owned() } else { host }).or_default() += 1;
    }

    fn set_trouble(&self, trouble: UpstreamTrouble) {
        *lock(&self.0.trouble) = Some(trouble);
    }

    /// The model has answered to the end.
    fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
        *lock(&self.0.trouble) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gateway({})", self.0.upstream)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({})", self.0.run)
    }
}
