//! Tasks: made with their queue row, moved from state to state by the run that holds the claim.

use anyhow::{Context as _, Result};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::insert::Room;
use super::{Lease, Queue, Store, Within};
use crate::clock::{self, Millis};
use crate::task::{Account, Ending, Kind, Place, Progress, Snapshot, State, TaskId, Trigger, Waiting};

/// How long a review is held back at most, in milliseconds, for whoever makes its check run.
const HOLD: Millis = 300_000;

/// A task that was admitted.
#[derive(Debug, Clone)]
pub struct NewTask {
    pub id: TaskId,
    pub place: Place,
    pub requester: Account,
    pub trigger: Trigger,
    pub prompt: String,
    pub snapshot: Snapshot,
    pub kind: Kind,
    /// What asked, where several deliveries tell of the same ask: only the first makes a task.
    pub origin: Option<String>,
    /// How much may be asked for.
    pub within: Option<Within>,
}

/// What came of making a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It is there. The review that waited for an older commit of the same pull request has gone.
    Made { superseded: Option<String> },
    /// The thread has an open task, or the same ask has made one.
    Busy,
    /// It would be more than may be asked for.
    TooMuch,
    /// The claim is no longer ours.
    Lost,
}

/// A task as the store has it.
#[derive(Debug, Clone)]
pub struct StoredTask {
    pub id: TaskId,
    pub kind: Kind,
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
    pub waiting: Waiting,
    /// Digest of the request and the snapshot; tasks of older versions have none.
    pub snapshot_hash: Option<String>,
    /// The most that it may cost, where that is less than any run may. Micro-dollars.
    pub budget_micros: Option<i64>,
    /// What whoever asked has named of it, in micro-dollars.
    pub budget_asked: Option<i64>,
    /// The task that it repeats or goes on from.
    pub parent_id: Option<String>,
    /// The model is paid for by whoever asked, with a key of their own.
    pub own_key: bool,
    /// What is done on GitHub is done by whoever asked, with a token of their own.
    pub own_token: bool,
}

pub(super) const COLUMNS: &str =
    "task_id, kind, delivery_id, installation_id, repository_id, repository, number, requester_id, requester,
    trigger_json, prompt, snapshot, state, progress, ending, spent_micros, turns, created_at, started_at, ended_at,
    waits_for, waits_until, waits_says, waits_since, waits_tries, snapshot_hash, budget_micros, budget_asked, parent_id,
    own_key, own_token";

impl Store {
    /// Make a task and its queue row, under the delivery's claim. A new review takes the place of one that waits.
    pub async fn create_task(&self, lease: &Lease, new: &NewTask) -> Result<Created> {
        const TRIES: usize = 3;
        for _ in 1..TRIES {
            match self.try_to_create(lease, new).await? {
                // On PostgreSQL a review of another commit may have been made at the same moment; now it can be seen.
                None => (),
                Some(created) => return Ok(created),
            }
        }
        Ok(self.try_to_create(lease, new).await?.unwrap_or(Created::Busy))
    }

    /// None when a row that could not be seen was in the way.
    async fn try_to_create(&self, lease: &Lease, new: &NewTask) -> Result<Option<Created>> {
        const DELIVERY: &str = "update delivery set task_id = $1 where delivery_id = $2";
        let (id, now) = (new.id.to_string(), clock::now());
        let mut tx = self.begin().await?;
        if !super::holds(&mut tx, lease).await? {
            return Ok(Some(Created::Lost));
        }
        if let Some(within) = &new.within
            && !self.is_within(&mut tx, &new.place, new.requester.id, within).await?
        {
            return Ok(Some(Created::TooMuch));
        }
        let Some(Room { superseded, called }) = self.room_for(&mut tx, new, now).await? else {
            return Ok(Some(Created::Busy));
        };
        // A review begins once its check run is there: two who make it at the same time would make two.
        let held: Millis = if new.kind == Kind::Review { HOLD } else { 0 };
        if !self.insert_task(&mut tx, new, &lease.job_id, now, held).await? {
            return Ok((!new.may_be_hidden()).then_some(Created::Busy));
        }
        sqlx::query(DELIVERY).bind(&id).bind(&lease.job_id).execute(&mut *tx).await?;
        self.commit_and_wake(tx, Queue::Task).await?;
        if called {
            self.wakes.wake(Queue::Callback);
        }
        Ok(Some(Created::Made { superseded }))
    }

