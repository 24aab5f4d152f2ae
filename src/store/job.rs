//! The queue's rows: claim, renew, give back, finish. The epoch makes every late write of an old claim void.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row as _};

use super::{Dialect, Store};
use crate::clock::{self, Millis};

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Delivery,
    Task,
    /// A caller who wants to hear of the end of a task.
    Callback,
}

impl Queue {
    pub const ALL: [Self; 3] = [Self::Delivery, Self::Task, Self::Callback];

    /// The word in the database. Never derived from a type's name: a renaming would strand rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Task => "task",
            Self::Callback => "callback",
        }
    }

    /// PostgreSQL's lock for claims that count.
    fn turnstile(self) -> i64 {
        match self {
            Self::Task => 7_236_001,
            Self::Delivery => 7_236_002,
            Self::Callback => 7_236_003,
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}

/// The right to work on a job until it lapses; proof of it goes with every write of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The id of the delivery, the task or the callback.
    pub job_id: String,
    pub owner: String,
    pub epoch: i64,
}

/// A job that is ours now.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub lease: Lease,
    /// Earlier claims that ended in a crash or an error of ours.
    pub attempts: i64,
    pub created_at: Millis,
    /// Who asked for it to be stopped before it was claimed.
    pub cancelled_by: Option<String>,
}

/// A job that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenJob {
    pub job_id: String,
    pub attempts: i64,
    /// A worker has it.
    pub held: bool,
}

/// What a renewal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewed {
    Ours,
    /// Ours, and this person wants it stopped.
    Cancelled(String),
    /// Somebody else has it, or it is finished: stop at once.
    Lost,
}

impl Store {
    /// Take up to `limit` jobs that are due, or whose worker has vanished. `lane_limit` bounds how many of one lane
    /// run at once, over all processes; of one thread it is one.
    pub async fn claim(
        &self,
        queue: Queue,
        owner: &str,
        lease: Duration,
        limit: usize,
        lane_limit: Option<u32>,
    ) -> sqlx::Result<Vec<Claimed>> {
        self.claim_where("", queue, owner, lease, limit, lane_limit).await
    }

    /// Take up to `limit` jobs that are to be stopped and that nobody has, whatever else runs.
    pub async fn claim_cancelled(
        &self,
        queue: Queue,
        owner: &str,
        lease: Duration,
        limit: usize,
    ) -> sqlx::Result<Vec<Claimed>> {
        self.claim_where("and cancel_requested is not null", queue, owner, lease, limit, None).await
    }

