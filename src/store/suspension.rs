//! Installations that were suspended, until what GitHub kept to itself meanwhile was looked for.

use sqlx::Row as _;

use super::Store;
use crate::clock::{self, Millis};

/// A suspension that is not done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    pub installation: u64,
    /// What happened since then is not known; none when that was looked for.
    pub since: Option<Millis>,
    /// When it was first found to be over.
    pub ended_at: Option<Millis>,
}

/// Whether the installation of a row of this table is suspended, as a condition.
pub(super) fn suspended(table: &str) -> String {
    format!(
        "exists (select 1 from suspension where suspension.installation_id = {table}.installation_id
                 and suspension.ended_at is null)"
    )
}

impl Store {
    /// Note that an installation is suspended, or was. Of several moments the earliest counts.
    pub async fn note_suspension(&self, app_id: i64, installation: u64, since: Millis) -> sqlx::Result<()> {
        const SQL: &str = "insert into suspension (app_id, installation_id, since) values ($1, $2, $3)
                           on conflict (app_id, installation_id) do update
                           set ended_at = null, since = case when suspension.since < excluded.since
                                                             then suspension.since else excluded.since end";
        let noted = sqlx::query(SQL).bind(app_id).bind(installation as i64).bind(since);
        noted.execute(&self.write).await.map(drop)
    }

    /// All of them.
    pub async fn suspensions(&self, app_id: i64) -> sqlx::Result<Vec<Suspension>> {
        const SQL: &str = "select installation_id, since, ended_at from suspension where app_id = $1
                           order by installation_id";
        let rows = sqlx::query(SQL).bind(app_id).fetch_all(&self.write).await?;
        rows.iter()
            .map(|row| {
                let installation = row.try_get::<i64, _>(0)? as u64;
                Ok(Suspension { installation, since: row.try_get(1)?, ended_at: row.try_get(2)? })
            })
            .collect()
    }

    /// Record that one was found to be over.
    pub async fn suspension_is_over(&self, app_id: i64, installation: u64) -> sqlx::Result<()> {
        const SQL: &str = "update suspension set ended_at = $1
                           where app_id = $2 and installation_id = $3 and ended_at is null";
        let over = sqlx::query(SQL).bind(clock::now()).bind(app_id).bind(installation as i64);
        over.execute(&self.write).await.map(drop)
    }

    /// Record that what happened since then was looked for. Not if it is suspended anew.
    pub async fn suspension_was_searched(&self, app_id: i64, installation: u64, since: Millis) -> sqlx::Result<()> {
        const SQL: &str = "update suspension set since = null
                           where app_id = $1 and installation_id = $2 and since = $3 and ended_at is not null";
        let searched = sqlx::query(SQL).bind(app_id).bind(installation as i64).bind(since);
        searched.execute(&self.write).await.map(drop)
    }

    /// There is nothing left to do about it, unless it has been suspended anew.
    pub async fn forget_suspension(&self, app_id: i64, it: &Suspension) -> sqlx::Result<()> {
        const SQL: &str = "delete from suspension where app_id = $1 and installation_id = $2
                           and coalesce(since, 0) = $3 and coalesce(ended_at, 0) = $4";
        let forgotten = sqlx::query(SQL).bind(app_id).bind(it.installation as i64);
        let forgotten = forgotten.bind(it.since.unwrap_or_default()).bind(it.ended_at.unwrap_or_default());
        forgotten.execute(&self.write).await.map(drop)
    }
}
