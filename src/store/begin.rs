//! The point after which a task can't be stopped any more.

use anyhow::Result;

use super::{Lease, Store};
use crate::clock;
use crate::task::State;

/// Whether a task may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    Yes,
    /// Somebody has asked for it to be stopped, and this is who.
    Cancelled(String),
    /// The claim is no longer ours, or the task stands elsewhere.
    Lost,
}

impl Store {
    /// Move a task to where its work is published, unless a stop was asked for: what was asked for before this, through
    /// whichever process, holds.
    pub async fn begin_publishing(&self, lease: &Lease, from: State) -> Result<Begun> {
        const SQL: &str = "update task set state = $1, started_at = coalesce(started_at, $2),
                waits_for = null, waits_until = null, waits_says = null
            where task_id = $3 and state = $4
              and exists (select 1 from job where job_id = $3 and lease_owner = $5 and epoch = $6
                          and cancel_requested is null)";
        const STOP: &str = "select cancel_requested from job where job_id = $1 and lease_owner = $2 and epoch = $3";
        let to = State::Publishing;
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
        if moved.rows_affected() == 1 {
            return Ok(Begun::Yes);
        }
        let stop = sqlx::query_scalar::<_, Option<String>>(STOP)
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .fetch_optional(&self.write)
            .await?;
        Ok(stop.flatten().map_or(Begun::Lost, Begun::Cancelled))
    }
}
