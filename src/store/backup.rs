//! A copy of a SQLite database, made while it is in use.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;

use anyhow::{Context as _, Result, bail, ensure};
use secrecy::SecretString;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::sole::{beside, sqlite_path};

/// Copy the database of this URL to `to`, whole and consistent, beside whoever serves it; its size in bytes. `to` is
/// either complete or not there.
pub async fn backup(url: &SecretString, to: &Path, force: bool) -> Result<u64> {
    let Some(from) = sqlite_path(url) else {
        bail!(
            "this database is a PostgreSQL, which brings its own tool: \
             pg_dump --format=custom --no-owner --file=cloud-agent.dump \"$DATABASE_URL\""
        );
    };
    ensure!(from.exists(), "there is no database at {} (DATABASE_URL, DATA_DIR)", from.display());
    ensure!(force || !to.exists(), "{} is there already; --force replaces it", to.display());
    let partial = beside(to, ".partial");
    if partial.exists() {
        std::fs::remove_file(&partial).with_context(|| format!("remove {}", partial.display()))?;
    }
    let copied = copy(&from, &partial).await;
    if copied.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    copied?;
    std::fs::rename(&partial, to).with_context(|| format!("name the copy {}", to.display()))?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("flush {}", dir.display()))?;
    Ok(std::fs::metadata(to)?.len())
}

/// The copy has no log beside it, no free pages, and gives pages back later on.
async fn copy(from: &Path, to: &Path) -> Result<()> {
    // For its owner alone before there is anything in it; SQLite takes an empty file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    made.with_context(|| format!("copy the database to {}", to.display()))?;
    let reading = |path: &Path| format!("sqlite://{}?mode=rw", path.display());
    let mut connection = open(&reading(from)).await?;
    connection.execute("pragma busy_timeout = 10000").await?;
    connection.execute("pragma auto_vacuum = incremental").await?;
    // Reads in one transaction: whoever writes goes on, and what they write is not in the copy.
    let copied = sqlx::query("vacuum into $1").bind(to.display().to_string()).execute(&mut connection).await;
    copied.with_context(|| format!("copy the database to {}", to.display()))?;
    connection.close().await?;
    File::open(to).and_then(|file| file.sync_all()).with_context(|| format!("flush {}", to.display()))?;

    let mut connection = open(&format!("sqlite://{}?mode=ro&immutable=1", to.display())).await?;
    let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe("pragma integrity_check".to_owned()))
        .fetch_all(&mut connection)
        .await
        .context("check the copy")?;
    connection.close().await?;
    ensure!(found == ["ok"], "the copy is damaged, and so may be the database: {}", found.join("; "));
    Ok(())
}

async fn open(url: &str) -> Result<AnyConnection> {
    sqlx::any::install_default_drivers();
    let options = AnyConnectOptions::from_str(url).context("read DATABASE_URL")?;
    AnyConnection::connect_with(&options).await.with_context(|| format!("open {url}"))
}
