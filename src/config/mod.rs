//! Every setting, in one place, read once from flags and the environment; every error names the variable.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;
use url::Url;

mod callbacks;
mod gate;
mod github;
mod store;
mod values;

pub use callbacks::Callbacks;
pub use gate::{Gate, Kind};
pub use github::Github;
pub use store::{Retention, Store};
pub use values::{Dollars, Span, password_in, several, shown};

use values::{handover, lease};

/// All settings of a process that serves or works.
#[derive(Debug, Clone, Args)]
pub struct Config {
    #[command(flatten)]
    pub server: Server,
    #[command(flatten)]
    pub store: Store,
    #[command(flatten)]
    pub github: Github,
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub runs: Runs,
    #[command(flatten)]
    pub sandbox: Sandbox,
    #[command(flatten)]
    pub gate: Gate,
    #[command(flatten)]
    pub callbacks: Callbacks,
    #[command(flatten)]
    pub log: Log,
}

/// Where the process listens and how it ends.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct Server {
    /// Address to listen on; when absent, 0.0.0.0:$PORT if PORT is set, else 127.0.0.1:3000.
    #[arg(long, env = "LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Port for platforms that assign one; ignored when LISTEN is set.
    #[arg(long, env = "PORT")]
    pub port: Option<u16>,
    /// Where people and GitHub reach this server; links in comments start with it.
    #[arg(long, env = "PUBLIC_URL", default_value = "http://localhost:3000")]
    pub public_url: Url,
    /// Opens the API to whoever sends it; several, comma separated, while it is being changed. Made and kept in DATA_DIR
    /// when absent.
    #[arg(long, env = "ADMIN_API_KEY", hide_env_values = true)]
    pub admin_api_key: Option<SecretString>,
    /// Seconds that SIGTERM waits for runs to end before it gives their leases back.
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 60)]
    pub drain_seconds: u64,
    /// How long the head of a request may take to come, and a connection may wait for its next request. Longer than a proxy in
    /// front keeps one that it does not use.
    #[arg(long, env = "REQUEST_TIMEOUT", default_value = "75s")]
    pub request_timeout: Span,
    /// How many MiB of requests' bodies may be in memory at once; whoever sends more is asked to try again. GitHub sends up to
    /// 25 MB.
    #[arg(long, env = "BODIES_MB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..))]
    pub bodies_mb: u32,
    /// How long a client may take nothing of what it is sent before its connection is closed, such as `60s`.
    #[arg(long, env = "WRITE_TIMEOUT", default_value = "1m")]
    pub write_timeout: Span,
}

/// Claude Code and the model behind it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub struct Model {
    /// The key that the gateway puts on model requests; it never enters a sandbox.
    #[arg(long = "anthropic-api-key", env = "ANTHROPIC_API_KEY", hide_env_values = true)]
    pub api_key: Option<SecretString>,
    /// Where model requests go.
    #[arg(long = "anthropic-base-url", env = "ANTHROPIC_BASE_URL", default_value = "https://api.anthropic.com")]
    pub base_url: Url,
    /// Model id or alias; the CLI's own default when absent.
    #[arg(long = "claude-model", env = "CLAUDE_MODEL")]
    pub model: Option<String>,
    /// The model of the second, cheap look that a review takes at what it has found.
    #[arg(long, env = "CLAUDE_VERIFY_MODEL", default_value = "haiku")]
    pub verify_model: String,
    /// The Claude Code executable: a path, or a name on PATH.
    #[arg(long, env = "CLAUDE_BIN", default_value = "claude")]
    pub claude_bin: PathBuf,
    /// SHA-256 of the Claude Code executable; with it, no other one is started.
    #[arg(long, env = "CLAUDE_SHA256", value_parser = values::sha256)]
    pub claude_sha256: Option<String>,
    /// Prices that differ from the list: `family=input/output,…`, in US dollars for a million tokens.
    #[arg(long, env = "MODEL_PRICES", default_value = "")]
    pub model_prices: String,
}

