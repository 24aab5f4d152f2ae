//! The GitHub: a server on loopback, one App installed on it, and the handles that tests hold.

mod acts;
mod answer;
mod auth;
mod checks;
mod control;
mod deliveries;
mod events;
mod faults;
mod git;
mod git_http;
mod graphql;
mod installation;
mod journal;
mod keys;
mod lag;
mod limits;
mod look;
mod openapi;
mod pages;
mod people;
mod personal;
mod pulls;
mod rest;
mod reviews;
mod shapes;
mod state;
mod told;
mod trip;

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::server::Server;
pub use checks::look::{Action, Annotation, CheckRun};
pub use deliveries::{Delivered, Signature};
pub use faults::{Fault, Faults};
pub use journal::{Credential, Request};
use keys::AppKey;
pub use look::{Comment, Commit, Pull};
pub use reviews::look::{Review, ReviewComment, Thread};
use state::{Account, Hook, Installation, Kind, State};
pub use state::{Permissions, Role};
pub use trip::{Moment, Tripwire};

/// Which of the two forms installation tokens take. Both are in use; the long one since April 2026.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFormat {
    /// `ghs_<app id>_<a>.<b>.<c>`, some 520 characters.
    Long,
    /// `ghs_` and 36 letters and digits.
    Short,
}

/// How the host is set up. The default looks like github.com.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 takes any free one.
    pub listen: SocketAddr,
    /// `""` as on github.com and ghe.com, `"/api/v3"` as on GitHub Enterprise Server.
    pub api_prefix: String,
    pub token_format: TokenFormat,
    /// The bot's account is this and `[bot]`.
    pub app_slug: String,
    /// GitHub Enterprise Server sends no rate-limit headers unless told to.
    pub rate_limit_headers: bool,
    /// Content (comments, pull requests, reviews) an installation may create: per minute, per hour.
    pub content_budget: (usize, usize),
    /// Requests per hour and token.
    pub primary_limit: u64,
    /// How long an installation token lives, in seconds: an hour on GitHub.
    pub token_life: u64,
    pub webhook_secret: String,
    /// How long a webhook delivery waits for the bot.
    pub delivery_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            api_prefix: String::new(),
            token_format: TokenFormat::Long,
            app_slug: "cloud-agent".to_owned(),
            rate_limit_headers: true,
            content_budget: (80, 500),
            primary_limit: 5000,
            token_life: 3600,
            webhook_secret: "it is a secret to everybody".to_owned(),
            delivery_timeout: Duration::from_secs(10),
        }
    }
}

/// A running GitHub. It ends when the last clone is dropped; everything else is a method of [`World`].
#[derive(Clone, Debug)]
pub struct GitHub {
    world: Arc<World>,
    _server: Arc<Server>,
}

impl Deref for GitHub {
    type Target = Arc<World>;

    fn deref(&self) -> &Arc<World> {
        &self.world
    }
}

/// What there is behind the socket.
#[derive(Debug)]
pub struct World {
    options: Options,
    url: String,
    api_url: String,
    /// Where the logs of jobs are fetched from: not the host that knows of them.
    logs_url: String,
    root: tempfile::TempDir,
    state: Mutex<State>,
    key: &'static AppKey,
    clock: Clock,
    down: AtomicBool,
    runtime: Handle,
    outbox: mpsc::UnboundedSender<events::Event>,
    in_flight: watch::Sender<usize>,
    http: reqwest::Client,
    wire: Tripwire,
}

impl GitHub {
    /// A github.com look-alike on a free port.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// The same with other settings.
    pub async fn start_with(options: Options) -> Self {
        let key = tokio::task::spawn_blocking(AppKey::of_this_process).await.unwrap();
        let server = Server::bind(options.listen).expect("the address to listen on is free");
        let url = format!("http://{}", server.address());
        let (logs, logs_url) = checks::logs::bind(&url);
        let (outbox, letters) = mpsc::unbounded_channel();
        let world = Arc::new(World {
            api_url: format!("{url}{}", options.api_prefix),
            url,
            logs_url,
            root: tempfile::tempdir().unwrap(),
            state: Mutex::new(first_state(&options)),
            key,
            clock: Clock::default(),
            down: AtomicBool::new(false),
            runtime: server.handle(),
            outbox,
            in_flight: watch::Sender::new(0),
            http: deliveries::client(options.delivery_timeout),
            wire: Tripwire::default(),
            options,
        });
        server.handle().spawn(deliveries::postman(Arc::downgrade(&world), letters));
        let keeping = Arc::downgrade(&world);
        server.serve_on(logs, move |request| {
            let world = keeping.upgrade();
            async move { world.map(|it| checks::logs::answer(&it, &request)).ok_or(crate::server::HangUp) }
        });
        let serving = Arc::downgrade(&world);
        server.serve(move |request| {
            let world = serving.upgrade();
            async move {
                match world {
                    Some(world) => rest::front_door(world, request).await,
                    None => Err(crate::server::HangUp),
                }
            }
        });
        Self { world, _server: Arc::new(server) }
    }
}

