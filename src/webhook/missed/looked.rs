//! What a process remembers of its own looking through repositories.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Millis;

/// What this process has looked through, by the beginning of the search: it need not do so again for the sake of others that
/// it could not look through.
#[derive(Default)]
pub struct LookedThrough(Mutex<HashSet<(Millis, u64, u64)>>);

impl LookedThrough {
    pub fn has(&self, began: Millis, (installation, repository): (u64, u64)) -> bool {
        self.all().contains(&(began, installation, repository))
    }

    pub fn add(&self, began: Millis, (installation, repository): (u64, u64)) {
        self.all().insert((began, installation, repository));
    }

    /// Its search has come to its end.
    pub fn forget(&self, installation: u64) {
        self.all().retain(|it| it.1 != installation);
    }

    fn all(&self) -> MutexGuard<'_, HashSet<(Millis, u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
