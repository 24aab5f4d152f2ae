//! What reviews have found on a pull request, and what agents knew when they ended.

use anyhow::{Context as _, Result};
use sqlx::Row as _;

use super::{Lease, Store};
use crate::clock;
use crate::task::review::{Finding, Known, KnownState};

/// A finding as the ledger keeps it.
#[derive(Debug, Clone)]
pub struct StoredFinding {
    pub known: Known,
    pub finding: Finding,
    /// The review that found it.
    pub task_id: String,
    /// The review comment that says it, once GitHub has told its id.
    pub comment_id: Option<u64>,
    pub head_sha: String,
}

/// An agent's conversation, to go on from.
#[derive(Debug, Clone)]
pub struct StoredSession {
    pub session_id: String,
    /// As it left the sandbox. Never unpacked on the host.
    pub archive: Vec<u8>,
}

impl Store {
    /// The ledger of a pull request, oldest first.
    pub async fn findings(&self, repository_id: u64, number: u64) -> Result<Vec<StoredFinding>> {
        const SQL: &str = "select finding_id, path, fingerprint, state, body, task_id, comment_id, head_sha
                           from finding where repository_id = $1 and number = $2 order by created_at, finding_id";
        let rows = sqlx::query(SQL).bind(repository_id as i64).bind(number as i64).fetch_all(&self.read).await?;
        rows.iter()
            .map(|row| {
                let state: String = row.try_get("state")?;
                let finding: Finding =
                    serde_json::from_str(&row.try_get::<String, _>("body")?).context("read a finding")?;
                let known = Known {
                    id: row.try_get("finding_id")?,
                    path: row.try_get("path")?,
                    side: finding.side,
                    fingerprint: row.try_get("fingerprint")?,
                    title: finding.title.clone(),
                    state: KnownState::named(&state)
                        .with_context(|| format!("a finding has the unknown state {state}"))?,
                };
                Ok(StoredFinding {
                    known,
                    finding,
                    task_id: row.try_get("task_id")?,
                    comment_id: row.try_get::<Option<i64>, _>("comment_id")?.map(|id| id as u64),
                    head_sha: row.try_get("head_sha")?,
                })
            })
            .collect()
    }

    /// Enter what a review found; a finding that is there already keeps its state. False if the claim was no longer ours.
    pub async fn enter_findings(
        &self,
        lease: &Lease,
        repository_id: u64,
        number: u64,
        findings: &[StoredFinding],
    ) -> Result<bool> {
        const SQL: &str = "insert into finding (finding_id, repository_id, number, task_id, path, fingerprint, state,
                               body, comment_id, head_sha, created_at)
                           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                           on conflict (finding_id) do update set comment_id =
                               coalesce(excluded.comment_id, finding.comment_id)";
        let mut tx = self.begin().await?;
        if !super::holds(&mut tx, lease).await? {
            return Ok(false);
        }
        for it in findings {
            sqlx::query(SQL)
                .bind(&it.known.id)
                .bind(repository_id as i64)
                .bind(number as i64)
                .bind(&it.task_id)
                .bind(&it.known.path)
                .bind(&it.known.fingerprint)
                .bind(it.known.state.name())
                .bind(serde_json::to_string(&it.finding)?)
                .bind(it.comment_id.map(|id| id as i64))
                .bind(&it.head_sha)
                .bind(clock::now())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Close a finding, or open it again. False if the claim was no longer ours.
    pub async fn settle_finding(&self, lease: &Lease, finding_id: &str, state: KnownState) -> Result<bool> {
        const SQL: &str = "update finding set state = $1, ended_at = $2 where finding_id = $3
                           and exists (select 1 from job where job_id = $4 and lease_owner = $5 and epoch = $6)";
        let ended = (state != KnownState::Open).then(clock::now);
        let settled = sqlx::query(SQL)
            .bind(state.name())
            .bind(ended)
            .bind(finding_id)
            .bind(&lease.job_id)
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&self.write)
            .await?;
        Ok(settled.rows_affected() == 1)
    }

    /// Keep what the agent of a task knows. False if the claim was no longer ours.
    pub async fn keep_session(&self, lease: &Lease, session: &StoredSession) -> Result<bool> {
        const SQL: &str = "insert into session (task_id, session_id, archive, created_at, sealed_with)
                           select $1, $2, $3, $4, $7
                           where exists (select 1 from job where job_id = $1 and lease_owner = $5 and epoch = $6)
                           on conflict (task_id) do update set session_id = excluded.session_id,
                               archive = excluded.archive, created_at = excluded.created_at,
                               sealed_with = excluded.sealed_with";
        // The newest of a thread is the one that is gone on with.
        const OLDER: &str = "delete from session where task_id <> $1 and task_id in (
                                 select older.task_id from task older join task mine on mine.task_id = $1
                                 where older.repository_id = mine.repository_id and older.number = mine.number)";
        let (archive, sealed_with) = self.seal_session(&lease.job_id, session)?;
        let mut tx = self.begin().await?;
        let kept = sqlx::query(SQL)
            .bind(&lease.job_id)
            .bind(&session.session_id)
            .bind(archive)
            .bind(clock::now())
            .bind(&lease.owner)
            .bind(lease.epoch)
            .bind(sealed_with)
            .execute(&mut *tx)
            .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(OLDER).bind(&lease.job_id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The conversation of this very task, while it is the newest of its thread.
    pub async fn session_of(&self, task_id: &str) -> Result<Option<StoredSession>> {
        const SQL: &str = "select session_id, archive, sealed_with from session where task_id = $1";
        let row = sqlx::query(SQL).bind(task_id).fetch_optional(&self.read).await?;
        row.map(|row| {
            let sealed_with: String = row.try_get(2)?;
            let archive = self.open_session(task_id, &sealed_with, row.try_get(1)?)?;
            Ok(StoredSession { session_id: row.try_get(0)?, archive })
        })
        .transpose()
    }

    /// The newest conversation about a pull request or issue that a trusted task has left: of work on it, or of the task
    /// that opened it.
    pub async fn session_about(&self, repository_id: u64, number: u64) -> Result<Option<(String, StoredSession)>> {
        // Two looks that an index bounds each: one with an `or` would read every task of the repository.
        const SQL: &str = "select session_id, archive, task_id, sealed_with from session
                           where task_id in (select task_id from task where repository_id = $1 and number = $2
                                             union all
                                             select task_id from task where repository_id = $1 and pull = $2)
                           order by created_at desc limit 1";
        let row = sqlx::query(SQL).bind(repository_id as i64).bind(number as i64).fetch_optional(&self.read).await?;
        row.map(|row| {
            let (task_id, sealed_with): (String, String) = (row.try_get(2)?, row.try_get(3)?);
            let archive = self.open_session(&task_id, &sealed_with, row.try_get(1)?)?;
            Ok((task_id, StoredSession { session_id: row.try_get(0)?, archive }))
        })
        .transpose()
    }
}
