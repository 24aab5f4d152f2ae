//! The rows of a new task, whichever door it came in by: the task itself, and its place in the queue.

use anyhow::Result;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::snapshot::Stored;
use super::{NewTask, Queue, Store, StoredTask};
use crate::clock::Millis;
use crate::task::{Ending, Kind};

/// That nothing is in the way of a task, as far as can be seen.
pub(super) struct Room {
    /// The review that waited for an older commit of the same pull request, and has gone.
    pub superseded: Option<String>,
    /// Somebody is called because of that.
    pub called: bool,
}

impl NewTask {
    /// Whether what is in its way may be a row that could not be seen: on PostgreSQL a review of another commit may have been
    /// made at the same moment.
    pub(super) fn may_be_hidden(&self) -> bool {
        self.kind == Kind::Review && self.origin.is_none()
    }
}

impl Store {
    /// Make room for a task: a review takes the place of one that waits. None when a review of the same commit is open.
    pub(super) async fn room_for(
        &self,
        tx: &mut Transaction<'static, Any>,
        new: &NewTask,
        now: Millis,
    ) -> Result<Option<Room>> {
        const SAME: &str = "select 1 from task where repository_id = $1 and number = $2 and head_sha = $3
            and kind = 'review' and state in ('queued', 'running', 'publishing', 'waiting')";
        const WAITING: &str = "update task set state = 'cancelled', ended_at = $1, ending = $2
            where repository_id = $3 and number = $4 and kind = 'review'
              and (state = 'queued' or state = 'waiting' and started_at is null) returning task_id, key_id";
        const OFF: &str = "delete from job where job_id = $1";
        if new.kind != Kind::Review {
            return Ok(Some(Room { superseded: None, called: false }));
        }
        let (repository, number) = (new.place.repository_id as i64, new.place.number as i64);
        let head = new.snapshot.pull.as_ref().map(|pull| pull.head_sha.clone());
        let same = sqlx::query(SAME).bind(repository).bind(number).bind(head);
        if same.fetch_optional(&mut **tx).await?.is_some() {
            return Ok(None);
        }
        let ending = Ending { by: Some(new.id.to_string()), ..Ending::new("superseded", "") };
        let waiting = sqlx::query_as(WAITING).bind(now).bind(serde_json::to_string(&ending)?);
        let waiting: Vec<(String, Option<String>)> = waiting.bind(repository).bind(number).fetch_all(&mut **tx).await?;
        let mut called = false;
        for (old, key_id) in &waiting {
            sqlx::query(OFF).bind(old).execute(&mut **tx).await?;
            if key_id.is_some() {
                called |= self.settle_with_caller(tx, old).await?;
            }
        }
        // More than one only after a race; the sweep of check runs ends the others.
        Ok(Some(Room { superseded: waiting.into_iter().next().map(|(old, _)| old), called }))
    }

    /// Insert a task that begins after `held` milliseconds. False if a row is in the way: the thread has an open task, or the
    /// same ask has made one.
    pub(super) async fn insert_task(
        &self,
        tx: &mut Transaction<'static, Any>,
        new: &NewTask,
        delivery_id: &str,
        now: Millis,
        held: Millis,
    ) -> Result<bool> {
        const TASK: &str =
            "insert into task (task_id, installation_id, repository_id, repository, number, requester_id,
                requester, trigger_json, prompt, snapshot, state, created_at, delivery_id, kind, head_sha, origin,
                snapshot_hash)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $12, $13, $14, $15, $16)
            on conflict do nothing";
        let job = format!(
            "insert into job (job_id, queue, lane, thread, run_at, created_at)
             values ($1, $2, $3, $4, {} + $5, $6)",
            self.dialect.now()
        );
        let id = new.id.to_string();
        let (repository, number) = (new.place.repository_id as i64, new.place.number as i64);
        let (trigger, snapshot) = (serde_json::to_string(&new.trigger)?, serde_json::to_string(&new.snapshot)?);
        let hash = Stored {
            repository_id: repository,
            number,
            kind: new.kind.name(),
            requester_id: new.requester.id as i64,
            trigger: &trigger,
            prompt: &new.prompt,
            snapshot: &snapshot,
        }
        .hash();
        let made = sqlx::query(TASK)
            .bind(&id)
            .bind(new.place.installation_id as i64)
            .bind(repository)
            .bind(&new.place.repository)
            .bind(number)
            .bind(new.requester.id as i64)
            .bind(&new.requester.login)
            .bind(&trigger)
            .bind(&new.prompt)
            .bind(&snapshot)
            .bind(now)
            .bind(delivery_id)
            .bind(new.kind.name())
            .bind(new.snapshot.pull.as_ref().map(|pull| pull.head_sha.clone()))
            .bind(&new.origin)
            .bind(&hash)
            .execute(&mut **tx)
            .await?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(AssertSqlSafe(job))
            .bind(&id)
            .bind(Queue::Task.name())
            .bind(repository.to_string())
            .bind(format!("{repository}#{number}"))
            .bind(held)
            .bind(now)
            .execute(&mut **tx)
            .await?;
        Ok(true)
    }
}

impl StoredTask {
    /// What a run may spend, in micro-dollars, where any run may spend `most`: no more than the repository's settings say, nor
    /// than whoever asked.
    pub fn budget_within(&self, most: i64) -> i64 {
        let rules = self.snapshot.rules().budget.run.map_or(most, |run| run.micros);
        most.min(rules).min(self.budget_micros.unwrap_or(most))
    }
}
