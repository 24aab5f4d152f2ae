//! What is kept, and for how long. The cleaner works in small steps with pauses between them: deliveries that come in
//! meanwhile wait for one step at most.
//!
//! Ids are UUIDs of version 7, which begin with their time. So what is old is the beginning of a primary key, and no row
//! needs another index for it when it is made.

use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use tracing::{info, warn};
use uuid::{NoContext, Timestamp, Uuid};

use super::{Dialect, Store, placeholders};
use crate::clock::{self, Millis};
use crate::task::Gone;

/// How often the cleaner looks, and how long it rests at least after a step that changed something.
const EVERY: Duration = Duration::from_hours(1);
const REST: Duration = Duration::from_millis(50);
/// Rows in one step. A delivery may have some kilobytes, a task a snapshot and some dozens of rows that go with it.
const DELIVERIES: i64 = 100;
const EVENTS: i64 = 500;
const TASKS: i64 = 20;
const SESSIONS: i64 = 10;
/// Deliveries that a step reads to find bodies that nobody needs.
const READ: i64 = 500;
/// How long the body of a delivery stays that nobody had to look at: long enough to see why.
const IGNORED_BODY: Millis = 24 * 3_600_000;
/// SQLite gives free pages back to the disk when they are more than this part of the file, so many at a time; fewer are
/// soon used again.
const FREE: i64 = 8;
const PAGES: i64 = 256;

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub deliveries: Duration,
    pub events: Duration,
    pub transcripts: Duration,
    pub tasks: Duration,
}

/// What the cleaner has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cleaned {
    pub bodies: u64,
    pub deliveries: u64,
    pub events: u64,
    pub transcripts: u64,
    pub artifacts: u64,
    pub tasks: u64,
}

/// Clean every hour, for as long as the process lives.
pub async fn clean(store: Store, keep: Keep) {
    let mut cleaner = Cleaner { store, keep, seen: String::new() };
    loop {
        let mut done = Cleaned::default();
        if let Err(error) = cleaner.pass(&mut done).await {
            warn!("Could not clean the database, trying again later: {error:#}");
        }
        if done != Cleaned::default() {
            info!(
                "Removed what is past its time: {} deliveries, the bodies of {} more, {} events, {} conversations, {} artifacts, \
                 {} tasks",
                done.deliveries, done.bodies, done.events, done.transcripts, done.artifacts, done.tasks
            );
        }
        tokio::time::sleep(EVERY).await;
    }
}

struct Cleaner {
    store: Store,
    keep: Keep,
    /// The last delivery whose body was looked at.
    seen: String,
}

impl Cleaner {
    /// Everything that is past its time, the quickest to age first; what belongs to a task before the task.
    async fn pass(&mut self, done: &mut Cleaned) -> Result<()> {
        let now = clock::now();
        let before = |keep: Duration| now - keep.as_millis() as Millis;
        while let Some(emptied) = self.store.empty_bodies(&mut self.seen, now - IGNORED_BODY).await? {
            done.bodies += emptied;
            if emptied > 0 {
                tokio::time::sleep(REST).await;
            }
        }
        while let gone @ 1.. = step(self.store.drop_deliveries(before(self.keep.deliveries))).await? {
            done.deliveries += gone;
        }
        while let gone @ 1.. = step(self.store.drop_events(before(self.keep.events))).await? {
            done.events += gone;
        }
        while let gone @ 1.. = step(self.store.drop_sessions(before(self.keep.transcripts))).await? {
            done.transcripts += gone;
        }
        while let gone @ 1.. = step(self.store.drop_artifacts(before(self.keep.transcripts))).await? {
            done.artifacts += gone;
        }
        while let gone @ 1.. = step(self.store.drop_tasks(before(self.keep.tasks))).await? {
            done.tasks += gone;
        }
        while let 1.. = step(self.store.drop_late(before(self.keep.deliveries))).await? {}
        while let 1.. = step(self.store.drop_breakers(before(self.keep.tasks))).await? {}
        while let 1.. = step(self.store.drop_approvals(before(self.keep.tasks))).await? {}
        while let 1.. = step(self.store.drop_loose_effects(before(self.keep.tasks))).await? {}
        while let 1.. = step(self.store.drop_orders(clock::now())).await? {}
        while let 1.. = step(self.store.drop_secrets()).await? {}
        while let 1.. = step(self.store.drop_kept()).await? {}
        while self.store.seal_anew().await? || self.store.seal_brought_anew().await? {
            tokio::time::sleep(REST).await;
        }
        while self.store.give_pages_back().await? {
            tokio::time::sleep(REST).await;
        }
        Ok(())
    }
}

