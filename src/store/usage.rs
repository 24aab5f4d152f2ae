//! What tasks have cost, added up by what people ask for.

use anyhow::Result;
use sqlx::{AssertSqlSafe, Row as _};

use super::Store;
use super::filter::Filter;
use crate::clock::Millis;

/// What is added up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageBy {
    Day,
    Repository,
    Person,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// A day as milliseconds, a repository or a login.
    pub of: String,
    pub tasks: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub pulls: i64,
    pub cost_micros: i64,
    pub turns: i64,
}

impl Store {
    /// Tasks that were made from `since` until before `until`, added up. Days are UTC's.
    pub async fn usage(
        &self,
        by: UsageBy,
        since: Millis,
        until: Millis,
        among: Option<&[String]>,
    ) -> Result<Vec<Usage>> {
        let of = match by {
            UsageBy::Day => "cast(created_at / 86400000 * 86400000 as text)",
            UsageBy::Repository => "repository",
            UsageBy::Person => "requester",
        };
        let mut filter = Filter::default();
        filter.number("created_at >= ?", since);
        filter.number("created_at < ?", until);
        if let Some(among) = among {
            filter.one_of("lower(repository)", among);
        }
        let count = |is_so: &str| format!("cast(sum(case when {is_so} then 1 else 0 end) as bigint)");
        let sql = format!(
            "select {of} as of_what, count(*), {}, {}, {}, {},
                    cast(sum(spent_micros) as bigint), cast(sum(turns) as bigint)
             from task {} group by {of} order by {of}",
            count("state = 'completed'"),
            count("state = 'failed'"),
            count("state = 'cancelled'"),
            count("pull is not null"),
            filter.sql()
        );
        let rows = filter.bind(sqlx::query(AssertSqlSafe(sql))).fetch_all(&self.read).await?;
        rows.into_iter()
            .map(|row| {
                Ok(Usage {
                    of: row.try_get(0)?,
                    tasks: row.try_get(1)?,
                    completed: row.try_get(2)?,
                    failed: row.try_get(3)?,
                    cancelled: row.try_get(4)?,
                    pulls: row.try_get(5)?,
                    cost_micros: row.try_get(6)?,
                    turns: row.try_get(7)?,
                })
            })
            .collect()
    }
}
