//! The append-only log of a task.

use serde::Deserialize;
use sqlx::{Any, AssertSqlSafe, Connection as _, Executor as _, Row as _, Transaction};
use tracing::warn;

use super::{Dialect, Store, placeholders, wake};
use crate::clock::{self, Millis};
use crate::task::Blocked;

/// Rows in one statement.
const ROWS: usize = 64;

/// The kind of the events that say what a sandbox was refused.
pub const BLOCKED: &str = "blocked";

/// Something that happened, not yet stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub kind: String,
    /// JSON.
    pub body: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub seq: i64,
    pub at: Millis,
    pub kind: String,
    /// JSON.
    pub body: String,
}

impl Store {
    /// Append to a task's log; the order of calls is the order of `seq`, which has no gaps. Stored when this returns, and
    /// on disk soon after: a power cut may take the last moments of a log, which is no reason to wait for the disk
    /// hundreds of times a second. What the next commit of anything else waits for holds these rows too.
    pub async fn append_events(&self, task_id: &str, events: &[NewEvent]) -> sqlx::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let (store, id, events) = (self.clone(), task_id.to_owned(), events.to_vec());
        // A task of its own: dropped on the way it would leave a connection that waits for no disk.
        let appending = tokio::spawn(async move { store.append_soon(&id, &events).await });
        appending.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??;
        self.wakes.logged(task_id);
        Ok(())
    }

    async fn append_soon(&self, task_id: &str, events: &[NewEvent]) -> sqlx::Result<()> {
        let mut connection = self.write.acquire().await?;
        if self.dialect == Dialect::Postgres {
            let mut tx = connection.begin().await?;
            tx.execute("set local synchronous_commit = off").await?;
            return self.append(tx, task_id, events).await;
        }
        connection.execute("pragma synchronous = normal").await?;
        let appended = match connection.begin_with("begin immediate").await {
            Ok(tx) => self.append(tx, task_id, events).await,
            Err(error) => Err(error),
        };
        if let Err(error) = connection.execute("pragma synchronous = full").await {
            warn!("Could not have a connection wait for the disk again, opening another: {error}");
            connection.close_on_drop();
        }
        appended
    }

    async fn append(&self, mut tx: Transaction<'_, Any>, task_id: &str, events: &[NewEvent]) -> sqlx::Result<()> {
        const LAST: &str = "select coalesce(max(seq), 0) from task_event where task_id = $1";
        const LOCK: &str = "update task set turns = turns where task_id = $1";
        if self.dialect == Dialect::Postgres {
            // Holds the task's row until the commit, so that two writers never count from the same number.
            sqlx::query(LOCK).bind(task_id).execute(&mut *tx).await?;
        }
        let mut seq: i64 = sqlx::query_scalar(LAST).bind(task_id).fetch_one(&mut *tx).await?;
        let at = clock::now();
        for rows in events.chunks(ROWS) {
            let sql =
                format!("insert into task_event (task_id, seq, at, kind, body) values {}", placeholders(rows.len(), 5));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for event in rows {
                seq += 1;
                query = query.bind(task_id).bind(seq).bind(at).bind(&event.kind).bind(&event.body);
            }
            query.execute(&mut *tx).await?;
        }
        self.tell_followers(&mut tx, task_id).await?;
        tx.commit().await
    }

    /// Tell other processes with this transaction that a task's log has grown, or that the task has ended. Whoever commits
    /// rings the bell in this one.
    pub(super) async fn tell_followers(&self, tx: &mut Transaction<'_, Any>, task_id: &str) -> sqlx::Result<()> {
        const SQL: &str = "select pg_notify($1, $2)";
        if self.dialect == Dialect::Postgres {
            let says = format!("{}{task_id}", wake::LOG);
            sqlx::query(SQL).bind(wake::CHANNEL).bind(says).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// The newest number of a task's log; 0 when it is empty.
    pub async fn last_event(&self, task_id: &str) -> sqlx::Result<i64> {
        const SQL: &str = "select coalesce(max(seq), 0) from task_event where task_id = $1";
        sqlx::query_scalar(SQL).bind(task_id).fetch_one(&self.read).await
    }

    /// What the sandboxes of a task were refused, in all its attempts.
    pub async fn blocked(&self, task_id: &str) -> sqlx::Result<Blocked> {
        const SQL: &str = "select body from task_event where task_id = $1 and kind = $2 order by seq";
        #[derive(Deserialize)]
        struct Body {
            blocked: Blocked,
        }
        let bodies: Vec<String> = sqlx::query_scalar(SQL).bind(task_id).bind(BLOCKED).fetch_all(&self.read).await?;
        Ok(Blocked::sum(bodies.iter().filter_map(|body| serde_json::from_str::<Body>(body).ok()).map(|it| it.blocked)))
    }

    /// Events after `seq`, oldest first, at most `limit`.
    pub async fn events(&self, task_id: &str, after: i64, limit: i64) -> sqlx::Result<Vec<Event>> {
        const SQL: &str = "select seq, at, kind, body from task_event
                           where task_id = $1 and seq > $2 order by seq limit $3";
        let rows = sqlx::query(SQL).bind(task_id).bind(after).bind(limit).fetch_all(&self.read).await?;
        rows.into_iter()
            .map(|row| {
                Ok(Event { seq: row.try_get(0)?, at: row.try_get(1)?, kind: row.try_get(2)?, body: row.try_get(3)? })
            })
            .collect()
    }
}