/// A step, and the rest after it if it has changed something: at most a fifth of the time is spent cleaning, so that others
/// get to write.
async fn step(work: impl Future<Output = Result<u64>>) -> Result<u64> {
    let began = Instant::now();
    let changed = work.await?;
    if changed > 0 {
        tokio::time::sleep(REST.max(4 * began.elapsed())).await;
    }
    Ok(changed)
}

impl Store {
    /// Empty the bodies of old deliveries that nobody had to look at, from the one after `seen` on. How many; `None` when
    /// all were looked at. What a suspension has kept from being done may be done after it.
    async fn empty_bodies(&self, seen: &mut String, before: Millis) -> Result<Option<u64>> {
        const LOOK: &str = "select delivery_id, cast(case when state = 'ignored' and length(body) > 0
                                                and coalesce(decision, '') <> $4 then 1 else 0 end as bigint)
                            from delivery where delivery_id > $1 and delivery_id < $2 order by delivery_id limit $3";
        const SQL: &str = "update delivery set body = $1 where delivery_id in ";
        let look = sqlx::query(LOOK).bind(seen.as_str()).bind(first_id(before)).bind(READ);
        let rows = look.bind(Gone::Suspended.says()).fetch_all(&self.read).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let last: String = last.try_get(0)?;
        let mut ids = Vec::new();
        for row in &rows {
            if row.try_get::<i64, _>(1)? == 1 {
                ids.push(row.try_get::<String, _>(0)?);
            }
        }
        let mut emptied = 0;
        for ids in ids.chunks(DELIVERIES as usize) {
            let list = (2..=ids.len() + 1).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let mut query = sqlx::query(AssertSqlSafe(format!("{SQL}({list})"))).bind(Vec::<u8>::new());
            for id in ids {
                query = query.bind(id);
            }
            emptied += query.execute(&self.write).await?.rows_affected();
        }
        *seen = last;
        Ok(Some(emptied))
    }

    /// Drop some deliveries that came before. Their ids are forgotten with them, so they have to be older than anything
    /// that GitHub still sends again.
    async fn drop_deliveries(&self, before: Millis) -> Result<u64> {
        const SQL: &str = "delete from delivery where delivery_id in (
                               select delivery_id from delivery where delivery_id < $1 and state <> 'waiting'
                               order by delivery_id limit $2)";
        let gone = sqlx::query(SQL).bind(first_id(before)).bind(DELIVERIES).execute(&self.write).await?;
        Ok(gone.rows_affected())
    }

    /// Drop some events of tasks that ended before.
    async fn drop_events(&self, before: Millis) -> Result<u64> {
        const SQL: &str = "delete from task_event where (task_id, seq) in (
                               select task_id, seq from task_event
                               where task_id < $1 and not exists (select 1 from task
                                   where task.task_id = task_event.task_id and coalesce(task.ended_at, $2) >= $2)
                               order by task_id, seq limit $3)";
        let gone = sqlx::query(SQL).bind(first_id(before)).bind(before).bind(EVENTS).execute(&self.write).await?;
        Ok(gone.rows_affected())
    }

    /// Drop some conversations that were kept before.
    async fn drop_sessions(&self, before: Millis) -> Result<u64> {
        const SQL: &str = "delete from session where task_id in (
                               select task_id from session where created_at < $1 order by created_at limit $2)";
        Ok(sqlx::query(SQL).bind(before).bind(SESSIONS).execute(&self.write).await?.rows_affected())
    }

    /// Drop some tasks that ended before, with all that is theirs; and what was found on a pull request, once no task
    /// about it is left.
    async fn drop_tasks(&self, before: Millis) -> Result<u64> {
        const OF_A_TASK: [&str; 11] = [
            "task_event",
            "effect",
            "session",
            "artifact_piece",
            "artifact",
            "kept_piece",
            "kept",
            "used",
            "task_secret",
            "callback",
            "task",
        ];
        const LOOK: &str = "select task_id, repository_id, number from task
                            where task_id < $1 and ended_at < $2 order by task_id limit $3";
        const FOUND: &str = "delete from finding where repository_id = $1 and number = $2
                             and not exists (select 1 from task where task.repository_id = $1 and task.number = $2)
                             and not exists (select 1 from task where task.repository_id = $1 and task.pull = $2)";
        let rows = sqlx::query(LOOK).bind(first_id(before)).bind(before).bind(TASKS).fetch_all(&self.read).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let ids = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
        let mut tx = self.begin().await?;
        for table in OF_A_TASK {
            let sql = format!("delete from {table} where task_id in {}", placeholders(1, ids.len()));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in &ids {
                query = query.bind(id);
            }
            query.execute(&mut *tx).await?;
        }
        let mut threads =
            rows.iter().map(|row| Ok((row.try_get(1)?, row.try_get(2)?))).collect::<sqlx::Result<Vec<(i64, i64)>>>()?;
        threads.sort_unstable();
        threads.dedup();
        for (repository, number) in threads {
            sqlx::query(FOUND).bind(repository).bind(number).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(ids.len() as u64)
    }

    /// Drop some notes of what came late; the deliveries themselves are gone.
    async fn drop_late(&self, before: Millis) -> Result<u64> {
        const SQL: &str = "delete from late where delivery_id in (
                               select delivery_id from late where delivery_id < $1 order by delivery_id limit $2)";
        Ok(sqlx::query(SQL).bind(first_id(before)).bind(EVENTS).execute(&self.write).await?.rows_affected())
    }

    /// Drop breakers that tripped before, in threads whose tasks are gone as well.
    async fn drop_breakers(&self, before: Millis) -> Result<u64> {
        const SQL: &str = "delete from breaker where tripped_at < $1
                             and not exists (select 1 from task where task.repository_id = breaker.repository_id
                                                                  and task.number = breaker.number)";
        Ok(sqlx::query(SQL).bind(before).execute(&self.write).await?.rows_affected())
    }

    /// Drop some writes that belong to no task, such as refusals.
    async fn drop_loose_effects(&self, before: Millis) -> Result<u64> {
        const SQL: &str = "delete from effect where key in (
                               select key from effect where task_id is null and created_at < $1
                               order by created_at limit $2)";
        Ok(sqlx::query(SQL).bind(before).bind(EVENTS).execute(&self.write).await?.rows_affected())
    }

    /// Give some of SQLite's free pages back to the disk. Whether there may be more. PostgreSQL does it by itself.
    async fn give_pages_back(&self) -> Result<bool> {
        if self.dialect == Dialect::Postgres {
            return Ok(false);
        }
        let number = async |pragma: &'static str| self.read.fetch_one(pragma).await?.try_get::<i64, _>(0);
        // 2: incremental. A file from before this was the default has it after a backup and a restore.
        let gives = number("pragma auto_vacuum").await? == 2;
        let (all, free) = (number("pragma page_count").await?, number("pragma freelist_count").await?);
        if !gives || free < PAGES || free * FREE < all {
            return Ok(false);
        }
        let pages = PAGES.min(free);
        self.write.execute(AssertSqlSafe(format!("pragma incremental_vacuum({pages})"))).await?;
        Ok(number("pragma freelist_count").await? < free)
    }
}

/// The id that is before all that were made at this time or later.
pub(super) fn first_id(at: Millis) -> String {
    let at = at.max(0) as u64;
    let time = Timestamp::from_unix(NoContext, at / 1000, (at % 1000) as u32 * 1_000_000);
    let mut bytes = *Uuid::new_v7(time).as_bytes();
    bytes[6..].fill(0);
    Uuid::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_time() {
        let before = first_id(clock::now() - 1);
        let id = Uuid::now_v7().to_string();
        assert!(before < id && id < first_id(clock::now() + 2));
        assert!(first_id(0).starts_with("00000000-0000-"));
        assert!(first_id(-5) < before);
    }
}
