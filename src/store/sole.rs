//! One process serves a SQLite file. A lock that the kernel drops with the process says so to the next one.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, sleep};

/// The right to serve a SQLite file, for as long as the value lives.
#[derive(Debug)]
pub struct Sole {
    _file: File,
}

impl Sole {
    /// How long to wait for another process to let go, when one starts: one that was just killed may leave a child behind
    /// that has not come to be another program yet, and holds what its parent held.
    pub const PATIENCE: Duration = Duration::from_secs(5);

    /// Take the file of a `sqlite://` URL for this process; `None` on PostgreSQL, which any number of processes share.
    /// Readers take nothing: a backup or a look at the settings goes on beside the process that serves.
    pub async fn take(url: &SecretString, patience: Duration) -> Result<Option<Self>> {
        let Some(path) = sqlite_path(url) else { return Ok(None) };
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        }
        // Two names of one file are one file.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        let lock = beside(&path, ".lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&lock).with_context(|| format!("open {}", lock.display()))?;
        let started = Instant::now();
        let mut tried = file.try_lock();
        while matches!(tried, Err(TryLockError::WouldBlock)) && started.elapsed() < patience {
            sleep(Duration::from_millis(50)).await;
            tried = file.try_lock();
        }
        match tried {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                bail!(
                    "another process ({}) uses {}: SQLite is for one. Stop that one first, or set DATABASE_URL to a \
                     PostgreSQL, which several can share",
                    holder.trim(),
                    path.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| {
                    format!("lock {}: SQLite needs a local disk that can lock files", lock.display())
                });
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .with_context(|| format!("write {}", lock.display()))?;
        Ok(Some(Self { _file: file }))
    }
}

/// The file that a `sqlite://` URL names.
pub(super) fn sqlite_path(url: &SecretString) -> Option<PathBuf> {
    let path = url.expose_secret().strip_prefix("sqlite://")?;
    Some(PathBuf::from(path.split('?').next().unwrap_or_default()))
}

/// The path with something after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
