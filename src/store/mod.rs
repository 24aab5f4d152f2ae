//! Tool: things at rest, on SQLite or PostgreSQL. One SQL text for both; the only module that knows SQL.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Connection as _, Executor as _, Row as _, Transaction};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

mod among;
mod answered;
mod api_key;
mod approval;
mod artifact;
mod backup;
mod begin;
mod beside;
mod breaker;
mod callback;
mod caller;
mod delivery;
mod doubt;
mod effect;
mod event;
mod filter;
mod home;
mod insert;
mod installation;
mod job;
mod kept;
mod ledger;
mod list;
mod migrate;
mod missed;
mod order;
mod pace;
mod retain;
mod seal;
mod sealed;
mod snapshot;
mod sole;
mod stranded;
mod suspension;
mod task;
mod usage;
mod used;
mod waiting;
mod wake;

pub use among::{Among, Narrowed};
pub use api_key::ApiKey;
pub use approval::ChangeAfter;
pub use artifact::{Artifact, Content, NewArtifact};
pub use backup::backup;
pub use begin::Begun;
pub use breaker::{Breaker, Within};
pub use callback::{Callback, Called, NewCallback, Tried};
pub use caller::{Brings, Secret};
use delivery::Deciding;
pub use delivery::{Decided, DeliveryState, NewDelivery, StoredDelivery};
pub use doubt::Doubt;
pub use effect::{Effect, Intent};
pub use event::{BLOCKED, Event, NewEvent};
pub use job::{Claimed, Lease, OpenJob, Queue, Renewed};
pub use kept::Kept;
pub use ledger::{StoredFinding, StoredSession};
pub use list::{DeliveryLine, DeliveryQuery, TaskQuery};
pub use missed::{Listing, Source, Sweep};
pub use order::{Once, Order, Ordered};
pub use retain::{Keep, clean};
pub use seal::Keys;
pub use sealed::Sealing;
pub use sole::Sole;
pub use suspension::Suspension;
pub use task::{Created, NewTask, StoredTask};
pub use usage::{Usage, UsageBy};
pub use used::{Tokens, Used};
pub use wake::{Changed, Installations, Wakes, listen};

/// What a database answers besides rows.
pub type Error = sqlx::Error;

/// Whether an error says that the database is away, which is nobody's mistake and passes.
pub fn is_away(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        // PostgreSQL shuts down, starts up, or has closed the connection; SQLite's file is locked, full or not to be read.
        Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P") || matches!(&*code, "53100" | "53300" | "5" | "10" | "13")
        }),
        _ => false,
    }
}

/// How long a statement waits for another process's write lock on SQLite.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that was not used for this long is asked whether it still stands before it is used.
const RESTED: Duration = Duration::from_secs(1);

/// How often SQLite's log is folded into the file, while there is something to fold and while there is not.
const FOLD: Duration = Duration::from_millis(200);
const FOLD_IDLE: Duration = Duration::from_secs(2);
/// Pages in the log at which a commit has to fold what is left, and bytes that the log's file is cut to after that.
const LOG_PAGES: u32 = 16_000;
const LOG_BYTES: u32 = 16 << 20;

/// Decisions that may wait for their writer before handlers wait themselves.
const DECISIONS: usize = 64;

/// The database.
#[derive(Clone)]
pub struct Store {
    /// One connection on SQLite, which has one writer anyway: waiting happens in order, in the pool.
    write: AnyPool,
    read: AnyPool,
    dialect: Dialect,
    wakes: Wakes,
    /// Where decisions are gathered; PostgreSQL needs nobody to.
    decider: Option<mpsc::Sender<Deciding>>,
    /// What seals; a process that only looks has none.
    keys: Option<Arc<Keys>>,
    /// The machine that this process runs on, once it is known.
    home: Option<Arc<home::Home>>,
    /// Ends the housekeeping with the last `Store`.
    _housekeeping: Arc<DropGuard>,
}

/// Where the two engines differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The present moment as the database sees it. Leases and due times are set and compared by this clock alone, so that
    /// machines whose clocks differ neither steal work nor starve. On SQLite it is the one process's own.
    fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "cast(round(unixepoch('subsec') * 1000) as integer)",
            // Not `clock_timestamp()`: that may change within a statement, so no index would be used with it.
            Self::Postgres => "cast(extract(epoch from statement_timestamp()) * 1000 as bigint)",
        }
    }

    /// The type of bytes.
    fn bytes(self) -> &'static str {
        match self {
            Self::Sqlite => "blob",
            Self::Postgres => "bytea",
        }
    }
}

