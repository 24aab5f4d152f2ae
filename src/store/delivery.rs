//! Deliveries: stored in batches, read by the worker that decides, kept with the reason for what they did.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Row as _, Transaction};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::wake::CHANNEL;
use super::{Dialect, Lease, Queue, Store};
use crate::clock::Millis;

/// Rows in one statement on SQLite. Each count of rows is a statement of its own, and sqlx keeps 100 prepared.
const ROWS: usize = 64;

/// A delivery whose signature was good.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub delivery_id: Uuid,
    pub app_id: i64,
    pub guid: String,
    pub event: String,
    pub action: Option<String>,
    pub installation_id: Option<i64>,
    pub repository: Option<String>,
    pub content_type: String,
    /// The raw bytes, compressed with zstd.
    pub body: Bytes,
    pub received_at: Millis,
    /// Why nobody needs to look at it; `None` puts it into the queue.
    pub ignored: Option<&'static str>,
}

impl NewDelivery {
    fn state(&self) -> DeliveryState {
        if self.ignored.is_some() { DeliveryState::Ignored } else { DeliveryState::Waiting }
    }

    /// What is looked at beside it only so many at a time: the deliveries of its installation.
    pub(super) fn lane(&self) -> String {
        lane(self.installation_id)
    }
}

/// The lane of an installation's deliveries; none of those that name no installation.
pub(super) fn lane(installation: Option<i64>) -> String {
    installation.map(|id| id.to_string()).unwrap_or_default()
}

/// A delivery as the worker reads it.
#[derive(Debug, Clone)]
pub struct StoredDelivery {
    pub delivery_id: String,
    pub guid: String,
    pub event: String,
    pub content_type: String,
    /// The raw bytes that were signed.
    pub body: Vec<u8>,
    pub received_at: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    Waiting,
    Done,
    Ignored,
    Failed,
}

impl DeliveryState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }
}

/// What became of a delivery.
#[derive(Debug, Clone)]
pub struct Decided {
    pub state: DeliveryState,
    /// The reason, in a sentence.
    pub decision: String,
    pub task_id: Option<String>,
}

impl Store {
    /// Store deliveries and their queue rows, all or none. The answer names the ones that are new: one that is
    /// already here, or twice in the batch, is left as it is.
    pub async fn accept(&self, batch: &[NewDelivery]) -> Result<HashSet<Uuid>> {
        if self.dialect == Dialect::Postgres {
            return self.accept_in_one_statement(batch).await;
        }
        if batch.len() <= ROWS && batch.iter().all(|it| it.ignored.is_some()) {
            // The common case is one statement, which is a transaction of its own.
            let mut connection = self.write.acquire().await?;
            return Ok(insert_deliveries(&mut connection, batch).await?.into_iter().collect());
        }
        let mut tx = self.begin().await?;
        let mut new = HashSet::new();
        for rows in batch.chunks(ROWS) {
            new.extend(insert_deliveries(&mut tx, rows).await?);
        }
        let waiting: Vec<&NewDelivery> =
            batch.iter().filter(|it| it.ignored.is_none() && new.contains(&it.delivery_id)).collect();
        if waiting.is_empty() {
            tx.commit().await?;
        } else {
            insert_jobs(&mut tx, &waiting).await?;
            self.commit_and_wake(tx, Queue::Delivery).await?;
        }
        Ok(new)
    }