    async fn claim_where(
        &self,
        which: &str,
        queue: Queue,
        owner: &str,
        lease: Duration,
        limit: usize,
        lane_limit: Option<u32>,
    ) -> sqlx::Result<Vec<Claimed>> {
        let now = self.dialect.now();
        let lane = match lane_limit {
            // Counted once a statement, without the job itself, whose lapsed lease is not counted either. What has no lane or
            // no thread is not held up.
            Some(_) => format!(
                "and (job.cancel_requested is not null
                      or (job.lane not in
                              (select busy.lane from job busy
                               where busy.queue = $3 and busy.lease_owner is not null and busy.lease_until >= {now}
                                 and busy.lane <> ''
                               group by busy.lane having count(*) >= $5)
                          and job.thread not in
                              (select busy.thread from job busy
                               where busy.queue = $3 and busy.lease_owner is not null and busy.lease_until >= {now}
                                 and busy.thread <> '')))"
            ),
            None => String::new(),
        };
        let n = if lane_limit.is_some() { 6 } else { 5 };
        let free = self.free_at(queue, n);
        let mine = free.as_ref().map_or_else(String::new, |(at, _)| format!("and {at} <= {now}"));
        // A machine that did not come for its task is waited for once.
        let home = if free.is_some() {
            format!(", home = case when home = ${n} then home else '' end")
        } else {
            String::new()
        };
        let skip = match (self.dialect, lane_limit) {
            (Dialect::Postgres, None) => "for update skip locked",
            _ => "",
        };
        let sql = format!(
            // The condition twice: a row that had to be waited for may be somebody else's by then.
            // Materialized: PostgreSQL might else run the selection more than once, and take more than the limit.
            "with picked as materialized (
                 select job_id from job
                 where queue = $3 and run_at <= {now} and lease_until < {now} {which} {mine} {lane}
                 order by run_at limit $4 {skip})
             update job set lease_owner = $1, lease_until = {now} + $2, epoch = epoch + 1, attempts = attempts + 1{home}
             where job_id in (select job_id from picked) and run_at <= {now} and lease_until < {now}
             returning job_id, epoch, attempts, created_at, cancel_requested"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(owner)
            .bind(lease.as_millis() as Millis)
            .bind(queue.name())
            // Lanes are counted once a statement, so one job a statement keeps the count true.
            .bind(if lane_limit.is_some() { 1 } else { limit as i64 });
        if let Some(lane_limit) = lane_limit {
            query = query.bind(i64::from(lane_limit));
        }
        if let Some((_, machine)) = free {
            query = query.bind(machine);
        }
        let rows = if self.dialect == Dialect::Postgres && lane_limit.is_some() {
            // Two processes that count at the same moment would both find room.
            const ONE_AT_A_TIME: &str = "select pg_advisory_xact_lock($1)";
            let mut tx = self.begin().await?;
            sqlx::query(ONE_AT_A_TIME).bind(queue.turnstile()).execute(&mut *tx).await?;
            let rows = query.fetch_all(&mut *tx).await?;
            tx.commit().await?;
            rows
        } else {
            query.fetch_all(&self.write).await?
        };
        rows.into_iter()
            .map(|row| {
                Ok(Claimed {
                    lease: Lease { job_id: row.try_get(0)?, owner: owner.to_owned(), epoch: row.try_get(1)? },
                    attempts: row.try_get::<i64, _>(2)? - 1,
                    created_at: row.try_get(3)?,
                    cancelled_by: row.try_get(4)?,
                })
            })
            .collect()
    }

    /// When the next job of this queue is due by this process's clock, if any waits; a worker sleeps no longer than that.
    pub async fn next_due(&self, queue: Queue) -> sqlx::Result<Option<Millis>> {
        // Two looks that the index bounds: jobs for later are not leased, and few are due and still here. One `min`
        // over both would read every job that waits for its next try.
        let now = self.dialect.now();
        let free = self.free_at(queue, 2);
        let here = free.as_ref().map_or("lease_until".to_owned(), |(at, _)| format!("greatest(lease_until, {at})"));
        let sql = format!(
            "select min(due) - {now} from (
                 select min(run_at) as due from job where queue = $1 and run_at > {now}
                 union all
                 select min({here}) as due from job where queue = $1 and run_at <= {now}) as next"
        );
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(queue.name());
        if let Some((_, machine)) = free {
            query = query.bind(machine);
        }
        let left: Option<Millis> = query.fetch_one(&self.read).await?;
        Ok(left.map(|left| clock::now() + left))
    }

    /// Keep a claim for another `lease`.
    pub async fn renew(&self, lease: &Lease, length: Duration) -> sqlx::Result<Renewed> {
        let now = self.dialect.now();
        let sql = format!(
            "update job set lease_until = {now} + $1 where job_id = $2 and lease_owner = $3 and epoch = $4
             returning cancel_requested"
        );
        let row = sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql))
            .bind(length.as_millis() as Millis)
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .fetch_optional(&self.write)
            .await?;
        Ok(match row {
            Some(None) => Renewed::Ours,
            Some(Some(by)) => Renewed::Cancelled(by),
            None => Renewed::Lost,
        })
    }

    /// Whether a claim is still ours.
    pub async fn is_held(&self, lease: &Lease) -> sqlx::Result<bool> {
        const SQL: &str = "select 1 from job where job_id = $1 and lease_owner = $2 and epoch = $3";
        let row = sqlx::query(SQL).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch);
        Ok(row.fetch_optional(&self.read).await?.is_some())
    }

    /// Give a claim back, to be offered again at `run_at` by this process's clock, and tell whoever may take it. `failed`
    /// counts it as an attempt; a drain does not. A stop that its holder did not know of is looked at at once.
    pub async fn give_back(&self, claimed: &Claimed, run_at: Millis, failed: bool) -> sqlx::Result<()> {
        let lease = &claimed.lease;
        let now = self.dialect.now();
        let sql = format!(
            "update job set lease_owner = null, lease_until = 0, attempts = attempts - $2,
                 run_at = case when cancel_requested is not null and $6 = 0 then 0 else {now} + $1 end
             where job_id = $3 and lease_owner = $4 and epoch = $5 returning queue"
        );
        let mut tx = self.begin().await?;
        let queue: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(run_at - clock::now())
            .bind(i64::from(!failed))
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .bind(i64::from(claimed.cancelled_by.is_some()))
            .fetch_optional(&mut *tx)
            .await?;
        match queue.as_deref().and_then(Queue::named) {
            Some(queue) => self.commit_and_wake(tx, queue).await,
            None => Ok(()),
        }
    }

    /// Remove a job whose subject has ended. False if the claim was no longer ours.
    pub async fn finish(&self, lease: &Lease) -> sqlx::Result<bool> {
        const SQL: &str = "delete from job where job_id = $1 and lease_owner = $2 and epoch = $3";
        let gone =
            sqlx::query(SQL).bind(&lease.job_id).bind(&lease.owner).bind(lease.epoch).execute(&self.write).await?;
        Ok(gone.rows_affected() == 1)
    }

    /// How many jobs are open, whatever their state.
    pub async fn open_jobs(&self, queue: Queue) -> sqlx::Result<i64> {
        const SQL: &str = "select count(*) from job where queue = $1";
        sqlx::query_scalar(SQL).bind(queue.name()).fetch_one(&self.read).await
    }

    /// The open jobs of a queue, for whoever watches it.
    pub async fn claims(&self, queue: Queue) -> sqlx::Result<Vec<OpenJob>> {
        let now = self.dialect.now();
        let sql = format!(
            "select job_id, attempts, cast(case when lease_until >= {now} then 1 else 0 end as bigint)
             from job where queue = $1 order by created_at"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(queue.name()).fetch_all(&self.read).await?;
        rows.into_iter()
            .map(|row| {
                let held = row.try_get::<i64, _>(2)? == 1;
                Ok(OpenJob { job_id: row.try_get(0)?, attempts: row.try_get(1)?, held })
            })
            .collect()
    }

    /// Ask for a job to be stopped. False when it is no longer open.
    pub async fn request_cancel(&self, job_id: &str, by: &str) -> sqlx::Result<bool> {
        const SQL: &str = "update job set cancel_requested = $1, run_at = 0 where job_id = $2";
        let mut tx = self.begin().await?;
        let asked = sqlx::query(SQL).bind(by).bind(job_id).execute(&mut *tx).await?.rows_affected() == 1;
        if self.dialect == Dialect::Postgres {
            const NOTIFY: &str = "select pg_notify($1, 'cancel')";
            sqlx::query(NOTIFY).bind(super::wake::CHANNEL).execute(&mut *tx).await?;
        }
        self.commit_and_wake(tx, Queue::Task).await?;
        self.wakes.cancel();
        Ok(asked)
    }
}
