//! Where things are kept, for how long, and what seals them.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
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

    /// Make DATA_DIR, for its owner alone, if it is not there. Whoever made it has decided who may look into it.
    pub fn make_data_dir(&self) -> Result<()> {
        let dir = &self.data_dir;
        let made = match dir.parent() {
            Some(parent) => std::fs::create_dir_all(parent),
            None => Ok(()),
        };
        // Not its parents: they may be there for others too.
        made.and_then(|()| DirBuilder::new().mode(0o700).create(dir))
            .or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) })
            .with_context(|| format!("make {} (DATA_DIR)", dir.display()))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        store: Store,
    }

    #[test]
    fn the_directory_is_made_for_its_owner_alone_and_left_as_it_is_when_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let data = dir.path().join("var/lib/data");
        let store = Given::parse_from(["it", &format!("--data-dir={}", data.display())]).store;
        store.make_data_dir().unwrap();
        assert_eq!(mode(&data), 0o700);
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o750)).unwrap();
        store.make_data_dir().unwrap();
        assert_eq!(mode(&data), 0o750);

        std::fs::write(dir.path().join("file"), "").unwrap();
        let store = Given::parse_from(["it", &format!("--data-dir={}", dir.path().join("file").display())]).store;
        assert!(store.make_data_dir().unwrap_err().to_string().contains("(DATA_DIR)"));
    }
}
