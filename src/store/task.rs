//! Tasks: made with their queue row, moved from state to state by the run that holds the claim.

use anyhow::{Context as _, Result};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Lease, Queue, Store};
use crate::clock::{self, Millis};
use crate::task::{Account, Ending, Place, Progress, Snapshot, State, TaskId, Trigger};

/// A task that was admitted.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub id: TaskId,
    pub place: Place,
    pub requester: Account,
    pub trigger: Trigger,
    pub prompt: String,
    pub snapshot: Snapshot,
}

/// A task as the store has it.
#[derive(Debug, Clone)]
pub struct StoredTask {
    pub id: TaskId,
    /// The delivery that asked.
    pub delivery_id: String,
    pub place: Place,
    pub requester: Account,
    pub trigger: Trigger,
    pub prompt: String,
    pub snapshot: Snapshot,
    pub state: State,
    pub progress: Progress,
    pub ending: Option<Ending>,
    /// Micro-dollars.
    pub spent_micros: i64,
    pub turns: i64,
    pub created_at: Millis,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
}

const COLUMNS: &str =
    "task_id, delivery_id, installation_id, repository_id, repository, number, requester_id, requester,
    trigger_json, prompt, snapshot, state, progress, ending, spent_micros, turns, created_at, started_at, ended_at";

