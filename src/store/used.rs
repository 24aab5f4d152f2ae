//! What tasks have used of the model, by model.

use anyhow::Result;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Lease, Store};

/// What was used of one model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    pub model: String,
    pub tokens: Tokens,
    pub micros: i64,
}

/// Tokens by kind; `input` is without those that were read from or written to the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: i64,
    pub output: i64,
    pub cache_read: i64,
    pub cache_write: i64,
}

impl Store {
    /// Record what the attempt under this claim has used so far. Nothing once the claim is somebody else's.
    pub async fn use_model(&self, lease: &Lease, used: &Used) -> Result<()> {
        const SQL: &str = "insert into used (task_id, epoch, model, input, output, cache_read, cache_write, micros)
            select $1, $2, $3, $4, $5, $6, $7, $8
            where exists (select 1 from job where job_id = $1 and epoch = $2 and lease_owner = $9)
            on conflict (task_id, epoch, model) do update set input = excluded.input, output = excluded.output,
                cache_read = excluded.cache_read, cache_write = excluded.cache_write, micros = excluded.micros";
        let Tokens { input, output, cache_read, cache_write } = used.tokens;
        sqlx::query(SQL)
            .bind(&lease.job_id)
            .bind(lease.epoch)
            .bind(&used.model)
            .bind(input)
            .bind(output)
            .bind(cache_read)
            .bind(cache_write)
            .bind(used.micros)
            .bind(&lease.owner)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// What a task has used in all its attempts, the dearest model first.
    pub async fn used_by(&self, task_id: &str) -> Result<Vec<Used>> {
        const SQL: &str = "select cast(sum(input) as bigint), cast(sum(output) as bigint),
                cast(sum(cache_read) as bigint), cast(sum(cache_write) as bigint), model, cast(sum(micros) as bigint)
            from used where task_id = $1 group by model order by sum(micros) desc, model";
        let rows = sqlx::query(SQL).bind(task_id).fetch_all(&self.read).await?;
        let used = |row: &AnyRow| Ok(Used { tokens: tokens(row, 0)?, model: row.try_get(4)?, micros: row.try_get(5)? });
        rows.iter().map(used).collect()
    }
}

/// Four columns from this one on.
pub(super) fn tokens(row: &AnyRow, first: usize) -> sqlx::Result<Tokens> {
    Ok(Tokens {
        input: row.try_get(first)?,
        output: row.try_get(first + 1)?,
        cache_read: row.try_get(first + 2)?,
        cache_write: row.try_get(first + 3)?,
    })
}
