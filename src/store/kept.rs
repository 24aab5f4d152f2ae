//! What is put aside of a task that can't go on for now: the agent's conversation and the work, for whichever machine takes it
//! up. It is sealed as artifacts are, given out to nobody, and goes with the task's end.

use anyhow::Result;
use sqlx::{Any, Row as _, Transaction};

use super::artifact::{Piece, sealed, unpacked};
use super::{Lease, Store};
use crate::clock;

/// Rows of the cleaner's and the sealer's steps; each may have some megabytes.
const STEP: i64 = 5;

/// What was put aside.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The agent's session.
    pub session: String,
    /// Which checkout the work is of.
    pub tree: String,
    /// The conversation, packed.
    pub conversation: Vec<u8>,
    /// The work as a git bundle; empty where nothing was changed.
    pub work: Vec<u8>,
}

impl Store {
    /// Put this aside in place of what was. False if the claim was no longer ours.
    pub async fn put_aside(&self, lease: &Lease, kept: Kept) -> Result<bool> {
        const SQL: &str = "insert into kept (task_id, session, tree, conversation, size, digest, created_at)
                           values ($1, $2, $3, $4, $5, $6, $7)";
        const ROW: &str = "insert into kept_piece (task_id, piece, digest, sealed_with, content)
                           values ($1, $2, $3, $4, $5)";
        let (keys, task_id) = (self.all_keys()?, lease.job_id.clone());
        let conversation = kept.conversation.len() as i64;
        let bytes = [kept.conversation, kept.work].concat();
        let size = bytes.len() as i64;
        let work = move || sealed(&keys, &bytes, |digest, n| place(&task_id, digest, n));
        let (digest, pieces): (String, Vec<Piece>) = tokio::task::spawn_blocking(work).await??;
        let mut tx = self.begin().await?;
        if !super::holds(&mut tx, lease).await? {
            return Ok(false);
        }
        forget(&mut tx, &lease.job_id).await?;
        let row = sqlx::query(SQL).bind(&lease.job_id).bind(kept.session).bind(kept.tree).bind(conversation);
        row.bind(size).bind(&digest).bind(clock::now()).execute(&mut *tx).await?;
        for (n, piece) in pieces.into_iter().enumerate() {
            let row = sqlx::query(ROW).bind(&lease.job_id).bind(n as i64).bind(&digest);
            row.bind(piece.sealed_with).bind(piece.content).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// What was put aside of a task, if anything was.
    pub async fn kept(&self, task_id: &str) -> Result<Option<Kept>> {
        const SQL: &str = "select session, tree, conversation, size, digest from kept where task_id = $1";
        const PIECES: &str = "select piece, content from kept_piece where task_id = $1 and digest = $2 order by piece";
        let Some(row) = sqlx::query(SQL).bind(task_id).fetch_optional(&self.read).await? else { return Ok(None) };
        let (conversation, size): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let digest: String = row.try_get(4)?;
        let keys = self.all_keys()?;
        let mut bytes = Vec::new();
        for piece in sqlx::query(PIECES).bind(task_id).bind(&digest).fetch_all(&self.read).await? {
            let place = place(task_id, &digest, piece.try_get(0)?);
            bytes.extend(unpacked(&keys.open(&place, &piece.try_get::<Vec<u8>, _>(1)?)?)?);
        }
        // Whoever has the task by now may have put something else in its place.
        if bytes.len() as i64 != size || conversation > size {
            return Ok(None);
        }
        let work = bytes.split_off(conversation as usize);
        Ok(Some(Kept { session: row.try_get(0)?, tree: row.try_get(1)?, conversation: bytes, work }))
    }

    /// Drop some of what was put aside of tasks that have ended since.
    pub(super) async fn drop_kept(&self) -> Result<u64> {
        const SOME: &str = "select task_id from kept
                            where not exists (select 1 from task
                                              where task.task_id = kept.task_id and task.ended_at is null)
                            limit $1";
        let ended: Vec<String> = sqlx::query_scalar(SOME).bind(STEP).fetch_all(&self.read).await?;
        if ended.is_empty() {
            return Ok(0);
        }
        let mut tx = self.begin().await?;
        for task_id in &ended {
            forget(&mut tx, task_id).await?;
        }
        tx.commit().await?;
        Ok(ended.len() as u64)
    }

    /// Seal some pieces with the first key that an older one has sealed. Whether there may be more.
    pub(super) async fn seal_kept_anew(&self) -> Result<bool> {
        const SOME: &str = "select task_id, piece, digest, content from kept_piece where sealed_with = $1 limit $2";
        const SQL: &str = "update kept_piece set content = $1, sealed_with = $2
                           where task_id = $3 and piece = $4 and digest = $5 and sealed_with = $6";
        let keys = self.all_keys()?;
        for key_id in keys.ids().skip(1) {
            let rows = sqlx::query(SOME).bind(&key_id).bind(STEP).fetch_all(&self.read).await?;
            for row in &rows {
                let (task_id, n, digest): (String, i64, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                let place = place(&task_id, &digest, n);
                // One that does not open is of no use to anybody, and would be in the way of the others.
                let content = match keys.open(&place, &row.try_get::<Vec<u8>, _>(3)?) {
                    Ok(content) => keys.seal(&place, &content)?,
                    Err(error) => {
                        tracing::warn!("What was put aside of a task can't be opened: {error:#}");
                        Vec::new()
                    }
                };
                let anew = sqlx::query(SQL).bind(content).bind(keys.sealing()).bind(task_id).bind(n);
                anew.bind(digest).bind(&key_id).execute(&self.write).await?;
            }
            if !rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Nothing put aside of a task is needed any more.
pub(super) async fn forget(tx: &mut Transaction<'static, Any>, task_id: &str) -> sqlx::Result<()> {
    const PIECES: &str = "delete from kept_piece where task_id = $1";
    const SQL: &str = "delete from kept where task_id = $1";
    for sql in [PIECES, SQL] {
        sqlx::query(sql).bind(task_id).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Where a piece stands: it opens nowhere else, and not as a piece of something else.
fn place(task_id: &str, digest: &str, piece: i64) -> String {
    format!("kept_piece.content:{task_id}:{digest}:{piece}")
}
