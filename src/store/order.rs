//! Tasks that are asked for through the API: made in one transaction with what holds them back and what keeps the same ask
//! from making two.

use anyhow::Result;
use sqlx::{Any, Row as _, Transaction};

use super::insert::Room;
use super::{Brings, Dialect, NewTask, Queue, Store};
use crate::clock::{self, Millis};

/// A day, in milliseconds: what a key may spend in it is counted over the last one, not from midnight.
const DAY: Millis = 24 * 3_600_000;
/// With less than this left, in micro-dollars, nothing is begun.
const LEAST: i64 = 10_000;
/// How long an idempotency key is remembered, at the least.
const REMEMBERED: Millis = 7 * DAY;

/// What a task of the API is besides a task.
#[derive(Debug, Clone)]
pub struct Order {
    /// The id of the API key; `admin` for the server's own.
    pub key_id: String,
    /// What all tasks of the key may cost in a day, in micro-dollars.
    pub budget_per_day: Option<i64>,
    /// What this one may cost at most, if whoever asks says so.
    pub budget: Option<i64>,
    pub parent_id: Option<String>,
    pub brings: Brings,
    pub once: Option<Once>,
}

/// An `Idempotency-Key`, and the digest of what was asked for under it.
#[derive(Debug, Clone)]
pub struct Once {
    pub key: String,
    pub digest: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ordered {
    Made {
        created_at: Millis,
        /// The review that waited for an older commit of the same pull request, and has gone.
        superseded: Option<String>,
    },
    /// The same was asked for before, and this was made.
    Before(String),
    /// Something else was asked for under this idempotency key.
    Reused,
    /// The thread has an open task.
    Busy,
    /// More within an hour than one may ask for.
    TooMuch,
    /// What the key's tasks have cost, or may still cost, in the last day.
    OverBudget { spent: i64 },
}

impl Store {
    /// What was made before under this idempotency key, if anything was.
    pub async fn ordered_before(&self, key_id: &str, once: &Once) -> Result<Option<Ordered>> {
        const SQL: &str = "select task_id, digest from api_order where key_id = $1 and idempotency_key = $2";
        let row = sqlx::query(SQL).bind(key_id).bind(&once.key).fetch_optional(&self.read).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(match row.try_get::<String, _>(1)? == once.digest {
            true => Ordered::Before(row.try_get(0)?),
            false => Ordered::Reused,
        }))
    }

