//! Tool: what was last seen of this machine and the world outside, for `/readyz`, the doctor, the log, and for runs that
//! should not begin.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tracing::{info, warn};

/// The parts that no run can do without, besides GitHub and the database, which its first steps ask anyway.
const NEEDED: [&str; 4] = ["disk", "sandbox", "claude", "model"];

/// What was last seen of each part: nothing when it is well, else what is wrong.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    seen: Mutex<BTreeMap<&'static str, Option<String>>>,
    /// Somebody has met trouble that nobody has looked into yet.
    suspect: AtomicBool,
    look: Notify,
}

impl Health {
    /// Note what was seen; a change is logged.
    pub fn note(&self, what: &'static str, wrong: Option<&str>) {
        let before = self.seen().insert(what, wrong.map(str::to_owned));
        match (&before, wrong) {
            (None | Some(None), Some(wrong)) => warn!(part = what, "{what} is not well: {wrong}"),
            (Some(Some(_)), None) => info!(part = what, "{what} is well again"),
            _ => (),
        }
    }

    /// Everything looked at so far: nothing when it is well, else what is wrong.
    pub fn all(&self) -> BTreeMap<&'static str, Option<String>> {
        self.seen().clone()
    }

    /// Why no run should begin: the part, and what is wrong with it.
    pub fn unfit(&self) -> Option<(&'static str, String)> {
        let seen = self.seen();
        NEEDED.into_iter().find_map(|part| Some((part, seen.get(part)?.clone()?)))
    }

    /// A run has met trouble on this machine: somebody should look closely, and soon.
    pub fn suspect(&self) {
        self.0.suspect.store(true, Ordering::Relaxed);
        self.look_soon();
    }

    /// Somebody should look soon: what was noted may have passed.
    pub fn look_soon(&self) {
        self.0.look.notify_one();
    }

    /// Whether somebody has met trouble since the last look.
    pub fn take_suspicion(&self) -> bool {
        self.0.suspect.swap(false, Ordering::Relaxed)
    }

    /// Returns when somebody should look.
    pub async fn wanted(&self) {
        self.0.look.notified().await;
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with the room that is left on the disk of a directory, if anything is.
pub fn disk(dir: &Path, least_mb: u64) -> Option<String> {
    match nix::sys::statvfs::statvfs(dir) {
        Ok(disk) => {
            let free = disk.blocks_available().saturating_mul(disk.fragment_size()) >> 20;
            let says = || format!("{} has {free} MiB left; DISK_FREE_MB asks for {least_mb}", dir.display());
            (free < least_mb).then(says)
        }
        Err(error) => Some(format!("{} can't be looked at: {error}", dir.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_missed_keeps_runs_from_beginning_until_it_is_back() {
        let health = Health::default();
        health.note("github", Some("it is away"));
        health.note("model", None);
        assert_eq!(health.unfit(), None);
        health.note("model", Some("it does not take the key"));
        assert_eq!(health.unfit(), Some(("model", "it does not take the key".to_owned())));
        health.note("model", None);
        assert_eq!(health.unfit(), None);
    }

    #[test]
    fn a_disk_is_held_against_what_is_asked() {
        assert_eq!(disk(Path::new("/"), 0), None);
        assert!(disk(Path::new("/"), u64::MAX >> 20).unwrap().contains("MiB left"));
        assert!(disk(Path::new("/no/such/place"), 0).unwrap().contains("can't be looked at"));
    }
}
