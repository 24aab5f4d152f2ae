//! What tasks wait for, so that people can see it, and since when, so that it has an end.

use anyhow::Result;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Lease, Store};
use crate::task::{State, Waiting, WaitsFor};

impl Store {
    /// Put a task into the state that says what it waits for. False if the claim was no longer ours.
    pub async fn wait(&self, lease: &Lease, from: State, waiting: &Waiting) -> Result<bool> {
        const SQL: &str = "update task set state = $1, waits_for = $2, waits_until = $3, waits_says = $4,
                waits_since = $5, waits_tries = $6
            where task_id = $7 and state = $8
              and exists (select 1 from job where job_id = $7 and lease_owner = $9 and epoch = $10)";
        anyhow::ensure!(from.may_become(State::Waiting), "a task that is {} can't wait", from.name());
        let moved = sqlx::query(SQL)
            .bind(State::Waiting.name())
            .bind(waiting.on.map(WaitsFor::name))
            .bind(waiting.until)
            .bind(&waiting.says)
            .bind(waiting.since)
            .bind(i64::from(waiting.tries))
            .bind(&lease.job_id)
            .bind(from.name())
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&self.write)
            .await?;
        Ok(moved.rows_affected() == 1)
    }
}

/// The columns of a task's waiting.
pub(super) fn read(row: &AnyRow) -> Result<Waiting> {
    let on: Option<String> = row.try_get("waits_for")?;
    Ok(Waiting {
        on: on.and_then(|name| WaitsFor::named(&name)),
        until: row.try_get("waits_until")?,
        says: row.try_get("waits_says")?,
        since: row.try_get("waits_since")?,
        tries: u32::try_from(row.try_get::<i64, _>("waits_tries")?).unwrap_or(u32::MAX),
    })
}