    /// Let a task begin that was held back until people see it.
    pub async fn release_task(&self, id: &str) -> Result<()> {
        let now = self.dialect.now();
        let sql = format!("update job set run_at = {now} where job_id = $1 and run_at > {now} and lease_owner is null");
        let mut tx = self.begin().await?;
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).execute(&mut *tx).await?;
        Ok(self.commit_and_wake(tx, Queue::Task).await?)
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

    /// Where a task stands, without all that there is to know of it.
    pub async fn task_state(&self, id: &str) -> Result<Option<State>> {
        const SQL: &str = "select state from task where task_id = $1";
        let state: Option<String> = sqlx::query_scalar(SQL).bind(id).fetch_optional(&self.read).await?;
        state
            .map(|name| State::named(&name).with_context(|| format!("a task has the unknown state {name}")))
            .transpose()
    }

    /// The newest tasks of a thread, newest first.
    pub async fn tasks_of_thread(&self, repository_id: u64, number: u64) -> Result<Vec<StoredTask>> {
        self.tasks_where("repository_id = $1 and number = $2", repository_id, number as i64).await
    }

    /// The tasks that looked at a commit, newest first. Checks on a fork's head name no pull request; this does.
    pub async fn tasks_of_head(&self, repository_id: u64, head_sha: &str) -> Result<Vec<StoredTask>> {
        self.tasks_where("repository_id = $1 and head_sha = $2", repository_id, head_sha.to_owned()).await
    }

    /// The task that an ask has made, whichever delivery told of it.
    pub async fn task_of_origin(&self, repository_id: u64, origin: &str) -> Result<Option<StoredTask>> {
        let found = self.tasks_where("repository_id = $1 and origin = $2", repository_id, origin.to_owned()).await?;
        Ok(found.into_iter().next())
    }

    /// Whether a task that these words have made, or a replay of them, has not ended.
    pub async fn is_origin_open(&self, place: &Place, origin: &str) -> Result<bool> {
        let replays = format!("{origin}@");
        let sql = format!(
            "select 1 from task where repository_id = $1 and number = $2
                 and (origin = $3 or substr(origin, 1, {}) = $4)
                 and state in ('queued', 'running', 'publishing', 'waiting') limit 1",
            replays.chars().count()
        );
        let open = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(place.repository_id as i64).bind(place.number as i64);
        let open = open.bind(origin).bind(&replays);
        Ok(open.fetch_optional(&self.read).await?.is_some())
    }

    /// The task that has opened a pull request, if one did.
    pub async fn task_that_opened(&self, repository_id: u64, pull: u64) -> Result<Option<StoredTask>> {
        let found = self.tasks_where("repository_id = $1 and pull = $2", repository_id, pull as i64).await?;
        Ok(found.into_iter().next())
    }

    /// Reviews of a pull request that came to their end, newest first.
    pub async fn reviews_of(&self, repository_id: u64, number: u64) -> Result<Vec<StoredTask>> {
        // The state is kept from its index: SQLite would read all completed tasks by it, newest first, to spare itself
        // the sorting of these few.
        let is_so = "repository_id = $1 and number = $2 and kind = 'review' and coalesce(state, '') = 'completed'";
        self.tasks_where(is_so, repository_id, number as i64).await
    }

    async fn tasks_where<'q, T>(&self, is_so: &str, repository_id: u64, value: T) -> Result<Vec<StoredTask>>
    where
        T: 'q + sqlx::Encode<'q, Any> + sqlx::Type<Any>,
    {
        const MOST: i64 = 20;
        let sql = format!("select {COLUMNS} from task where {is_so} order by created_at desc, task_id desc limit $3");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(repository_id as i64).bind(value).bind(MOST);
        rows.fetch_all(&self.read).await?.iter().map(read).collect()
    }

