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

/// What is wrong with a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// In a sentence, for the operator.
    pub says: String,
    /// The credentials are missing or not accepted: waiting alone does not help.
    pub refused: bool,
}

impl Wrong {
    pub fn new(says: impl Into<String>) -> Self {
        Self { says: says.into(), refused: false }
    }

    pub fn refused(says: impl Into<String>) -> Self {
        Self { says: says.into(), refused: true }
    }
}

#[derive(Default)]
struct Inner {
    seen: Mutex<BTreeMap<&'static str, Option<Wrong>>>,
    /// Somebody has met trouble that nobody has looked into yet.
    suspect: AtomicBool,
    look: Notify,
}

impl Health {
    /// Note what was seen; a change is logged.
    pub fn note(&self, what: &'static str, wrong: Option<Wrong>) {
        let says = wrong.as_ref().map(|it| it.says.clone());
        let before = self.seen().insert(what, wrong);
        match (&before, says) {
            (None | Some(None), Some(says)) => warn!(part = what, "{what} is not well: {says}"),
            (Some(Some(_)), None) => info!(part = what, "{what} is well again"),
            _ => (),
        }
    }

    /// A run has found that the model does not take the key.
    pub fn key_refused(&self) {
        self.note("model", Some(Wrong::refused("it does not take the key in ANTHROPIC_API_KEY")));
        self.look_soon();
    }

    /// Everything looked at so far: nothing when it is well, else what is wrong.
    pub fn all(&self) -> BTreeMap<&'static str, Option<String>> {
        self.seen().iter().map(|(part, wrong)| (*part, wrong.as_ref().map(|it| it.says.clone()))).collect()
    }

    /// Why no run should begin: the part, and what is wrong with it.
    pub fn unfit(&self) -> Option<(&'static str, Wrong)> {
        let seen = self.seen();
        NEEDED.into_iter().find_map(|part| Some((part, seen.get(part)?.clone()?)))
    }

    /// The same for a run with a key of its own: what is wrong with the operator's does not keep it from beginning.
    pub fn unfit_with_own_key(&self) -> Option<(&'static str, Wrong)> {
        let seen = self.seen();
        let wrong = |part: &str| seen.get(part)?.clone().filter(|wrong| part != "model" || !wrong.refused);
        NEEDED.into_iter().find_map(|part| Some((part, wrong(part)?)))
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

    fn seen(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<Wrong>>> {
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
        health.note("github", Some(Wrong::new("it is away")));
        health.note("model", None);
        assert_eq!(health.unfit(), None);
        health.note("model", Some(Wrong::refused("no")));
        assert_eq!(health.unfit(), Some(("model", Wrong::refused("no"))));
        assert_eq!(health.unfit_with_own_key(), None, "it is not the key that is used");
        assert_eq!(health.all()["model"].as_deref(), Some("no"));
        health.note("model", Some(Wrong::new("away")));
        assert_eq!(health.unfit_with_own_key(), Some(("model", Wrong::new("away"))));
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