impl Store {
    /// Make a task and its queue row, under the delivery's claim. `None` when the thread has an open task already, or
    /// when the claim is no longer ours.
    pub async fn create_task(&self, lease: &Lease, new: &NewTask) -> Result<bool> {
        const TASK: &str =
            "insert into task (task_id, installation_id, repository_id, repository, number, requester_id,
                requester, trigger_json, prompt, snapshot, state, created_at, delivery_id)
            select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $12
            where exists (select 1 from job where job_id = $12 and lease_owner = $13 and epoch = $14)
            on conflict do nothing";
        const DELIVERY: &str = "update delivery set task_id = $1 where delivery_id = $2";
        const JOB: &str = "insert into job (job_id, queue, lane, run_at, created_at) values ($1, $2, $3, $4, $5)";
        let (id, now) = (new.id.to_string(), clock::now());
        let mut tx = self.begin().await?;
        let made = sqlx::query(TASK)
            .bind(&id)
            .bind(new.place.installation_id as i64)
            .bind(new.place.repository_id as i64)
            .bind(&new.place.repository)
            .bind(new.place.number as i64)
            .bind(new.requester.id as i64)
            .bind(&new.requester.login)
            .bind(serde_json::to_string(&new.trigger)?)
            .bind(&new.prompt)
            .bind(serde_json::to_string(&new.snapshot)?)
            .bind(now)
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&mut *tx)
            .await?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(DELIVERY).bind(&id).bind(&lease.job_id).execute(&mut *tx).await?;
        sqlx::query(JOB)
            .bind(&id)
            .bind(Queue::Task.name())
            .bind(new.place.repository_id.to_string())
            .bind(now)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        self.commit_and_wake(tx, Queue::Task).await?;
        Ok(true)
    }

    /// The task that this delivery has made already, in an earlier attempt.
    pub async fn task_of_delivery(&self, delivery_id: &str) -> Result<Option<StoredTask>> {
        const SQL: &str = "select task_id from delivery where delivery_id = $1 and task_id is not null";
        let id: Option<String> = sqlx::query_scalar(SQL).bind(delivery_id).fetch_optional(&self.read).await?;
        match id {
            Some(id) => self.task(&id).await,
            None => Ok(None),
        }
    }

    pub async fn task(&self, id: &str) -> Result<Option<StoredTask>> {
        let sql = format!("select {COLUMNS} from task where task_id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(&self.read).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// The newest task of a thread.
    pub async fn last_task(&self, repository_id: u64, number: u64) -> Result<Option<StoredTask>> {
        let sql = format!(
            "select {COLUMNS} from task where repository_id = $1 and number = $2 order by created_at desc, task_id desc
             limit 1"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(repository_id as i64)
            .bind(number as i64)
            .fetch_optional(&self.read)
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Tasks, newest first.
    pub async fn tasks(&self, limit: i64) -> Result<Vec<StoredTask>> {
        let sql = format!("select {COLUMNS} from task order by created_at desc, task_id desc limit $1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit).fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// Move a task; only the holder of its claim can, and only by a legal move. False if nothing was moved.
    pub async fn advance(&self, lease: &Lease, from: State, to: State) -> Result<bool> {
        const SQL: &str = "update task set state = $1, started_at = coalesce(started_at, $2)
            where task_id = $3 and state = $4
              and exists (select 1 from job where job_id = $3 and lease_owner = $5 and epoch = $6)";
        anyhow::ensure!(from.may_become(to), "a task can't go from {} to {}", from.name(), to.name());
        let moved = sqlx::query(SQL)
            .bind(to.name())
            .bind(clock::now())
            .bind(&lease.job_id)
            .bind(from.name())
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&self.write)
            .await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Record a durable step. The attempts begin anew: what counts against a task is crashes without any progress. False
    /// if the claim was no longer ours.
    pub async fn record(&self, lease: &Lease, progress: &Progress) -> Result<bool> {
        const KEPT: &str = "update job set attempts = 1 where job_id = $1 and lease_owner = $2 and epoch = $3";
        const SQL: &str = "update task set progress = $1 where task_id = $2";
        let mut tx = self.begin().await?;
        let kept = sqlx::query(KEPT).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&mut *tx).await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(SQL).bind(serde_json::to_string(progress)?).bind(&lease.job_id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Record what a run has cost so far, in all attempts.
    pub async fn spent(&self, lease: &Lease, micros: i64, turns: i64) -> Result<()> {
        const SQL: &str = "update task set spent_micros = $1, turns = $2 where task_id = $3
              and exists (select 1 from job where job_id = $3 and lease_owner = $4 and epoch = $5)";
        sqlx::query(SQL)
            .bind(micros)
            .bind(turns)
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Record how the task will end, before people are told; what follows can be repeated.
    pub async fn conclude(&self, lease: &Lease, ending: &Ending) -> Result<bool> {
        const SQL: &str = "update task set ending = $1 where task_id = $2 and ending is null
              and exists (select 1 from job where job_id = $2 and lease_owner = $3 and epoch = $4)";
        let kept = sqlx::query(SQL)
            .bind(serde_json::to_string(ending)?)
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&self.write)
            .await?;
        Ok(kept.rows_affected() == 1)
    }

    /// The end: the task rests, and its queue row goes, in one transaction. False if the claim was no longer ours.
    pub async fn end(&self, lease: &Lease, to: State) -> Result<bool> {
        const OFF: &str = "delete from job where job_id = $1 and lease_owner = $2 and epoch = $3";
        const SQL: &str = "update task set state = $1, ended_at = $2 where task_id = $3";
        let mut tx: Transaction<'static, Any> = self.begin().await?;
        let off = sqlx::query(OFF).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&mut *tx).await?;
        if off.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(SQL).bind(to.name()).bind(clock::now()).bind(&lease.job_id).execute(&mut *tx).await?;
        // A task of the same repository may have waited for its turn.
        self.commit_and_wake(tx, Queue::Task).await?;
        Ok(true)
    }
}

fn read(row: &AnyRow) -> Result<StoredTask> {
    let state: String = row.try_get("state")?;
    let ending: Option<String> = row.try_get("ending")?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(|it| it as u64);
    Ok(StoredTask {
        id: row.try_get::<String, _>("task_id")?.parse()?,
        delivery_id: row.try_get("delivery_id")?,
        place: Place {
            installation_id: number("installation_id")?,
            repository_id: number("repository_id")?,
            repository: row.try_get("repository")?,
            number: number("number")?,
        },
        requester: Account { id: number("requester_id")?, login: row.try_get("requester")? },
        trigger: serde_json::from_str(&row.try_get::<String, _>("trigger_json")?).context("read a task's trigger")?,
        prompt: row.try_get("prompt")?,
        snapshot: serde_json::from_str(&row.try_get::<String, _>("snapshot")?).context("read a task's snapshot")?,
        state: State::named(&state).with_context(|| format!("a task has the unknown state {state}"))?,
        progress: serde_json::from_str(&row.try_get::<String, _>("progress")?).context("read a task's progress")?,
        ending: ending.map(|text| serde_json::from_str(&text)).transpose().context("read a task's ending")?,
        spent_micros: row.try_get("spent_micros")?,
        turns: row.try_get("turns")?,
        created_at: row.try_get("created_at")?,
        started_at: row.try_get("started_at")?,
        ended_at: row.try_get("ended_at")?,
    })
}