    /// PostgreSQL may be a network away, so it gets everything in one message, and one statement for every size of
    /// batch: the columns as JSON, the bodies end to end. SQLite is faster with plain rows.
    async fn accept_in_one_statement(&self, batch: &[NewDelivery]) -> Result<HashSet<Uuid>> {
        let now = self.dialect.now();
        let sql = format!(
            "with given as (
                select * from json_to_recordset($1::json) as given (
                    delivery_id text, app_id bigint, guid text, event text, action text, installation_id bigint,
                    repository text, content_type text, received_at bigint, state text, decision text,
                    starts integer, length integer)),
            new as (
                insert into delivery (delivery_id, app_id, guid, event, action, installation_id, repository,
                                      content_type, body, received_at, state, decision)
                select delivery_id, app_id, guid, event, action, installation_id, repository,
                       content_type, substring($2 from starts for length), received_at, state, decision from given
                on conflict (app_id, guid) do nothing returning delivery_id, received_at, state, installation_id),
            queued as (
                insert into job (job_id, queue, lane, run_at, created_at)
                select delivery_id, $3, coalesce(cast(installation_id as text), ''), {now}, received_at from new where state = 'waiting' returning job_id)
            select delivery_id, (select count(pg_notify($4, $3)) from (select 1 from queued limit 1) one) from new"
        );
        let mut bodies = Vec::with_capacity(batch.iter().map(|it| it.body.len()).sum());
        let mut rows = Vec::with_capacity(batch.len());
        for it in batch {
            rows.push(json!({
                "delivery_id": it.delivery_id, "app_id": it.app_id, "guid": it.guid, "event": it.event,
                "action": it.action, "installation_id": it.installation_id, "repository": it.repository,
                "content_type": it.content_type, "received_at": it.received_at, "state": it.state().name(),
                "decision": it.ignored, "starts": bodies.len() + 1, "length": it.body.len(),
            }));
            bodies.extend_from_slice(&it.body);
        }
        let new = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
            .bind(serde_json::to_string(&rows)?)
            .bind(bodies)
            .bind(Queue::Delivery.name())
            .bind(CHANNEL)
            .fetch_all(&self.write)
            .await?;
        if batch.iter().any(|it| it.ignored.is_none()) {
            self.wakes.wake(Queue::Delivery);
        }
        Ok(new.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect())
    }

    /// A delivery with its body unpacked. An error when the body is not kept any more.
    pub async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>> {
        let found = self.kept_delivery(id).await?;
        anyhow::ensure!(
            found.is_some() || !self.has_delivery(id).await?,
            "the body of delivery {id} is not kept any more"
        );
        Ok(found)
    }

    async fn has_delivery(&self, id: &str) -> Result<bool> {
        const SQL: &str = "select 1 from delivery where delivery_id = $1";
        Ok(sqlx::query(SQL).bind(id).fetch_optional(&self.read).await?.is_some())
    }

    /// A delivery with its body unpacked, while that is kept.
    pub async fn kept_delivery(&self, id: &str) -> Result<Option<StoredDelivery>> {
        const SQL: &str = "select delivery_id, guid, event, content_type, body, received_at
                           from delivery where delivery_id = $1";
        let Some(row) = sqlx::query(SQL).bind(id).fetch_optional(&self.read).await? else {
            return Ok(None);
        };
        read(&row)
    }

    /// Record what became of a delivery and take it off the queue. False if the claim was no longer ours.
    pub async fn decided(&self, lease: &Lease, decided: &Decided) -> Result<bool> {
        let Some(decider) = &self.decider else {
            let mut tx = self.begin().await?;
            let ours = conclude(&mut tx, lease, decided).await?;
            tx.commit().await?;
            return Ok(ours);
        };
        let (answer, written) = oneshot::channel();
        let deciding = Deciding { lease: lease.clone(), decided: decided.clone(), answer };
        decider.send(deciding).await.ok().context("the writer of decisions has ended")?;
        written.await.context("the writer of decisions has ended")?.map_err(anyhow::Error::msg)
    }

    /// State and reason of a delivery by GitHub's id, newest first where several Apps share a database.
    pub async fn delivery_decision(&self, guid: &str) -> Result<Option<(String, Option<String>)>> {
        const SQL: &str = "select state, decision from delivery where guid = $1 order by received_at desc limit 1";
        let row = sqlx::query(SQL).bind(guid).fetch_optional(&self.read).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }
}

/// The first columns as `kept_delivery` asks for them; none while there is no body.
pub(super) fn read(row: &AnyRow) -> Result<Option<StoredDelivery>> {
    let body: Vec<u8> = row.try_get(4)?;
    if body.is_empty() {
        return Ok(None);
    }
    Ok(Some(StoredDelivery {
        delivery_id: row.try_get(0)?,
        guid: row.try_get(1)?,
        event: row.try_get(2)?,
        content_type: row.try_get(3)?,
        body: zstd::decode_all(body.as_slice()).context("unpack a delivery's body")?,
        received_at: row.try_get(5)?,
    }))
}