impl Store {
    /// Connect to `sqlite://path` or `postgres://…`, making the SQLite file if it is not there.
    pub async fn connect(url: &SecretString) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let text = url.expose_secret();
        let dialect = match text.split_once("://").map(|(scheme, _)| scheme) {
            Some("sqlite") => Dialect::Sqlite,
            Some("postgres" | "postgresql") => Dialect::Postgres,
            _ => bail!("DATABASE_URL must start with sqlite:// or postgres://"),
        };
        let (write, read) = match dialect {
            Dialect::Sqlite => (sqlite(text, 1).await?, sqlite(text, 4).await?),
            Dialect::Postgres => {
                let options = AnyConnectOptions::from_str(text).context("read DATABASE_URL")?;
                let pool = AnyPoolOptions::new()
                    .max_connections(12)
                    .acquire_timeout(Duration::from_secs(10))
                    // A server may have hung up on a connection that rested, seldom on one in use: asking each time
                    // would add a round trip to every statement.
                    .test_before_acquire(false)
                    .before_acquire(|connection, meta| {
                        Box::pin(async move {
                            if meta.idle_for > RESTED {
                                connection.ping().await?;
                            }
                            Ok(true)
                        })
                    })
                    .connect_with(options)
                    .await
                    .map_err(|error| {
                        let away = is_away(&error);
                        let error = anyhow::Error::from(error);
                        match away {
                            true => error.context(
                                "connect to PostgreSQL (DATABASE_URL; does it run, and may this machine reach it?)",
                            ),
                            false => error.context("connect to PostgreSQL (DATABASE_URL)"),
                        }
                    })?;
                (pool.clone(), pool)
            }
        };
        let ended = CancellationToken::new();
        let decider = (dialect == Dialect::Sqlite).then(|| {
            let (sender, receiver) = mpsc::channel(DECISIONS);
            tokio::spawn(delivery::write_decisions(write.clone(), receiver));
            tokio::spawn(ended.clone().run_until_cancelled_owned(fold_log(read.clone())));
            sender
        });
        let housekeeping = Arc::new(ended.drop_guard());
        Ok(Self {
            write,
            read,
            dialect,
            wakes: Wakes::default(),
            decider,
            keys: None,
            home: None,
            _housekeeping: housekeeping,
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> sqlx::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let asked = sqlx::query("select 1").execute(&self.read);
        // A server that has vanished says nothing for as long as the kernel keeps the connection.
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(drop)
    }

    /// The hints that something waits, of this process and, on PostgreSQL, of others.
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// Whether several processes may share this database.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// Close all connections, so that SQLite folds its log back into the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    /// A transaction that writes. On SQLite it takes the lock at once: upgrading a read later could fail half-way.
    async fn begin(&self) -> sqlx::Result<Transaction<'static, Any>> {
        match self.dialect {
            Dialect::Sqlite => self.write.begin_with("begin immediate").await,
            Dialect::Postgres => self.write.begin().await,
        }
    }

    /// Commit, then say that `queue` has work: in this process, and through PostgreSQL in the others.
    async fn commit_and_wake(&self, mut tx: Transaction<'static, Any>, queue: Queue) -> sqlx::Result<()> {
        if self.dialect == Dialect::Postgres {
            const SQL: &str = "select pg_notify($1, $2)";
            sqlx::query(SQL).bind(wake::CHANNEL).bind(queue.name()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        self.wakes.wake(queue);
        Ok(())
    }
}

async fn sqlite(url: &str, connections: u32) -> Result<AnyPool> {
    let path = url.trim_start_matches("sqlite://").split('?').next().unwrap_or_default();
    if let Some(dir) = Path::new(path).parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    }
    let options = AnyConnectOptions::from_str(&format!("sqlite://{path}?mode=rwc")).context("read DATABASE_URL")?;
    AnyPoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        // A file does not hang up; asking first whether it has would cost as much as many a statement.
        .test_before_acquire(false)
        // On a full disk SQLite ends a transaction by itself; the connection then believes for ever that it is in one.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // FULL: what was acknowledged survives a power cut. The writer batches, so it costs one fsync a batch.
                let busy = format!("pragma busy_timeout = {}", BUSY_TIMEOUT.as_millis());
                let fold = format!("pragma wal_autocheckpoint = {LOG_PAGES}");
                let cut = format!("pragma journal_size_limit = {LOG_BYTES}");
                // Only a new file takes this: what the cleaner frees can be given back to the disk.
                let pages = "pragma auto_vacuum = incremental";
                for pragma in [&busy, pages, "pragma journal_mode = wal", "pragma synchronous = full", &fold, &cut] {
                    connection.execute(sqlx::AssertSqlSafe(pragma.to_owned())).await?;
                }
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .with_context(|| format!("open the database {path}"))
}

/// Fold SQLite's log into the file, aside from the writer: a commit that has to do it takes many times as long.
async fn fold_log(read: AnyPool) {
    let mut before = None;
    while !read.is_closed() {
        // Pages in the log, and pages of it that are in the file. Readers may hold it up; the next time goes on.
        let folded = match read.fetch_one("pragma wal_checkpoint(passive)").await {
            Ok(row) => row.try_get::<i64, _>(1).ok().zip(row.try_get::<i64, _>(2).ok()),
            Err(_) => None,
        };
        let idle = folded == before;
        before = folded;
        tokio::time::sleep(if idle { FOLD_IDLE } else { FOLD }).await;
    }
}

/// `($1, $2), ($3, $4)` for `rows` rows of `width` columns; `Any` has no query builder that writes `$n`.
fn placeholders(rows: usize, width: usize) -> String {
    let row = |r: usize| {
        let cells: Vec<String> = (1..=width).map(|c| format!("${}", r * width + c)).collect();
        format!("({})", cells.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// Whether a claim still holds, within a transaction that will write under it.
async fn holds(tx: &mut Transaction<'static, Any>, lease: &Lease) -> sqlx::Result<bool> {
    // An update that changes nothing: it keeps the row from being claimed until the transaction ends.
    const SQL: &str = "update job set epoch = epoch where job_id = $1 and lease_owner = $2 and epoch = $3";
    let kept = sqlx::query(SQL).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&mut **tx);
    Ok(kept.await?.rows_affected() == 1)
}
