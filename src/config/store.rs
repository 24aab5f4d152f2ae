//! Where things are kept, for how long, and what seals them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Span, password_in};

const DAY: Duration = Duration::from_hours(24);

/// GitHub sends a delivery again for up to 7 days (Enterprise Server); what is forgotten earlier would be done twice.
const LEAST_DELIVERIES: Duration = Duration::from_hours(8 * 24);

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
    /// 32 bytes, hex or base64, that seal secrets in the database; several, comma separated, while it is being changed:
    /// the first seals. Made and kept in DATA_DIR when absent; machines that share a database share it.
    #[arg(long, env = "ENCRYPTION_KEY", hide_env_values = true)]
    pub encryption_key: Option<SecretString>,
    /// Runs wait while the disk of DATA_DIR has less room than this, in MiB; below half of it the largest sandbox is ended.
    #[arg(long, env = "DISK_FREE_MB", default_value_t = 1024)]
    pub disk_free_mb: u64,
    #[command(flatten)]
    pub retention: Retention,
}

/// How long things are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Store")]
pub struct Retention {
    /// How long deliveries are kept, such as `14d`; 8d or longer, because GitHub may send one again that long.
    #[arg(long = "retention-deliveries", env = "RETENTION_DELIVERIES", default_value = "14d")]
    pub deliveries: Span,
    /// How long the events of a task are kept after its end.
    #[arg(long = "retention-events", env = "RETENTION_EVENTS", default_value = "30d")]
    pub events: Span,
    /// How long the agent's conversations are kept, to go on from, and what tasks leave for scripts.
    #[arg(long = "retention-transcripts", env = "RETENTION_TRANSCRIPTS", default_value = "30d")]
    pub transcripts: Span,
    /// How long tasks are kept after their end, and what was found on a pull request after its last task.
    #[arg(long = "retention-tasks", env = "RETENTION_TASKS", default_value = "365d")]
    pub tasks: Span,
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

    /// The password in it, if there is one.
    pub fn password(&self) -> Option<SecretString> {
        password_in(&Url::parse(self.database_url().expose_secret()).ok()?)
    }
}

impl Retention {
    /// An error where something would be forgotten that is still needed.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.deliveries.0 >= LEAST_DELIVERIES,
            "RETENTION_DELIVERIES={} is too short: GitHub may send a delivery again for a week, and one that is forgotten \
             would be done twice; 8d is the least",
            self.deliveries
        );
        ensure!(
            self.tasks.0 >= self.events.0.max(self.transcripts.0).max(30 * DAY),
            "RETENTION_TASKS={} is too short: it must be 30d or longer, and no shorter than RETENTION_EVENTS and \
             RETENTION_TRANSCRIPTS",
            self.tasks
        );
        Ok(())
    }
}
