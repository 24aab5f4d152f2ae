//! What tasks leave for scripts. It is kept in pieces, so that nobody who reads it needs room for all of it, and a machine
//! that has run nothing can serve it.

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Keys, Lease, Store};
use crate::clock::{self, Millis};

/// Bytes of a piece before it is compressed.
pub const PIECE: usize = 1 << 20;
/// zstd's level: patches and transcripts lose most of their size already with this.
const LEVEL: i32 = 3;
/// Most that one step of the cleaner takes; each may have some megabytes.
const STEP: i64 = 5;

/// Something to be kept of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    pub name: &'static str,
    pub content_type: &'static str,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Nothing of it is kept; the word says why.
    LeftOut(&'static str),
}

/// Something that was kept of a task, or the note that it was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub name: String,
    pub content_type: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
    /// Why it was not kept; empty where it was.
    pub left_out: String,
    pub created_at: Millis,
}

impl Artifact {
    pub fn pieces(&self) -> i64 {
        (self.size.max(0) as u64).div_ceil(PIECE as u64) as i64
    }
}

/// A piece as the database has it.
pub(super) struct Piece {
    pub sealed_with: String,
    pub content: Vec<u8>,
}

impl Store {
    /// Keep something of a task in place of what was kept under its name. The same once more changes nothing. False if the
    /// claim was no longer ours.
    pub async fn keep_artifact(&self, lease: &Lease, new: NewArtifact) -> Result<bool> {
        const SAME: &str = "select 1 from artifact where task_id = $1 and name = $2 and digest = $3 and left_out = $4";
        const OLD: &str = "delete from artifact_piece where task_id = $1 and name = $2";
        const SQL: &str = "insert into artifact (task_id, name, content_type, size, digest, left_out, created_at)
                           values ($1, $2, $3, $4, $5, $6, $7)
                           on conflict (task_id, name) do update set content_type = excluded.content_type,
                               size = excluded.size, digest = excluded.digest, left_out = excluded.left_out,
                               created_at = excluded.created_at";
        const ROW: &str = "insert into artifact_piece (task_id, name, piece, digest, sealed_with, content)
                           values ($1, $2, $3, $4, $5, $6)";
        let (name, content_type) = (new.name, new.content_type);
        let (bytes, left_out) = match new.content {
            Content::Bytes(bytes) => (bytes, ""),
            Content::LeftOut(why) => (Vec::new(), why),
        };
        let size = bytes.len() as i64;
        let (digest, pieces) = self.pieces(&lease.job_id, name, bytes).await?;
        let digest = if left_out.is_empty() { digest } else { String::new() };

        let mut tx = self.begin().await?;
        if !super::holds(&mut tx, lease).await? {
            return Ok(false);
        }
        let same = sqlx::query(SAME).bind(&lease.job_id).bind(name).bind(&digest).bind(left_out);
        if same.fetch_optional(&mut *tx).await?.is_some() {
            return Ok(true);
        }
        sqlx::query(OLD).bind(&lease.job_id).bind(name).execute(&mut *tx).await?;
        let row = sqlx::query(SQL).bind(&lease.job_id).bind(name).bind(content_type).bind(size).bind(&digest);
        row.bind(left_out).bind(clock::now()).execute(&mut *tx).await?;
        for (n, piece) in pieces.into_iter().enumerate() {
            let row = sqlx::query(ROW).bind(&lease.job_id).bind(name).bind(n as i64).bind(&digest);
            row.bind(piece.sealed_with).bind(piece.content).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// The digest of what is to be kept, and its pieces compressed and sealed.
    async fn pieces(&self, task_id: &str, name: &'static str, bytes: Vec<u8>) -> Result<(String, Vec<Piece>)> {
        let (keys, task_id) = (self.all_keys()?, task_id.to_owned());
        let work = move || sealed(&keys, &bytes, |digest, n| place(&task_id, name, digest, n));
        tokio::task::spawn_blocking(work).await?
    }

    /// What was kept of a task, and what was not, by name.
    pub async fn artifacts(&self, task_id: &str) -> Result<Vec<Artifact>> {
        const SQL: &str = "select name, content_type, size, digest, left_out, created_at from artifact
                           where task_id = $1 order by name";
        let rows = sqlx::query(SQL).bind(task_id).fetch_all(&self.read).await?;
        rows.iter().map(read).collect()
    }

    /// A piece of what was kept. None once it is gone or something else was kept in its place.
    pub async fn artifact_piece(&self, task_id: &str, it: &Artifact, piece: i64) -> Result<Option<Vec<u8>>> {
        const SQL: &str = "select content from artifact_piece
                           where task_id = $1 and name = $2 and digest = $3 and piece = $4";
        let row = sqlx::query(SQL).bind(task_id).bind(&it.name).bind(&it.digest).bind(piece);
        let Some(row) = row.fetch_optional(&self.read).await? else { return Ok(None) };
        let sealed: Vec<u8> = row.try_get(0)?;
        let packed = self.all_keys()?.open(&place(task_id, &it.name, &it.digest, piece), &sealed)?;
        unpacked(&packed).map(Some)
    }

    /// The whole of what was kept under a name. None where nothing was, or it has changed meanwhile.
    pub async fn artifact_bytes(&self, task_id: &str, name: &str) -> Result<Option<Vec<u8>>> {
        let found = self.artifacts(task_id).await?.into_iter().find(|it| it.name == name && it.left_out.is_empty());
        let Some(it) = found else { return Ok(None) };
        let mut bytes = Vec::new();
        for n in 0..it.pieces() {
            match self.artifact_piece(task_id, &it, n).await? {
                Some(piece) => bytes.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
        Ok(Some(bytes))
    }

    /// Drop some of what was kept before.
    pub(super) async fn drop_artifacts(&self, before: Millis) -> Result<u64> {
        const PIECES: &str = "delete from artifact_piece where (task_id, name) in (
                                  select task_id, name from artifact where created_at < $1
                                  order by created_at, task_id, name limit $2)";
        const SQL: &str = "delete from artifact where (task_id, name) in (
                               select task_id, name from artifact where created_at < $1
                               order by created_at, task_id, name limit $2)";
        let mut tx = self.begin().await?;
        sqlx::query(PIECES).bind(before).bind(STEP).execute(&mut *tx).await?;
        let gone = sqlx::query(SQL).bind(before).bind(STEP).execute(&mut *tx).await?.rows_affected();
        tx.commit().await?;
        Ok(gone)
    }

    /// Seal some pieces with the first key that an older one has sealed. Whether there may be more.
    pub(super) async fn seal_pieces_anew(&self) -> Result<bool> {
        const SOME: &str = "select task_id, name, piece, digest, content from artifact_piece
                            where sealed_with = $1 limit $2";
        // Not what was kept anew meanwhile.
        const SQL: &str = "update artifact_piece set content = $1, sealed_with = $2
                           where task_id = $3 and name = $4 and piece = $5 and digest = $6 and sealed_with = $7";
        let keys = self.all_keys()?;
        for key_id in keys.ids().skip(1) {
            let rows = sqlx::query(SOME).bind(&key_id).bind(STEP).fetch_all(&self.read).await?;
            for row in &rows {
                let (task_id, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
                let (piece, digest): (i64, String) = (row.try_get(2)?, row.try_get(3)?);
                let place = place(&task_id, &name, &digest, piece);
                // One that does not open is of no use to anybody: it is let go, and would be in the way of the others.
                let content = match keys.open(&place, &row.try_get::<Vec<u8>, _>(4)?) {
                    Ok(content) => keys.seal(&place, &content)?,
                    Err(error) => {
                        tracing::warn!("A piece of an artifact can't be opened: {error:#}");
                        Vec::new()
                    }
                };
                let anew = sqlx::query(SQL).bind(content).bind(keys.sealing()).bind(task_id).bind(name);
                anew.bind(piece).bind(digest).bind(&key_id).execute(&self.write).await?;
            }
            if !rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The digest of bytes, and their pieces compressed and sealed, each for the place that it will stand at.
pub(super) fn sealed(keys: &Keys, bytes: &[u8], place: impl Fn(&str, i64) -> String) -> Result<(String, Vec<Piece>)> {
    let digest = hex::encode(Sha256::digest(bytes));
    let pieces = bytes.chunks(PIECE).enumerate().map(|(n, piece)| {
        let packed = zstd::bulk::compress(piece, LEVEL).context("compress what is to be kept")?;
        Ok(Piece { sealed_with: keys.sealing(), content: keys.seal(&place(&digest, n as i64), &packed)? })
    });
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    Ok((digest, pieces))
}

/// A piece as it was before it was compressed.
pub(super) fn unpacked(piece: &[u8]) -> Result<Vec<u8>> {
    zstd::bulk::decompress(piece, PIECE).context("unpack what was kept")
}

fn read(row: &AnyRow) -> Result<Artifact> {
    Ok(Artifact {
        name: row.try_get(0)?,
        content_type: row.try_get(1)?,
        size: row.try_get(2)?,
        digest: row.try_get(3)?,
        left_out: row.try_get(4)?,
        created_at: row.try_get(5)?,
    })
}

/// Where a piece stands: it opens nowhere else, and not as a piece of something else.
fn place(task_id: &str, name: &str, digest: &str, piece: i64) -> String {
    format!("artifact_piece.content:{task_id}:{name}:{digest}:{piece}")
}
