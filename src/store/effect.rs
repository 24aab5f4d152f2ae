//! Writes to GitHub: the intent before the call, the result after.

use sqlx::{AssertSqlSafe, Row as _};

use super::{Lease, Store};
use crate::clock;

/// What is known of a write before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Nobody tried it before.
    New,
    /// Tried, and nobody knows how it went: look on GitHub first.
    Unsure,
    /// Another job is at it this moment.
    Elsewhere,
    /// Made; this is what GitHub answered (JSON).
    Done(String),
    /// Refused for good; this is why.
    Refused(String),
    /// The claim is no longer ours: don't.
    Lost,
}

/// One write, made at most once.
#[derive(Debug, Clone)]
pub struct Effect<'a> {
    /// Unique per subject and purpose.
    pub key: &'a str,
    pub task_id: Option<&'a str>,
    /// The claim under which it is made.
    pub lease: &'a Lease,
}

impl Store {
    /// Write down that `effect` is about to be made.
    pub async fn intend(&self, effect: &Effect<'_>) -> sqlx::Result<Intent> {
        const INSERT: &str = "insert into effect (key, task_id, job_id, state, created_at)
                              select $1, $2, $4, 'intended', $3
                              where exists (select 1 from job where job_id = $4 and lease_owner = $5 and epoch = $6)
                              on conflict (key) do nothing";
        const SELECT: &str = "select state, result from effect where key = $1
                              and exists (select 1 from job where job_id = $2 and lease_owner = $3 and epoch = $4)";
        let Lease { job_id, owner, epoch } = effect.lease;
        let made = sqlx::query(INSERT)
            .bind(effect.key)
            .bind(effect.task_id)
            .bind(clock::now())
            .bind(job_id)
            .bind(owner)
            .bind(epoch)
            .execute(&self.write)
            .await?;
        if made.rows_affected() == 1 {
            return Ok(Intent::New);
        }
        // Two deliveries may ask for the same words: whoever is at it finishes, or its lease lapses.
        let take_over = format!(
            "update effect set job_id = $2 where key = $1 and state = 'intended'
               and exists (select 1 from job where job_id = $2 and lease_owner = $3 and epoch = $4)
               and not exists (select 1 from job other where other.job_id = effect.job_id and other.job_id <> $2
                   and other.lease_until >= {})",
            self.dialect.now()
        );
        let taken = sqlx::query(AssertSqlSafe(take_over)).bind(effect.key).bind(job_id).bind(owner).bind(epoch);
        if taken.execute(&self.write).await?.rows_affected() == 1 {
            return Ok(Intent::Unsure);
        }
        let row = sqlx::query(SELECT).bind(effect.key).bind(job_id).bind(owner).bind(epoch);
        let row = row.fetch_optional(&self.write).await?;
        let Some(row) = row else {
            return Ok(Intent::Lost);
        };
        let result = row.try_get::<Option<String>, _>(1)?.unwrap_or_default();
        Ok(match row.try_get::<String, _>(0)?.as_str() {
            "done" => Intent::Done(result),
            "refused" => Intent::Refused(result),
            _ => Intent::Elsewhere,
        })
    }

    /// Record a write that was made outside any claim, because the task that it belongs to has ended.
    pub async fn note_effect(&self, key: &str, task_id: &str) -> sqlx::Result<()> {
        const SQL: &str = "insert into effect (key, task_id, state, result, created_at, ended_at)
                           values ($1, $2, 'done', 'null', $3, $3)
                           on conflict (key) do update set state = 'done', ended_at = excluded.ended_at";
        sqlx::query(SQL).bind(key).bind(task_id).bind(clock::now()).execute(&self.write).await.map(drop)
    }

    /// Record what a write came to; `result` is JSON when done, a sentence when refused. False when the claim is somebody
    /// else's by now: then theirs is what counts.
    pub async fn settle_effect(&self, effect: &Effect<'_>, done: bool, result: &str) -> sqlx::Result<bool> {
        const SQL: &str = "update effect set state = $1, result = $2, ended_at = $3 where key = $4
                           and job_id = $5
                           and exists (select 1 from job where job_id = $5 and lease_owner = $6 and epoch = $7)";
        let state = if done { "done" } else { "refused" };
        let Lease { job_id, owner, epoch } = effect.lease;
        let settled = sqlx::query(SQL).bind(state).bind(result).bind(clock::now()).bind(effect.key);
        let settled = settled.bind(job_id).bind(owner).bind(epoch).execute(&self.write).await?;
        Ok(settled.rows_affected() == 1)
    }
}