    /// Tasks, newest first.
    pub async fn tasks(&self, limit: i64) -> Result<Vec<StoredTask>> {
        let sql = format!("select {COLUMNS} from task order by created_at desc, task_id desc limit $1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(limit).fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// Move a task; only the holder of its claim can, and only by a legal move. False if nothing was moved.
    pub async fn advance(&self, lease: &Lease, from: State, to: State) -> Result<bool> {
        const SQL: &str = "update task set state = $1, started_at = coalesce(started_at, $2),
                waits_for = null, waits_until = null, waits_says = null
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
        const KEPT: &str = "update job set attempts = 1, home = $4
                            where job_id = $1 and lease_owner = $2 and epoch = $3";
        const SQL: &str = "update task set progress = $1, pull = coalesce($2, pull), head_sha = coalesce($3, head_sha),
                               waits_since = null, waits_tries = 0
                           where task_id = $4";
        let opened = progress.published.as_ref().and_then(|published| published.pull).map(|number| number as i64);
        // Where its check run stands.
        let head = progress.published.as_ref().map(|published| published.head.clone());
        let mut tx = self.begin().await?;
        let kept = sqlx::query(KEPT).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch);
        let kept = kept.bind(self.home_of(progress)).execute(&mut *tx).await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        let step = sqlx::query(SQL).bind(serde_json::to_string(progress)?).bind(opened).bind(head).bind(&lease.job_id);
        step.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Note how far a step has come, for whoever takes it up. It is not behind us: the attempts go on counting. False if
    /// the claim was no longer ours.
    pub async fn note_progress(&self, lease: &Lease, progress: &Progress) -> Result<bool> {
        const HOME: &str = "update job set home = $4 where job_id = $1 and lease_owner = $2 and epoch = $3";
        const SQL: &str = "update task set progress = $1 where task_id = $2";
        let json = serde_json::to_string(progress)?;
        let mut tx = self.begin().await?;
        let home = sqlx::query(HOME).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch);
        if home.bind(self.home_of(progress)).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(SQL).bind(json).bind(&lease.job_id).execute(&mut *tx).await?;
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
        // Telling it has a patience of its own.
        const SQL: &str = "update task set ending = $1, waits_since = null, waits_tries = 0
            where task_id = $2 and ending is null
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
        const SQL: &str = "update task set state = $1, ended_at = $2, waits_for = null, waits_until = null,
                               waits_says = null
                           where task_id = $3 returning key_id";
        let mut tx: Transaction<'static, Any> = self.begin().await?;
        let off = sqlx::query(OFF).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&mut *tx).await?;
        if off.rows_affected() == 0 {
            return Ok(false);
        }
        let ended = sqlx::query_scalar(SQL).bind(to.name()).bind(clock::now()).bind(&lease.job_id);
        let key_id: Option<Option<String>> = ended.fetch_optional(&mut *tx).await?;
        Self::note_answers(&mut tx, &lease.job_id).await?;
        let called = match key_id.flatten() {
            Some(_) => self.settle_with_caller(&mut tx, &lease.job_id).await?,
            None => false,
        };
        super::kept::forget(&mut tx, &lease.job_id).await?;
        self.tell_followers(&mut tx, &lease.job_id).await?;
        // A task of the same repository may have waited for its turn.
        self.commit_and_wake(tx, Queue::Task).await?;
        self.wakes.logged(&lease.job_id);
        if called {
            self.wakes.wake(Queue::Callback);
        }
        Ok(true)
    }
}

pub(super) fn read(row: &AnyRow) -> Result<StoredTask> {
    let state: String = row.try_get("state")?;
    let kind: String = row.try_get("kind")?;
    let ending: Option<String> = row.try_get("ending")?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(|it| it as u64);
    Ok(StoredTask {
        id: row.try_get::<String, _>("task_id")?.parse()?,
        kind: Kind::named(&kind).with_context(|| format!("a task has the unknown kind {kind}"))?,
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
        waiting: super::waiting::read(row)?,
        snapshot_hash: row.try_get("snapshot_hash")?,
        budget_micros: row.try_get("budget_micros")?,
        budget_asked: row.try_get("budget_asked")?,
        parent_id: row.try_get("parent_id")?,
        own_key: row.try_get::<i64, _>("own_key")? == 1,
        own_token: row.try_get::<i64, _>("own_token")? == 1,
    })
}
