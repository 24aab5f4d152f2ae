//! What processes that have died left of their sandboxes: ended, read as far as it is wanted, removed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use nix::fcntl::{Flock, FlockArg};

use super::args::{Directories, HOME};
use super::files::{self, Root};
use super::remove::remove;
use super::state::State;
use crate::sandbox::SandboxError;

/// Read files of a sandbox's home directory. Blocks.
pub(super) fn read(dir: &Path, paths: &[PathBuf], limit: u64) -> Result<Vec<(PathBuf, Bytes)>, SandboxError> {
    let root = Root { host: Directories::of(dir).home, owner: None };
    let (mut found, mut left) = (Vec::new(), limit);
    for path in paths {
        let names = path.strip_prefix(HOME).ok().and_then(files::names);
        let names: Vec<&OsStr> = names.ok_or_else(|| SandboxError::Path(path.clone()))?;
        let all = match files::get(&root, path, &names, left) {
            Ok(bytes) => vec![(path.clone(), bytes)],
            Err(_) => {
                let below = files::get_all(&root, path, &names, left).unwrap_or_default();
                below.into_iter().map(|(name, bytes)| (path.join(name), bytes)).collect()
            }
        };
        left -= all.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        found.extend(all);
    }
    Ok(found)
}

/// End what dead processes left running, and remove what nobody will ask for: half-made and half-removed sandboxes, and
/// those that were made to look whether one can be made.
pub(super) fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let (name, dir) = (entry.file_name(), entry.path());
        let half = name.to_str().is_some_and(|name| name.starts_with(".gone-") || name.starts_with(".new-"));
        let modified = entry.metadata().and_then(|meta| meta.modified()).unwrap_or_else(|_| SystemTime::now());
        // Another process may be at it this very moment.
        let is_left = match half {
            true => modified.elapsed().is_ok_and(|age| age > Duration::from_mins(10)),
            false => is_nobodys(&dir),
        };
        if !is_left {
            continue;
        }
        let state = State::load(&dir);
        state.iter().for_each(State::end);
        let was_a_look = state.is_some_and(|state| {
            state.labels.contains_key("preflight") || state.labels.get("run").is_some_and(|run| run == "doctor")
        });
        if (half || was_a_look)
            && let Err(error) = remove(&dir)
        {
            tracing::warn!("Could not remove {}: {error}", dir.display());
        }
    }
}

/// Whether the process that made a sandbox is gone: it has held the lock for as long as it lived.
fn is_nobodys(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
}
