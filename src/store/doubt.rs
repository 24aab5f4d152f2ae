//! Check runs and comments that may be there twice.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use super::Store;
use super::suspension::suspended;
use crate::clock::{self, Millis};

/// A check run or comment that GitHub may have made twice, and how both are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Of the write.
    pub key: String,
    pub installation_id: u64,
    pub repository_id: u64,
    pub repository: String,
    /// Of a check run: where it is, and what it is called.
    pub head_sha: String,
    pub name: String,
    /// The check run's own key, or the comment's marker.
    pub external_id: String,
    /// Of a comment: the issue or pull request. 0 for check runs.
    pub number: u64,
    pub created_at: Millis,
}

impl Store {
    /// Write down that something is made again, of which nobody knows whether it was made before.
    pub async fn note_doubt(&self, it: &Doubt) -> sqlx::Result<()> {
        const SQL: &str =
            "insert into doubt (key, installation_id, repository_id, repository, head_sha, name, external_id,
                                              created_at, number)
                           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                           on conflict (key) do update set created_at = excluded.created_at";
        sqlx::query(SQL)
            .bind(&it.key)
            .bind(it.installation_id as i64)
            .bind(it.repository_id as i64)
            .bind(&it.repository)
            .bind(&it.head_sha)
            .bind(&it.name)
            .bind(&it.external_id)
            .bind(it.created_at)
            .bind(it.number as i64)
            .execute(&self.write)
            .await
            .map(drop)
    }

    /// The oldest of them, each with what GitHub has answered to the call that was answered (JSON). Not those of suspended
    /// installations.
    pub async fn doubts(&self) -> sqlx::Result<Vec<(Doubt, Option<String>)>> {
        let sql = format!(
            "select doubt.key, installation_id, repository_id, repository, head_sha, name, external_id,
                    doubt.created_at, number, effect.result
             from doubt left join effect on effect.key = doubt.key and effect.state = 'done'
             where not {} order by doubt.created_at limit 100",
            suspended("doubt")
        );
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.read).await?.iter().map(read).collect()
    }

    /// There is nothing to doubt any more.
    pub async fn end_doubt(&self, key: &str) -> sqlx::Result<()> {
        const SQL: &str = "delete from doubt where key = $1";
        sqlx::query(SQL).bind(key).execute(&self.write).await.map(drop)
    }
}

impl Doubt {
    /// How long ago it was last made again.
    pub fn age(&self) -> Millis {
        clock::now() - self.created_at
    }
}

fn read(row: &AnyRow) -> sqlx::Result<(Doubt, Option<String>)> {
    let number = |column: &str| row.try_get::<i64, _>(column).map(|it| it as u64);
    let doubt = Doubt {
        key: row.try_get("key")?,
        installation_id: number("installation_id")?,
        repository_id: number("repository_id")?,
        repository: row.try_get("repository")?,
        head_sha: row.try_get("head_sha")?,
        name: row.try_get("name")?,
        external_id: row.try_get("external_id")?,
        number: number("number")?,
        created_at: row.try_get("created_at")?,
    };
    Ok((doubt, row.try_get("result")?))
}
