//! How long people waited: for the first sign that a task is there, and for its pull request. Told by the writes to GitHub, which
//! are noted anyway, once the task has ended.

use sqlx::{Any, Transaction};

use super::Store;
use crate::clock::Millis;

/// How long before a task is made, in milliseconds, its delivery may have been answered: deciding waits for GitHub at times.
const BEFORE: Millis = 3_600_000;

impl Store {
    /// Note it, in the transaction that ends the task.
    pub(super) async fn note_answers(tx: &mut Transaction<'static, Any>, task_id: &str) -> sqlx::Result<()> {
        const ASKED: &str = "select task.delivery_id, task.created_at, coalesce(delivery.received_at, task.created_at)
                             from task left join delivery on delivery.delivery_id = task.delivery_id
                             where task.task_id = $1";
        // The delivery's own writes, such as 👀, know nothing of the task yet.
        const FIRST: &str = "select min(at) from (
                                 select min(ended_at) as at from effect where task_id = $1 and state = 'done'
                                 union all
                                 select min(ended_at) as at from effect
                                 where task_id is null and created_at between $2 and $3 and job_id = $4
                                   and state = 'done') as answers";
        const PULL: &str = "select ended_at from effect where key = $1 and state = 'done'";
        const NOTE: &str = "update task set answered_after = $1, pull_after = $2 where task_id = $3";
        let asked: Option<(String, Millis, Millis)> =
            sqlx::query_as(ASKED).bind(task_id).fetch_optional(&mut **tx).await?;
        let Some((delivery_id, created_at, asked_at)) = asked else { return Ok(()) };
        let first = sqlx::query_scalar(FIRST).bind(task_id).bind(created_at - BEFORE).bind(created_at + BEFORE);
        let first: Option<Millis> = first.bind(&delivery_id).fetch_one(&mut **tx).await?;
        let pull = sqlx::query_scalar(PULL).bind(format!("task:{task_id}:pull"));
        let pull: Option<Option<Millis>> = pull.fetch_optional(&mut **tx).await?;
        // Clocks of several machines differ.
        let after = |at: Option<Millis>| at.map(|at| (at - asked_at).max(0));
        sqlx::query(NOTE)
            .bind(after(first))
            .bind(after(pull.flatten()))
            .bind(task_id)
            .execute(&mut **tx)
            .await
            .map(drop)
    }
}
