//! The pace of each installation's calls to GitHub, shared by all processes and kept over a restart.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::{Dialect, Store};
use crate::clock::{self, Millis};
use crate::github::{Limit, Line, Pace};

const COLUMNS: &str = "next_write_at, minute_at, hour_at, silent_until, graphql_until, why, strikes";

#[async_trait]
impl Pace for Store {
    async fn turn(
        &self,
        installation: u64,
        change: &mut (dyn for<'l> FnMut(&'l mut Line, Millis) + Send),
    ) -> anyhow::Result<(Line, Millis)> {
        const KEEP: &str = "update pace set next_write_at = $2, minute_at = $3, hour_at = $4, silent_until = $5,
                                graphql_until = $6, why = $7, strikes = $8 where installation_id = $1";
        // Makes the row or takes its lock, and reads it as it is then: nobody comes between this and the commit.
        let take = format!(
            "insert into pace (installation_id) values ($1)
             on conflict (installation_id) do update set installation_id = excluded.installation_id
             returning {COLUMNS}, {}",
            self.now()
        );
        let id = installation as i64;
        let mut tx = self.begin().await?;
        let row = sqlx::query(AssertSqlSafe(take)).bind(id).fetch_one(&mut *tx).await?;
        let (mut line, now) = read(&row)?;
        change(&mut line, now);
        sqlx::query(KEEP)
            .bind(id)
            .bind(line.next_write_at)
            .bind(line.minute_at)
            .bind(line.hour_at)
            .bind(line.silent_until)
            .bind(line.graphql_until)
            .bind(line.limit.name())
            .bind(line.strikes)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok((line, now))
    }

    async fn look(&self, installation: u64) -> anyhow::Result<(Line, Millis)> {
        let sql = format!("select {COLUMNS}, {} from pace where installation_id = $1", self.now());
        let row = sqlx::query(AssertSqlSafe(sql)).bind(installation as i64).fetch_optional(&self.read).await?;
        // Nobody has called yet, so there is nothing to compare with a clock.
        row.as_ref().map_or_else(|| Ok((Line::default(), clock::now())), read)
    }
}

impl Store {
    /// The time in an SQL text: the database's, where several processes compare what they read.
    fn now(&self) -> String {
        match self.dialect {
            Dialect::Postgres => {
                "cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint) as now".to_owned()
            }
            Dialect::Sqlite => format!("{} as now", clock::now()),
        }
    }
}

fn read(row: &AnyRow) -> anyhow::Result<(Line, Millis)> {
    let line = Line {
        next_write_at: row.try_get("next_write_at")?,
        minute_at: row.try_get("minute_at")?,
        hour_at: row.try_get("hour_at")?,
        silent_until: row.try_get("silent_until")?,
        graphql_until: row.try_get("graphql_until")?,
        limit: Limit::named(&row.try_get::<String, _>("why")?).unwrap_or(Limit::Secondary),
        strikes: row.try_get("strikes")?,
    };
    Ok((line, row.try_get("now")?))
}