    /// Make a task that was asked for through the API. `most` is what a run may cost anyway. A new review takes the place of
    /// one that waits.
    pub async fn order_task(&self, new: &NewTask, order: &Order, most: i64) -> Result<Ordered> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            if let Some(ordered) = self.try_to_order(new, order, most).await? {
                return Ok(ordered);
            }
        }
        Ok(Ordered::Busy)
    }

    /// None when a row that could not be seen was in the way.
    async fn try_to_order(&self, new: &NewTask, order: &Order, most: i64) -> Result<Option<Ordered>> {
        const MINE: &str = "update task set key_id = $1, budget_micros = $2, parent_id = $3, budget_asked = $4
                            where task_id = $5";
        let (id, now) = (new.id.to_string(), clock::now());
        let mut tx = self.begin().await?;
        if let Some(once) = &order.once
            && !remember(&mut tx, &order.key_id, once, &id, now).await?
        {
            // Whoever was first has committed, or this would still wait.
            tx.rollback().await?;
            return Ok(Some(self.ordered_before(&order.key_id, once).await?.unwrap_or(Ordered::Busy)));
        }
        if let Some(within) = &new.within
            && !self.is_within(&mut tx, &new.place, new.requester.id, within).await?
        {
            return Ok(Some(Ordered::TooMuch));
        }
        let budget = match order.budget_per_day {
            None => order.budget,
            Some(day) => {
                let spent = self.spent_with(&mut tx, &order.key_id, now - DAY, most).await?;
                let Some(budget) = within_budget(day - spent, order.budget, most) else {
                    return Ok(Some(Ordered::OverBudget { spent }));
                };
                Some(budget)
            }
        };
        let Some(Room { superseded, called }) = self.room_for(&mut tx, new, now).await? else {
            return Ok(Some(Ordered::Busy));
        };
        if !self.insert_task(&mut tx, new, "", now, 0).await? {
            return Ok((!new.may_be_hidden()).then_some(Ordered::Busy));
        }
        let mine =
            sqlx::query(MINE).bind(&order.key_id).bind(budget).bind(&order.parent_id).bind(order.budget).bind(&id);
        mine.execute(&mut *tx).await?;
        self.keep_brought(&mut tx, &id, &order.brings).await?;
        self.commit_and_wake(tx, Queue::Task).await?;
        if called {
            self.wakes.wake(Queue::Callback);
        }
        Ok(Some(Ordered::Made { created_at: now, superseded }))
    }

    /// What the tasks of a key have cost since then; what is open counts with all that it may cost. Those who make tasks
    /// with the same key wait for each other.
    async fn spent_with(
        &self,
        tx: &mut Transaction<'static, Any>,
        key_id: &str,
        since: Millis,
        most: i64,
    ) -> sqlx::Result<i64> {
        const LOCK: &str = "select 1 from (select pg_advisory_xact_lock(hashtextextended($1, 0))) as locked";
        const SQL: &str = "select cast(coalesce(sum(
                               case when ended_at is null and coalesce(budget_micros, $1) > spent_micros
                                    then coalesce(budget_micros, $1) else spent_micros end), 0) as bigint)
                           from task where key_id = $2 and (created_at > $3 or ended_at is null or ended_at > $3)";
        if self.dialect == Dialect::Postgres {
            sqlx::query(LOCK).bind(format!("cloud-agent key {key_id}")).execute(&mut **tx).await?;
        }
        sqlx::query_scalar(SQL).bind(most).bind(key_id).bind(since).fetch_one(&mut **tx).await
    }

    /// The tasks that repeat or go on from this one, oldest first.
    pub async fn children_of(&self, task_id: &str) -> Result<Vec<String>> {
        const SQL: &str = "select task_id from task where parent_id = $1 order by task_id";
        Ok(sqlx::query_scalar(SQL).bind(task_id).fetch_all(&self.read).await?)
    }

    /// Forget some idempotency keys that are old enough for nobody to ask again.
    pub(super) async fn drop_orders(&self, now: Millis) -> Result<u64> {
        const SQL: &str = "delete from api_order where (key_id, idempotency_key) in (
                               select key_id, idempotency_key from api_order
                               where created_at < $1 order by created_at limit 500)";
        Ok(sqlx::query(SQL).bind(now - REMEMBERED).execute(&self.write).await?.rows_affected())
    }
}

/// Whether this is the first time that the key is used. On PostgreSQL this waits for whoever uses it at the same moment.
async fn remember(
    tx: &mut Transaction<'static, Any>,
    key_id: &str,
    once: &Once,
    task_id: &str,
    now: Millis,
) -> sqlx::Result<bool> {
    const SQL: &str = "insert into api_order (key_id, idempotency_key, digest, task_id, created_at)
                       values ($1, $2, $3, $4, $5) on conflict do nothing";
    let first = sqlx::query(SQL).bind(key_id).bind(&once.key).bind(&once.digest).bind(task_id).bind(now);
    Ok(first.execute(&mut **tx).await?.rows_affected() == 1)
}

/// What a task may cost of what is left of the day. Who names a sum wants that or nothing.
fn within_budget(left: i64, asked: Option<i64>, most: i64) -> Option<i64> {
    match asked {
        Some(asked) => (asked.min(most) <= left).then_some(asked.min(most)),
        None => (left >= LEAST).then_some(left.min(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::within_budget;

    #[test]
    fn a_task_gets_what_is_left_or_what_it_asks_for_or_nothing() {
        for (left, asked, expected) in [
            (10_000_000, None, Some(5_000_000)),
            (3_000_000, None, Some(3_000_000)),
            (9_999, None, None),
            (-1, None, None),
            (3_000_000, Some(2_000_000), Some(2_000_000)),
            (3_000_000, Some(3_000_001), None),
            (6_000_000, Some(9_000_000), Some(5_000_000)),
            (4_000_000, Some(9_000_000), None),
        ] {
            assert_eq!(within_budget(left, asked, 5_000_000), expected, "{left} {asked:?}");
        }
    }
}