impl World {
    /// Web base, `http://127.0.0.1:PORT`. Repositories are cloned from `{url}/{owner}/{name}.git`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// REST base: the same host, with the configured prefix.
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    pub fn app_id(&self) -> u64 {
        APP_ID
    }

    /// May stand in a JWT's `iss` instead of the App id; GitHub recommends it.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// The App's key as GitHub hands it out: PKCS#1, 2048 bits. One per process.
    pub fn private_key_pem(&self) -> &str {
        &self.key.pem
    }

    pub fn webhook_secret(&self) -> String {
        self.state().hook.secret.clone()
    }

    pub fn bot_login(&self) -> String {
        format!("{}[bot]", self.options.app_slug)
    }

    /// The bot's user id, which is not the App id.
    pub fn bot_id(&self) -> u64 {
        BOT_ID
    }

    pub fn installation_id(&self) -> u64 {
        INSTALLATION_ID
    }

    /// The simulator's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Moves the clock forward: tokens expire, rate limits reset.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// While down, every connection is closed without an answer.
    pub fn down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Whether what the bot does causes webhooks with the bot as sender, as on GitHub. On by default.
    pub fn side_effects(&self, on: bool) {
        self.state().side_effects = on;
    }

    /// Every token minted so far is expired from now on.
    pub fn expire_tokens(&self) {
        let now = self.clock.now();
        for token in self.state().tokens.values_mut() {
            token.expires_at = now;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const APP_ID: u64 = 900_001;
const CLIENT_ID: &str = "Iv23liSimulatedApp01";
const BOT_ID: u64 = 139_451_816;
const INSTALLATION_ID: u64 = 70_000_001;
const HOOK_ID: u64 = 480_001;

fn permissions(granted: &[(&str, &str)]) -> Permissions {
    granted.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
}

/// What the App asks for, and what it was granted: everything but `workflows`.
const GRANTED: &[(&str, &str)] = &[
    ("actions", "read"),
    ("checks", "write"),
    ("contents", "write"),
    ("issues", "write"),
    ("merge_queues", "read"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "read"),
];

/// The events the App subscribes to. `push` is more than a bot may need, but it has to bear strangers.
const SUBSCRIBED: &[&str] = &[
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "check_run",
    "check_suite",
    "merge_group",
    "push",
    "repository",
];

fn first_state(options: &Options) -> State {
    let bot = Account { id: BOT_ID, login: format!("{}[bot]", options.app_slug), kind: Kind::Bot, role: Role::None };
    State {
        next: 0,
        accounts: vec![bot],
        repos: Vec::new(),
        notes: std::collections::BTreeMap::new(),
        labelings: Vec::new(),
        reviews: std::collections::BTreeMap::new(),
        inlines: std::collections::BTreeMap::new(),
        resolved: std::collections::BTreeMap::new(),
        minimized: std::collections::BTreeMap::new(),
        checks: std::collections::BTreeMap::new(),
        suites: std::collections::BTreeMap::new(),
        jobs: std::collections::BTreeMap::new(),
        tickets: std::collections::HashMap::new(),
        tokens: std::collections::HashMap::new(),
        personal_tokens: std::collections::HashMap::new(),
        installation: Installation { permissions: permissions(GRANTED), suspended_at: None, gone: false },
        hook: Hook {
            url: String::new(),
            secret: options.webhook_secret.clone(),
            content_type: "json".to_owned(),
            events: SUBSCRIBED.iter().map(|it| (*it).to_owned()).collect(),
        },
        deliveries: Vec::new(),
        side_effects: true,
        story: Vec::new(),
        told: 0,
        journal: Vec::new(),
        violations: Vec::new(),
        faults: Vec::new(),
        lag: std::cell::RefCell::default(),
        used: std::collections::HashMap::new(),
        created: std::collections::HashMap::new(),
        served: 0,
    }
}
