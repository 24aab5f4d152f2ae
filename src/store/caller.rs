//! What a caller of the API brings for one task alone: sealed here while it is needed, and wiped with the task's end.

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};
use tracing::warn;

use super::callback::NewCallback;
use super::{Dialect, Queue, Store, wake};
use crate::clock;

/// Rows in one step of the housekeeping.
const STEP: i64 = 50;

/// What is kept sealed for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The caller's own key for the model.
    ModelKey,
    /// Their own token for GitHub.
    GithubToken,
    CallbackUrl,
    CallbackSecret,
}

impl Secret {
    /// The word in the database.
    fn name(self) -> &'static str {
        match self {
            Self::ModelKey => "anthropic_api_key",
            Self::GithubToken => "github_token",
            Self::CallbackUrl => "callback_url",
            Self::CallbackSecret => "callback_secret",
        }
    }
}

/// All that a caller brings for a task.
#[derive(Debug, Clone, Default)]
pub struct Brings {
    pub model_key: Option<SecretString>,
    pub github_token: Option<SecretString>,
    pub callback: Option<NewCallback>,
}

impl Store {
    /// Keep what was brought, in the transaction that makes the task.
    pub(super) async fn keep_brought(
        &self,
        tx: &mut Transaction<'static, Any>,
        task_id: &str,
        brings: &Brings,
    ) -> Result<()> {
        const OWN_KEY: &str = "update task set own_key = 1 where task_id = $1";
        const OWN_TOKEN: &str = "update task set own_token = 1 where task_id = $1";
        let own =
            [(OWN_KEY, Secret::ModelKey, &brings.model_key), (OWN_TOKEN, Secret::GithubToken, &brings.github_token)];
        for (sql, what, secret) in own {
            if let Some(secret) = secret {
                sqlx::query(sql).bind(task_id).execute(&mut **tx).await?;
                self.keep_secret(tx, task_id, what, secret).await?;
            }
        }
        if let Some(callback) = &brings.callback {
            Self::keep_callback(tx, task_id, callback).await?;
            self.keep_secret(tx, task_id, Secret::CallbackUrl, &callback.url).await?;
            self.keep_secret(tx, task_id, Secret::CallbackSecret, &callback.secret).await?;
        }
        Ok(())
    }

    async fn keep_secret(
        &self,
        tx: &mut Transaction<'static, Any>,
        task_id: &str,
        what: Secret,
        secret: &SecretString,
    ) -> Result<()> {
        const SQL: &str = "insert into task_secret (task_id, name, sealed, sealed_with, created_at)
                           values ($1, $2, $3, $4, $5)";
        let keys = self.keys()?;
        sqlx::query(SQL)
            .bind(task_id)
            .bind(what.name())
            .bind(keys.seal(&place(task_id, what.name()), secret.expose_secret().as_bytes())?)
            .bind(keys.sealing())
            .bind(clock::now())
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// What was brought for a task, while it is still there.
    pub async fn secret_of(&self, task_id: &str, what: Secret) -> Result<Option<SecretString>> {
        const SQL: &str = "select sealed from task_secret where task_id = $1 and name = $2";
        let sealed = sqlx::query_scalar(SQL).bind(task_id).bind(what.name()).fetch_optional(&self.read).await?;
        let Some(sealed): Option<Vec<u8>> = sealed else { return Ok(None) };
        let plain = self.keys()?.open(&place(task_id, what.name()), &sealed)?;
        let plain = String::from_utf8(plain).ok().context("read what a caller has brought")?;
        Ok(Some(plain.into()))
    }

    /// A task of a caller has ended, within the transaction that ends it: their key and their token go, and whoever wants to hear of the end
    /// is called. Whether somebody is.
    pub(super) async fn settle_with_caller(
        &self,
        tx: &mut Transaction<'static, Any>,
        task_id: &str,
    ) -> sqlx::Result<bool> {
        const WIPE: &str = "delete from task_secret where task_id = $1 and name in ($2, $3)";
        const NOTIFY: &str = "select pg_notify($1, $2)";
        let call = format!(
            "insert into job (job_id, queue, lane, thread, run_at, created_at)
             select delivery_id, $1, '', '', {}, $2 from callback where task_id = $3 and outcome is null
             on conflict do nothing",
            self.dialect.now()
        );
        let wipe = sqlx::query(WIPE).bind(task_id).bind(Secret::ModelKey.name()).bind(Secret::GithubToken.name());
        wipe.execute(&mut **tx).await?;
        let called = sqlx::query(AssertSqlSafe(call)).bind(Queue::Callback.name()).bind(clock::now()).bind(task_id);
        let called = called.execute(&mut **tx).await?.rows_affected() == 1;
        if called && self.dialect == Dialect::Postgres {
            sqlx::query(NOTIFY).bind(wake::CHANNEL).bind(Queue::Callback.name()).execute(&mut **tx).await?;
        }
        Ok(called)
    }

    /// Wipe what belongs to tasks that have ended and to callbacks that are over, however that came to be left.
    pub(super) async fn drop_secrets(&self) -> Result<u64> {
        const SQL: &str = "delete from task_secret where (task_id, name) in (
                               select task_id, name from task_secret
                               where not exists (select 1 from task where task.task_id = task_secret.task_id
                                                    and task.ended_at is null)
                                 and not exists (select 1 from callback where callback.task_id = task_secret.task_id
                                                    and callback.outcome is null and task_secret.name not in ($1, $2))
                               order by created_at limit $3)";
        let gone = sqlx::query(SQL).bind(Secret::ModelKey.name()).bind(Secret::GithubToken.name()).bind(STEP);
        Ok(gone.execute(&self.write).await?.rows_affected())
    }

    /// Seal some of what was brought with the first key, where it was another one's. Whether there may be more.
    pub(super) async fn seal_brought_anew(&self) -> Result<bool> {
        const SOME: &str = "select task_id, name, sealed from task_secret where sealed_with <> $1 limit $2";
        const SQL: &str = "update task_secret set sealed = $1, sealed_with = $2 where task_id = $3 and name = $4";
        const DROP: &str = "delete from task_secret where task_id = $1 and name = $2";
        let keys = self.keys()?;
        let rows = sqlx::query(SOME).bind(keys.sealing()).bind(STEP).fetch_all(&self.read).await?;
        for row in &rows {
            let (task_id, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let place = place(&task_id, &name);
            match keys.open(&place, &row.try_get::<Vec<u8>, _>(2)?) {
                Ok(plain) => {
                    let anew = sqlx::query(SQL).bind(keys.seal(&place, &plain)?).bind(keys.sealing());
                    anew.bind(&task_id).bind(&name).execute(&self.write).await?;
                }
                Err(error) => {
                    // It opens for nobody, and would be in the way of the others for ever.
                    warn!("Dropped what a caller had brought, which can't be opened: {error:#}");
                    sqlx::query(DROP).bind(&task_id).bind(&name).execute(&self.write).await?;
                }
            }
        }
        Ok(!rows.is_empty())
    }
}

/// Where it stands: what is sealed for one task does not open for another.
fn place(task_id: &str, name: &str) -> String {
    format!("task_secret.{name}:{task_id}")
}
