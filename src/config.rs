//! Every setting, in one place, read once from flags and the environment; every error names the variable.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

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
    /// Opens the API to whoever sends it; made and kept in DATA_DIR when absent.
    #[arg(long, env = "ADMIN_API_KEY", hide_env_values = true)]
    pub admin_api_key: Option<SecretString>,
    /// Seconds that SIGTERM waits for runs to end before it gives their leases back.
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 60)]
    pub drain_seconds: u64,
}

/// Where things are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Store")]
pub struct Store {
    /// Directory for the database, repository mirrors and the files of running tasks.
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// `postgres://…`, or `sqlite://path`; when absent, sqlite://$DATA_DIR/cloud-agent.db.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
}

/// The GitHub App and the host it lives on.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GitHub")]
pub struct Github {
    /// The host people see: `https://github.com`, a GitHub Enterprise Server, or `https://SUBDOMAIN.ghe.com`.
    #[arg(long = "github-url", env = "GITHUB_URL", default_value = "https://github.com")]
    pub url: Url,
    /// REST API base; derived from GITHUB_URL when absent.
    #[arg(long = "github-api-url", env = "GITHUB_API_URL")]
    pub api_url: Option<Url>,
    /// The App's numeric id.
    #[arg(long = "github-app-id", env = "GITHUB_APP_ID")]
    pub app_id: Option<u64>,
    /// The App's private key, PEM text. Literal `\n` is read as a line break.
    #[arg(long = "github-app-private-key", env = "GITHUB_APP_PRIVATE_KEY", hide_env_values = true)]
    pub private_key: Option<SecretString>,
    /// A file with the App's private key, instead of GITHUB_APP_PRIVATE_KEY.
    #[arg(long = "github-app-private-key-file", env = "GITHUB_APP_PRIVATE_KEY_FILE")]
    pub private_key_file: Option<PathBuf>,
    /// The webhook secret; several, comma separated, while one is being rotated.
    #[arg(long = "github-webhook-secret", env = "GITHUB_WEBHOOK_SECRET", hide_env_values = true)]
    pub webhook_secret: Option<SecretString>,
    /// Milliseconds between two writes of one installation. GitHub asks for a second.
    #[arg(long = "github-write-spacing-ms", env = "GITHUB_WRITE_SPACING_MS", default_value_t = 1000)]
    pub write_spacing_ms: u64,
    /// What people write, after an `@`, to reach the bot.
    #[arg(long, env = "MENTION", default_value = "cloud-agent", value_parser = mention)]
    pub mention: String,
    /// The label that asks for a fix on an issue, and for a review on a pull request.
    #[arg(long, env = "LABEL", default_value = "cloud-agent")]
    pub label: String,
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

impl Store {
    /// Whether several processes can use the database: PostgreSQL, and not a file.
    pub fn is_shared(&self) -> bool {
        self.database_url().expose_secret().starts_with("postgres")
    }

    /// The database URL in force.
    pub fn database_url(&self) -> SecretString {
        self.database_url.clone().unwrap_or_else(|| {
            SecretString::from(format!("sqlite://{}", self.data_dir.join("cloud-agent.db").display()))
        })
    }
}

impl Github {
    /// REST base by host: github.com, GitHub Enterprise Server (`/api/v3`) or `*.ghe.com` (`api.` prefix).
    pub fn api_url(&self) -> Url {
        if let Some(url) = &self.api_url {
            return url.clone();
        }
        let host = self.url.host_str().unwrap_or_default();
        let mut api = self.url.clone();
        if host == "github.com" || host.ends_with(".ghe.com") {
            // `set_host` fails only for URLs without a host, which the match above has excluded.
            let _ = api.set_host(Some(&format!("api.{host}")));
            api.set_path("/");
        } else {
            api.set_path("/api/v3");
        }
        api
    }

    /// Where commit addresses that GitHub maps to accounts live.
    pub fn noreply_host(&self) -> String {
        format!("users.noreply.{}", self.url.host_str().unwrap_or("github.com"))
    }

    /// The secrets that a delivery may be signed with. An error when there is none: unsigned deliveries are never taken.
    pub fn webhook_secrets(&self) -> Result<Vec<SecretString>> {
        let Some(given) = &self.webhook_secret else {
            bail!("GITHUB_WEBHOOK_SECRET is not set: without it anybody could give the bot orders");
        };
        let secrets: Vec<SecretString> = given
            .expose_secret()
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .map(SecretString::from)
            .collect();
        if secrets.is_empty() {
            bail!("GITHUB_WEBHOOK_SECRET is empty: give it the secret that the App's webhook has");
        }
        Ok(secrets)
    }

    /// The App's id and private key.
    pub fn app(&self) -> Result<(u64, SecretString)> {
        let id = self.app_id.context("GITHUB_APP_ID is not set: it stands on the App's settings page")?;
        let key = self.private_key.as_ref().filter(|key| !key.expose_secret().trim().is_empty());
        let pem = match (key, &self.private_key_file) {
            (Some(pem), _) => SecretString::from(pem.expose_secret().replace("\\n", "\n")),
            (None, Some(file)) => read_secret(file, "GITHUB_APP_PRIVATE_KEY_FILE")?,
            (None, None) => {
                bail!("GITHUB_APP_PRIVATE_KEY and GITHUB_APP_PRIVATE_KEY_FILE are not set: give one of them")
            }
        };
        Ok((id, pem))
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

fn read_secret(file: &Path, variable: &str) -> Result<SecretString> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{variable}: read {}", file.display()))?;
    Ok(SecretString::from(text))
}

/// The name in a mention: with or without its `@`, and one word.
fn mention(text: &str) -> Result<String, String> {
    let name = text.trim_start_matches('@');
    let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    fits.then(|| name.to_owned()).ok_or_else(|| format!("`{text}` can't be mentioned; write letters, digits and -"))
}

/// A lease long enough to be renewed in time.
fn lease(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    (span.0 >= Duration::from_secs(1)).then_some(span).ok_or_else(|| "a lease lasts 1s or longer".to_owned())
}

/// A length of time written `90s`, `60m` or `2h`; a bare number is minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let amount: u64 = digits.parse().map_err(|_| format!("`{text}` is no length of time; write 90s, 60m or 2h"))?;
        let millis = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "" | "m" => 60_000,
            "h" => 3_600_000,
            unit => return Err(format!("`{unit}` is no unit of time; write 90s, 60m or 2h")),
        };
        let total = amount.checked_mul(millis).filter(|total| *total > 0);
        total.map(|total| Self(Duration::from_millis(total))).ok_or_else(|| format!("`{text}` is out of range"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1000) => write!(f, "{}s", millis / 1000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

/// US dollars in a setting, kept as micro-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dollars {
    pub micros: i64,
}

impl FromStr for Dollars {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let amount: f64 =
            text.trim_start_matches('$').parse().map_err(|_| format!("`{text}` is no amount of dollars"))?;
        if !(amount.is_finite() && 0.0 < amount && amount < 1e9) {
            return Err(format!("`{text}` must be more than 0"));
        }
        Ok(Self { micros: (amount * 1e6).round() as i64 })
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.micros as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, millis) in [("90s", 90_000), ("60m", 3_600_000), ("2h", 7_200_000), ("5", 300_000), ("250ms", 250)] {
            assert_eq!(text.parse::<Span>().unwrap().0.as_millis(), millis, "{text}");
        }
        assert_eq!("60m".parse::<Span>().unwrap().to_string(), "1h");
        assert!("soon".parse::<Span>().is_err());
        assert!("0s".parse::<Span>().is_err());
    }
}
