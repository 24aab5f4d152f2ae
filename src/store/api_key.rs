//! Keys of the API: what they may do, never the keys themselves.

use anyhow::Result;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Among, Store};
use crate::clock::{self, Millis};

/// How old the note of a key's last use may be before it is written again.
const USED: Millis = 60_000;

/// A key as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub key_id: String,
    /// What the key begins with.
    pub prefix: String,
    /// SHA-256 of the whole key, as hex.
    pub hash: String,
    pub name: String,
    pub scopes: Vec<String>,
    /// What it may know of; `None` for all.
    pub repositories: Option<Among>,
    /// Requests a minute.
    pub rate_limit: Option<i64>,
    pub budget_micros_per_day: Option<i64>,
    pub created_at: Millis,
    /// The key that made it; `None` for the server's own.
    pub created_by: Option<String>,
    pub expires_at: Option<Millis>,
    pub last_used_at: Option<Millis>,
}

const COLUMNS: &str = "key_id, prefix, hash, name, scopes, repositories, rate_limit, budget_micros_per_day, created_at,
    created_by, expires_at, last_used_at, repository_ids";

impl Store {
    /// Keep a new key. False if another one begins like it.
    pub async fn add_api_key(&self, key: &ApiKey) -> Result<bool> {
        const SQL: &str = "insert into api_key (key_id, prefix, hash, name, scopes, repositories, rate_limit,
                               budget_micros_per_day, created_at, created_by, expires_at, repository_ids)
                           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (prefix) do nothing";
        let (names, ids) = key.repositories.as_ref().map(Among::columns).unzip();
        let added = sqlx::query(SQL)
            .bind(&key.key_id)
            .bind(&key.prefix)
            .bind(&key.hash)
            .bind(&key.name)
            .bind(key.scopes.join(" "))
            .bind(names)
            .bind(key.rate_limit)
            .bind(key.budget_micros_per_day)
            .bind(key.created_at)
            .bind(&key.created_by)
            .bind(key.expires_at)
            .bind(ids)
            .execute(&self.write)
            .await?;
        Ok(added.rows_affected() == 1)
    }

    /// The key that begins like this, if it still opens anything. Asked for each request, so that a key which is revoked
    /// in one process opens nothing in any other.
    pub async fn api_key(&self, prefix: &str) -> Result<Option<ApiKey>> {
        let sql = format!(
            "select {COLUMNS} from api_key
             where prefix = $1 and revoked_at is null and (expires_at is null or expires_at > $2)"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(prefix).bind(clock::now());
        row.fetch_optional(&self.read).await?.as_ref().map(read).transpose()
    }

    /// The keys that are not revoked, newest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        let sql =
            format!("select {COLUMNS} from api_key where revoked_at is null order by created_at desc, key_id desc");
        sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.read).await?.iter().map(read).collect()
    }

    /// Revoke a key. False if there is none that is not revoked.
    pub async fn revoke_api_key(&self, key_id: &str) -> Result<bool> {
        const SQL: &str = "update api_key set revoked_at = $1 where key_id = $2 and revoked_at is null";
        let revoked = sqlx::query(SQL).bind(clock::now()).bind(key_id).execute(&self.write).await?;
        Ok(revoked.rows_affected() == 1)
    }

    /// Note that a key was used, once a minute: requests that read should not write. Names that it is narrowed to may have been
    /// seen meanwhile.
    pub async fn note_use(&self, key: &ApiKey) -> Result<()> {
        const SQL: &str = "update api_key set last_used_at = $1 where key_id = $2";
        let now = clock::now();
        if key.last_used_at.is_none_or(|at| now - at >= USED) {
            sqlx::query(SQL).bind(now).bind(&key.key_id).execute(&self.write).await?;
            if let Some(among) = &key.repositories {
                self.narrow_key(&key.key_id, among, &self.look_up(among).await?).await?;
            }
        }
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<ApiKey> {
    let names: Option<String> = row.try_get("repositories")?;
    let ids: Option<String> = row.try_get("repository_ids")?;
    Ok(ApiKey {
        key_id: row.try_get("key_id")?,
        prefix: row.try_get("prefix")?,
        hash: row.try_get("hash")?,
        name: row.try_get("name")?,
        scopes: row.try_get::<String, _>("scopes")?.split_whitespace().map(str::to_owned).collect(),
        repositories: names.map(|names| Among::read(&names, ids.as_deref())),
        rate_limit: row.try_get("rate_limit")?,
        budget_micros_per_day: row.try_get("budget_micros_per_day")?,
        created_at: row.try_get("created_at")?,
        created_by: row.try_get("created_by")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
    })
}
