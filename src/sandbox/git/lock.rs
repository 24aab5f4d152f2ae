//! One writer per mirror, among tasks and among processes.
//!
//! Tasks of this process queue on a mutex, processes on a file lock. The lock file is also the standard input of the git
//! process that writes: when we are killed and it lives on for a moment, the lock is still held. A mark in the file says
//! that a write was begun and not finished; whoever gets the lock next clears away what it left.

use std::fs::{File, OpenOptions, TryLockError, read_dir, remove_dir_all, remove_file};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep};

use super::GitError;

/// Proof that nobody else writes this mirror.
pub(super) struct Held {
    file: File,
    _turn: OwnedMutexGuard<()>,
}

impl Held {
    /// Wait for the lock, and for what a killed writer left to be cleared away.
    pub async fn take(
        turn: Arc<Mutex<()>>,
        lock: PathBuf,
        mirror: PathBuf,
        patience: Duration,
    ) -> Result<Self, GitError> {
        let deadline = Instant::now() + patience;
        let late = || GitError::Timeout("waiting for the mirror".to_owned());
        let turn = tokio::time::timeout_at(deadline, turn.lock_owned()).await.map_err(|_| late())?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(|e| GitError::io("open the mirror's lock", &e))?;
        let mut pause = Duration::from_millis(2);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(late()),
                Err(TryLockError::WouldBlock) => sleep(pause).await,
                Err(TryLockError::Error(e)) => return Err(GitError::io("lock the mirror", &e)),
            }
            pause = (pause * 2).min(Duration::from_millis(250));
        }
        let held = Self { file, _turn: turn };
        if held.is_marked()? {
            let cleared = tokio::task::spawn_blocking(move || clear(&mirror)).await;
            cleared.map_err(io::Error::other).flatten().map_err(|e| GitError::io("clear the mirror", &e))?;
            held.mark(false)?;
        }
        Ok(held)
    }

    /// Say that a write begins, or that it ended well.
    pub fn mark(&self, writing: bool) -> Result<(), GitError> {
        self.file.set_len(u64::from(writing)).map_err(|e| GitError::io("mark the mirror's lock", &e))
    }

    /// The lock once more, for a process to hold.
    pub fn share(&self) -> Result<File, GitError> {
        self.file.try_clone().map_err(|e| GitError::io("share the mirror's lock", &e))
    }

    fn is_marked(&self) -> Result<bool, GitError> {
        self.file.metadata().map(|m| m.len() > 0).map_err(|e| GitError::io("read the mirror's lock", &e))
    }
}

/// Remove lock files, half-written packs and keep marks. Under the lock they are nobody's.
fn clear(dir: &Path) -> io::Result<()> {
    let entries = match read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let left =
            name.starts_with("tmp_") || name.starts_with(".tmp-") || name.ends_with(".lock") || name.ends_with(".keep");
        match (entry.file_type()?.is_dir(), left) {
            (true, true) => remove_dir_all(path)?,
            (true, false) => clear(&path)?,
            (false, true) => remove_file(path)?,
            (false, false) => {}
        }
    }
    Ok(())
}
