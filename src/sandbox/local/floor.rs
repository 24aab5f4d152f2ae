//! The room that the machine keeps for itself. Each sandbox may be within its limit while all of them together fill the disk,
//! and the database with it: before it comes to that, the one that holds most is ended.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::files::Usage;

/// How long the files of one that was ended may take to go before another is.
const PATIENCE: Duration = Duration::from_secs(30);
/// A hundredth of what a file system can name is kept free as well.
const PART_OF_FILES: u64 = 100;

#[derive(Debug, Default)]
pub(super) struct Floor {
    /// Bytes to be kept free; 0: none are.
    least: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// What each sandbox held when it was measured last.
    held: HashMap<String, Usage>,
    ended: Option<Instant>,
}

/// What is to be had back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing {
    bytes: u64,
    files: u64,
}

impl Floor {
    pub fn keep(&self, bytes: u64) {
        self.least.store(bytes, Ordering::Relaxed);
    }

    pub fn note(&self, id: &str, held: Usage) {
        self.seen().held.insert(id.to_owned(), held);
    }

    pub fn forget(&self, id: &str) {
        self.seen().held.remove(id);
    }

    /// What is missing on the disk of a directory, if anything is.
    pub fn missing(&self, dir: &Path) -> Option<Missing> {
        let least = self.least.load(Ordering::Relaxed);
        let disk = statvfs(dir).ok().filter(|_| least > 0)?;
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        let bytes = least.saturating_sub(free);
        // Some file systems have no such number, and say 0 of 0.
        let files = (disk.files() / PART_OF_FILES).saturating_sub(disk.files_available());
        (bytes > 0 || files > 0).then_some(Missing { bytes, files })
    }

    /// Whether it is this sandbox that has to go: of those that hold what is missing the largest, and one at a time. Where
    /// none does, it is something else that fills the disk.
    pub fn takes(&self, id: &str, missing: Missing) -> bool {
        let mut seen = self.seen();
        if seen.ended.is_some_and(|at| at.elapsed() < PATIENCE) {
            return false;
        }
        let size = |it: &Usage| if missing.bytes > 0 { it.bytes } else { it.files };
        let wanted = if missing.bytes > 0 { missing.bytes } else { missing.files };
        let Some(own) = seen.held.get(id).map(size) else { return false };
        let takes = own >= wanted && seen.held.values().all(|other| size(other) <= own);
        if takes {
            seen.ended = Some(Instant::now());
        }
        takes
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: u64, files: u64) -> Usage {
        Usage { bytes, files, unread: false }
    }

    #[test]
    fn the_largest_goes_and_one_at_a_time() {
        let bytes = |bytes| Missing { bytes, files: 0 };
        let floor = Floor::default();
        floor.note("small", held(10, 900));
        floor.note("large", held(500, 3));
        assert!(!floor.takes("large", bytes(600)), "it is not what fills the disk");
        assert!(!floor.takes("small", bytes(5)));
        assert!(!floor.takes("unknown", bytes(0)));
        assert!(floor.takes("large", bytes(5)));
        floor.forget("large");
        assert!(!floor.takes("small", bytes(5)), "what the first has held may still be on its way out");

        let floor = Floor::default();
        floor.note("small", held(10, 900));
        floor.note("large", held(500, 3));
        assert!(!floor.takes("large", Missing { bytes: 0, files: 7 }));
        assert!(floor.takes("small", Missing { bytes: 0, files: 7 }));
    }

    #[test]
    fn a_disk_is_looked_at_only_when_room_is_to_be_kept() {
        let floor = Floor::default();
        assert!(floor.missing(Path::new("/")).is_none());
        floor.keep(u64::MAX);
        assert!(floor.missing(Path::new("/")).is_some_and(|it| it.bytes > 0));
    }
}