/// A decision on its way to the writer.
pub(super) struct Deciding {
    lease: Lease,
    decided: Decided,
    answer: oneshot::Sender<Result<bool, String>>,
}

/// Write decisions for SQLite, those that come together in one commit, so that they leave the one writer to the
/// deliveries that come in. PostgreSQL does so by itself. Ends when the last `Store` is gone.
pub(super) async fn write_decisions(write: AnyPool, mut receiver: mpsc::Receiver<Deciding>) {
    let mut waiting = Vec::new();
    while receiver.recv_many(&mut waiting, ROWS).await > 0 {
        let batch = async {
            let mut tx = write.begin_with("begin immediate").await?;
            let mut ours = Vec::with_capacity(waiting.len());
            for it in &waiting {
                ours.push(conclude(&mut tx, &it.lease, &it.decided).await?);
            }
            tx.commit().await?;
            Ok(ours)
        };
        let written: Result<Vec<bool>, String> = batch.await.map_err(|error: sqlx::Error| error.to_string());
        for (n, it) in waiting.drain(..).enumerate() {
            let _ = it.answer.send(written.as_ref().map(|ours| ours[n]).map_err(Clone::clone));
        }
    }
}

async fn conclude(tx: &mut Transaction<'_, Any>, lease: &Lease, decided: &Decided) -> sqlx::Result<bool> {
    const OFF: &str = "delete from job where job_id = $1 and lease_owner = $2 and epoch = $3";
    const SQL: &str =
        "update delivery set state = $1, decision = $2, task_id = coalesce($3, task_id) where delivery_id = $4";
    let off = sqlx::query(OFF).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&mut **tx).await?;
    if off.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(SQL)
        .bind(decided.state.name())
        .bind(&decided.decision)
        .bind(&decided.task_id)
        .bind(&lease.job_id)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Insert what is not here yet; which ones those were.
async fn insert_deliveries(to: &mut AnyConnection, rows: &[NewDelivery]) -> sqlx::Result<Vec<Uuid>> {
    const IS_HERE: &str = "select 1 from delivery where delivery_id = $1";
    // Not `$1`: those have names here, and each name is looked up among all of them.
    let values = vec![format!("({})", ["?"; 12].join(", ")); rows.len()].join(", ");
    let sql = format!(
        "insert into delivery (delivery_id, app_id, guid, event, action, installation_id, repository, content_type,
                               body, received_at, state, decision)
         values {values} on conflict (app_id, guid) do nothing"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for it in rows {
        query = query
            .bind(it.delivery_id.to_string())
            .bind(it.app_id)
            .bind(&it.guid)
            .bind(&it.event)
            .bind(&it.action)
            .bind(it.installation_id)
            .bind(&it.repository)
            .bind(&it.content_type)
            .bind(it.body.to_vec())
            .bind(it.received_at)
            .bind(it.state().name())
            .bind(it.ignored);
    }
    let inserted = query.execute(&mut *to).await?.rows_affected();
    // Redeliveries are rare, and `returning` costs a hand-over between threads for each row.
    if inserted == rows.len() as u64 {
        return Ok(rows.iter().map(|it| it.delivery_id).collect());
    }
    let mut new = Vec::new();
    for it in rows {
        if sqlx::query(IS_HERE).bind(it.delivery_id.to_string()).fetch_optional(&mut *to).await?.is_some() {
            new.push(it.delivery_id);
        }
    }
    Ok(new)
}

/// All of them in one statement of one shape, from a JSON object of ids and lanes.
async fn insert_jobs(to: &mut AnyConnection, rows: &[&NewDelivery]) -> sqlx::Result<()> {
    let sql = format!(
        "insert into job (job_id, queue, lane, run_at, created_at)
         select given.key, $2, given.value, {}, $3 from json_each($1) given",
        Dialect::Sqlite.now()
    );
    let ids: Vec<String> = rows.iter().map(|it| format!("\"{}\":\"{}\"", it.delivery_id, it.lane())).collect();
    let at = rows.iter().map(|it| it.received_at).min().unwrap_or_default();
    let ids = format!("{{{}}}", ids.join(","));
    sqlx::query(AssertSqlSafe(sql)).bind(ids).bind(Queue::Delivery.name()).bind(at).execute(to).await.map(drop)
}
