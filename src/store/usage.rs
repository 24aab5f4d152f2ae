//! What tasks have cost, added up by what people ask for.

use std::collections::HashMap;

use anyhow::Result;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::filter::Filter;
use super::used::{Tokens, tokens};
use super::{Among, Store};
use crate::clock::Millis;

/// What is added up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    Day,
    Repository,
    Person,
    /// A task that has used two counts for both; one that has used none for none.
    Model,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// A day as milliseconds, a repository, a login or a model.
    pub of: String,
    pub tasks: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pulls: i64,
    pub cost_micros: i64,
    /// What of it was paid with keys of callers' own.
    pub own_key_cost_micros: i64,
    pub turns: i64,
    /// Milliseconds from the ask to the first sign on GitHub and to the pull request, on average over the tasks that have come so
    /// far and have ended.
    pub first_reaction_ms: Option<i64>,
    pub pull_ms: Option<i64>,
    pub tokens: Tokens,
}

const TOKENS: &str = "cast(sum(input) as bigint), cast(sum(output) as bigint), cast(sum(cache_read) as bigint),
                      cast(sum(cache_write) as bigint)";

impl Store {
    /// Tasks that were made from `since` until before `until`, added up. Days are UTC's.
    pub async fn usage(&self, by: UsageBy, since: Millis, until: Millis, among: Option<&Among>) -> Result<Vec<Usage>> {
        let mut filter = Filter::default();
        filter.number("created_at >= ?", since);
        filter.number("created_at < ?", until);
        if let Some(among) = among {
            among.filter(&mut filter);
        }
        match by {
            UsageBy::Day => self.usage_of("cast(created_at / 86400000 * 86400000 as text)", &filter).await,
            UsageBy::Repository => self.usage_of("repository", &filter).await,
            UsageBy::Person => self.usage_of("requester", &filter).await,
            UsageBy::Model => self.usage_by_model(&filter).await,
        }
    }

    async fn usage_of(&self, of: &str, filter: &Filter) -> Result<Vec<Usage>> {
        let sql = format!(
            "select {of} as of_what, {}, cast(sum(spent_micros) as bigint), cast(sum(turns) as bigint),
                    cast(sum(case when own_key = 1 then spent_micros else 0 end) as bigint)
             from task {} group by {of} order by {of}",
            outcomes(),
            filter.sql()
        );
        // On their own: most tasks have a row for each of a few models.
        let used = format!(
            "select {of} as of_what, {TOKENS} from task join used on used.task_id = task.task_id {} group by {of}",
            filter.sql()
        );
        let used = filter.bind(sqlx::query(AssertSqlSafe(used))).fetch_all(&self.read).await?;
        let used = used.iter().map(|row| Ok((row.try_get(0)?, tokens(row, 1)?)));
        let used = used.collect::<Result<HashMap<String, Tokens>>>()?;
        let rows = filter.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&self.read).await?;
        let line = |row: &AnyRow| {
            let line = line(row, Tokens::default())?;
            Ok(Usage { tokens: used.get(&line.of).copied().unwrap_or_default(), ..line })
        };
        rows.iter().map(line).collect()
    }

    async fn usage_by_model(&self, filter: &Filter) -> Result<Vec<Usage>> {
        let sql = format!(
            "select model, {}, cast(sum(micros) as bigint), cast(sum(turns) as bigint),
                    cast(sum(case when own_key = 1 then micros else 0 end) as bigint), {TOKENS}
             from (select used.model, used.task_id, sum(micros) as micros, sum(input) as input, sum(output) as output,
                          sum(cache_read) as cache_read, sum(cache_write) as cache_write
                   from task join used on used.task_id = task.task_id {} group by used.model, used.task_id) as used
             join task on task.task_id = used.task_id group by model order by model",
            outcomes(),
            filter.sql()
        );
        let rows = filter.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&self.read).await?;
        rows.iter().map(|row| line(row, tokens(row, 11)?)).collect()
    }
}

fn outcomes() -> String {
    let count = |is_so: &str| format!("cast(sum(case when {is_so} then 1 else 0 end) as bigint)");
    let so = ["state = 'completed'", "state = 'failed'", "state = 'cancelled'", "pull is not null"];
    let times = ["answered_after", "pull_after"].map(|it| format!("cast(avg({it}) as bigint)"));
    format!("count(*), {}, {}", so.map(count).join(", "), times.join(", "))
}

fn line(row: &AnyRow, tokens: Tokens) -> Result<Usage> {
    Ok(Usage {
        of: row.try_get(0)?,
        tasks: row.try_get(1)?,
        completed: row.try_get(2)?,
        failed: row.try_get(3)?,
        cancelled: row.try_get(4)?,
        pulls: row.try_get(5)?,
        first_reaction_ms: row.try_get(6)?,
        pull_ms: row.try_get(7)?,
        cost_micros: row.try_get(8)?,
        turns: row.try_get(9)?,
        own_key_cost_micros: row.try_get(10)?,
        tokens,
    })
}
