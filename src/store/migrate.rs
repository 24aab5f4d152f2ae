//! The schema, brought up to date. Forward only: the way back is a backup.

use anyhow::{Context as _, Result, anyhow};
use sqlx::Executor as _;
use sqlx::migrate::MigrateError;

use super::{Dialect, Store};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

impl Store {
    /// Bring the schema up to date. Each step is a transaction of its own, and on PostgreSQL processes that start together
    /// take turns, so it may be killed at any time and started again.
    pub async fn migrate(&self) -> Result<()> {
        if self.dialect == Dialect::Postgres {
            // The one word that the engines don't share: PostgreSQL calls it bytea. Of two that make it at the same moment
            // one may be told of the index below the domain instead of the domain.
            const SQL: &str = "do $$ begin create domain blob as bytea;
                               exception when duplicate_object or unique_violation then null; end $$";
            self.write.execute(SQL).await.context("prepare the schema")?;
        }
        let mut connection = self.write.acquire().await.context("migrate the database")?;
        let migrated = MIGRATIONS.run(&mut *connection).await;
        if migrated.is_err() {
            // A step that failed leaves its turn with the connection, and whoever comes next would wait for ever.
            connection.close_on_drop();
        }
        drop(connection);
        match migrated {
            Ok(()) => Ok(()),
            Err(MigrateError::VersionMissing(version)) => Err(anyhow!(
                "the database was made by a newer version of cloud-agent (migration {version} is not known here): \
                 start that version, or restore the backup from before it"
            )),
            Err(MigrateError::VersionMismatch(version)) => Err(anyhow!(
                "migration {version} is not the one that has run on this database: \
                 this program was changed after it; start the version that was installed before"
            )),
            Err(error) => Err(error).context("migrate the database"),
        }
    }
}
