//! What of the database is sealed, and with which keys: told at the start, changed key by key, counted for the doctor.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use sqlx::Row as _;
use tracing::warn;

use super::seal::Keys;
use super::{Store, StoredSession};
use crate::clock;

/// Conversations that are sealed anew in one step; one may have some megabytes.
const STEP: i64 = 5;

/// What the doctor wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sealing {
    /// The id of the key that the database was sealed with last; none before the first start.
    pub key_id: Option<String>,
    /// Rows by the id of their key; an empty id is for what is not sealed.
    pub rows: Vec<(String, i64)>,
}

impl Store {
    /// Use these keys. An error when the database was sealed with another one: better now than with each conversation.
    pub async fn unlock(&mut self, keys: Keys) -> Result<()> {
        const FIRST: &str =
            "insert into seal_key (id, key_id, created_at) values (1, $1, $2) on conflict (id) do nothing";
        const LAST: &str = "select key_id from seal_key where id = 1";
        const ROTATED: &str = "update seal_key set key_id = $1, created_at = $2 where id = 1 and key_id = $3";
        let sealing = keys.sealing();
        sqlx::query(FIRST).bind(&sealing).bind(clock::now()).execute(&self.write).await?;
        let last: String = sqlx::query_scalar(LAST).fetch_one(&self.write).await?;
        if !keys.ids().any(|id| id == last) {
            let ours: Vec<String> = keys.ids().collect();
            bail!(
                "the database was sealed with another ENCRYPTION_KEY (key id {last}; this process has {}). Give it the \
                 key that the other machines have, or the one that stood in DATA_DIR/encryption-key. \
                 docs/operations.md says what to do when it is lost",
                ours.join(", ")
            );
        }
        if last != sealing {
            sqlx::query(ROTATED).bind(&sealing).bind(clock::now()).bind(&last).execute(&self.write).await?;
        }
        self.keys = Some(keys.into());
        Ok(())
    }

    /// Seal a conversation; the archive as the database keeps it, and the id of its key.
    pub(super) fn seal_session(&self, task_id: &str, session: &StoredSession) -> Result<(Vec<u8>, String)> {
        let keys = self.keys()?;
        Ok((keys.seal(&place(task_id), &session.archive)?, keys.sealing()))
    }

    /// Open a conversation as the database keeps it.
    pub(super) fn open_session(&self, task_id: &str, sealed_with: &str, archive: Vec<u8>) -> Result<Vec<u8>> {
        // Kept before there were keys; the cleaner gets to it.
        if sealed_with.is_empty() {
            return Ok(archive);
        }
        self.keys()?.open(&place(task_id), &archive)
    }

    /// Seal some of what is not sealed with the first key. Whether there may be more.
    pub(super) async fn seal_anew(&self) -> Result<bool> {
        const SOME: &str = "select task_id, archive, created_at from session where sealed_with = $1 limit $2";
        // Not what was kept anew meanwhile.
        const SQL: &str = "update session set archive = $1, sealed_with = $2
                           where task_id = $3 and sealed_with = $4 and created_at = $5";
        const DROP: &str = "delete from session where task_id = $1 and sealed_with = $2";
        let keys = self.keys()?;
        let older = std::iter::once(String::new()).chain(keys.ids().skip(1));
        for key_id in older {
            let rows = sqlx::query(SOME).bind(&key_id).bind(STEP).fetch_all(&self.read).await?;
            if rows.is_empty() {
                continue;
            }
            for row in rows {
                let task_id: String = row.try_get(0)?;
                let archive = match self.open_session(&task_id, &key_id, row.try_get(1)?) {
                    Ok(archive) => archive,
                    Err(error) => {
                        // It opens for nobody, and would be in the way of the others for ever.
                        warn!("Dropped a conversation that can't be opened: {error:#}");
                        sqlx::query(DROP).bind(&task_id).bind(&key_id).execute(&self.write).await?;
                        continue;
                    }
                };
                sqlx::query(SQL)
                    .bind(keys.seal(&place(&task_id), &archive)?)
                    .bind(keys.sealing())
                    .bind(&task_id)
                    .bind(&key_id)
                    .bind(row.try_get::<i64, _>(2)?)
                    .execute(&self.write)
                    .await?;
            }
            return Ok(true);
        }
        Ok(self.seal_pieces_anew().await? || self.seal_kept_anew().await?)
    }

    /// Which keys the database needs. Reads; needs no key itself.
    pub async fn sealing(&self) -> Result<Sealing> {
        const LAST: &str = "select key_id from seal_key where id = 1";
        const ROWS: &str = "select sealed_with, cast(sum(many) as bigint) from (
                                select sealed_with, count(*) as many from session group by sealed_with
                                union all
                                select sealed_with, count(*) as many from artifact_piece group by sealed_with
                                union all
                                select sealed_with, count(*) as many from kept_piece group by sealed_with
                                union all
                                select sealed_with, count(*) as many from task_secret group by sealed_with) counted
                            group by sealed_with order by sealed_with";
        let key_id = sqlx::query_scalar(LAST).fetch_optional(&self.read).await?;
        let rows = sqlx::query(ROWS).fetch_all(&self.read).await?;
        let rows = rows.into_iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<sqlx::Result<_>>()?;
        Ok(Sealing { key_id, rows })
    }

    pub(super) fn keys(&self) -> Result<&Keys> {
        match &self.keys {
            Some(keys) => Ok(keys),
            None => bail!("this process has no ENCRYPTION_KEY"),
        }
    }

    /// The same for work that is done aside.
    pub(super) fn all_keys(&self) -> Result<Arc<Keys>> {
        self.keys.clone().context("this process has no ENCRYPTION_KEY")
    }
}

/// Where a conversation stands: a sealed one that is moved to another task does not open.
fn place(task_id: &str) -> String {
    format!("session.archive:{task_id}")
}
