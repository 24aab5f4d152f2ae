//! Reviews that have ended and whose check run nobody has completed. The sweep asks for them again and again, so what needs
//! no look any more is marked, and history is not read.

use anyhow::Result;
use sqlx::AssertSqlSafe;

use super::Store;
use super::suspension::suspended;
use super::task::{COLUMNS, StoredTask, read};
use crate::clock::{self, Millis};

/// After this time a check run that nobody has begun to make will not come any more.
const LATE: Millis = 3_600_000;
/// After two weeks GitHub itself takes check runs for stale.
const STALE: Millis = 14 * 24 * LATE;
/// Rows marked in one statement: it holds SQLite's one writer.
const MARKED: i64 = 200;

/// A check run was made.
const MADE: &str = "exists (select 1 from effect where effect.key = 'task:' || task.task_id || ':review-check'
                            and effect.state = 'done')";
/// It may still be made.
const AWAITED: &str = "exists (select 1 from effect where effect.key = 'task:' || task.task_id || ':review-check'
                               and effect.state <> 'refused')";
/// It was completed, with or without notes.
const COMPLETED: &str = "exists (select 1 from effect
                                 where effect.key in ('task:' || task.task_id || ':review-check-end:0',
                                                      'task:' || task.task_id || ':review-check-end:plain')
                                   and effect.state = 'done')";

impl Store {
    /// Reviews that have ended and whose check run nobody has completed, the oldest first. Not those of suspended
    /// installations: nothing can be done about them, and they would stand before all others.
    pub async fn stranded_reviews(&self) -> Result<Vec<StoredTask>> {
        const MOST: i64 = 50;
        self.mark_settled_reviews().await?;
        let sql = format!(
            "select {COLUMNS} from task
             where kind = 'review' and check_settled = 0 and ended_at > $1 and {MADE} and not {COMPLETED}
               and not {}
             order by ended_at limit $2",
            suspended("task")
        );
        let since = clock::now() - STALE;
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(since).bind(MOST).fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// Mark the reviews that nobody needs to look after: their check run is completed, will not come, or is stale.
    async fn mark_settled_reviews(&self) -> Result<()> {
        let now = clock::now();
        let look = format!(
            "select task_id from task
             where kind = 'review' and check_settled = 0 and ended_at > 0
               and (ended_at <= $1 or {COMPLETED} or (ended_at <= $2 and not {AWAITED}))
             order by ended_at limit $3"
        );
        loop {
            let ids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(look.clone()))
                .bind(now - STALE)
                .bind(now - LATE)
                .bind(MARKED)
                .fetch_all(&self.read)
                .await?;
            if ids.is_empty() {
                return Ok(());
            }
            let sql =
                format!("update task set check_settled = 1 where task_id in {}", super::placeholders(1, ids.len()));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for id in &ids {
                query = query.bind(id);
            }
            query.execute(&self.write).await?;
        }
    }
}