/// How much work is done, and its limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Runs")]
pub struct Runs {
    /// Tasks that this process runs at once.
    #[arg(long, env = "RUNS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Tasks of one repository that run at once, over all processes.
    #[arg(
        long,
        env = "RUNS_PER_REPOSITORY",
        default_value_t = 2,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub runs_per_repository: u32,
    /// Wall clock of one run, such as `60m`, `90s` or `2h`.
    #[arg(long, env = "RUN_TIMEOUT", default_value = "60m")]
    pub run_timeout: Span,
    /// Turns of the model in one run.
    #[arg(long, env = "RUN_TURNS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub run_turns: u32,
    /// US dollars that one run may spend on the model.
    #[arg(long, env = "BUDGET_RUN_USD", default_value = "5")]
    pub budget_run_usd: Dollars,
    /// How long a worker's claim on a task lasts without being renewed.
    #[arg(long, env = "LEASE", default_value = "30s", value_parser = lease)]
    pub lease: Span,
    /// How long a task that is due is left to the machine that has its work on its disk, before another takes it up.
    #[arg(long, env = "HANDOVER", default_value = "60s", value_parser = handover)]
    pub handover: Span,
    /// How long a task waits for GitHub, the model or this machine before it ends, such as `24h`.
    #[arg(long, env = "WAIT_LIMIT", default_value = "24h")]
    pub wait_limit: Span,
    /// Tasks on one issue or pull request within an hour, whoever asks; one more, and nothing begins there until somebody
    /// who may write says `resume`.
    #[arg(
        long,
        env = "TASKS_PER_THREAD_HOUR",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub tasks_per_thread_hour: u32,
    /// Of these, tasks that bots cause with their pushes, the bot's own among them.
    #[arg(
        long,
        env = "BOT_TASKS_PER_THREAD_HOUR",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub bot_tasks_per_thread_hour: u32,
    /// Tasks that one person may ask for within an hour, everywhere.
    #[arg(
        long,
        env = "TASKS_PER_PERSON_HOUR",
        default_value_t = 30,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub tasks_per_person_hour: u32,
    /// The least time between two edits of a progress comment.
    #[arg(long, env = "COMMENT_INTERVAL", default_value = "5s")]
    pub comment_interval: Span,
}

/// The cage that the agent works in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sandbox")]
pub struct Sandbox {
    /// Which provider makes sandboxes; `local` is bubblewrap on this machine.
    #[arg(long, env = "SANDBOX", default_value = "local")]
    pub sandbox: String,
    /// Memory of one sandbox, in MiB.
    #[arg(long, env = "SANDBOX_MEMORY_MB", default_value_t = 4096)]
    pub memory_mb: u64,
    /// Processes and threads of one sandbox.
    #[arg(long, env = "SANDBOX_PROCESSES", default_value_t = 512)]
    pub processes: u64,
    /// Largest file, and the most that the workspace may grow by, in MiB.
    #[arg(long, env = "SANDBOX_DISK_MB", default_value_t = 4096)]
    pub disk_mb: u64,
    /// Hosts that a sandbox may reach besides the model, comma separated, such as `registry.npmjs.org`.
    #[arg(long, env = "EGRESS", value_delimiter = ',')]
    pub egress: Vec<String>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct Log {
    /// `text` or `json`; text on a terminal and JSON elsewhere when absent.
    #[arg(long, env = "LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What to log: a level, or levels by module such as `info,cloud_agent=debug`.
    #[arg(long = "log", env = "RUST_LOG", default_value = "info")]
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

impl Model {
    /// The digest that the Claude Code executable must have; an empty CLAUDE_SHA256 is none.
    pub fn claude_sha256(&self) -> Option<&str> {
        self.claude_sha256.as_deref().filter(|digest| !digest.is_empty())
    }
}

impl Runs {
    /// A moment at which a task of now has certainly ended, in UTC milliseconds.
    pub fn longest_life(&self) -> crate::clock::Millis {
        const MORE: std::time::Duration = std::time::Duration::from_hours(24);
        let life = self.wait_limit.0 + self.run_timeout.0 + MORE;
        crate::clock::now() + i64::try_from(life.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

impl Sandbox {
    /// The hosts that a sandbox may reach besides the model; an empty EGRESS names none.
    pub fn egress(&self) -> Vec<String> {
        self.egress.iter().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect()
    }
}

impl Server {
    /// The address to bind.
    pub fn address(&self) -> SocketAddr {
        match (self.listen, self.port) {
            (Some(address), _) => address,
            (None, Some(port)) => SocketAddr::from(([0, 0, 0, 0], port)),
            (None, None) => SocketAddr::from(([127, 0, 0, 1], 3000)),
        }
    }
}

/// What child processes on the host get of our environment: where programs are, and how the network is reached.
pub fn inherited() -> Vec<(OsString, OsString)> {
    const NAMES: &[&str] = &[
        "PATH",
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];
    NAMES.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect()
}

/// The directories that bare names of programs are looked for in.
pub fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}
