//! Tool: what was last seen of the world outside, for `/readyz`, the doctor and the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

/// What was last seen of GitHub and the model: nothing when it is well, else what is wrong.
#[derive(Clone, Default)]
pub struct Health {
    seen: Arc<Mutex<BTreeMap<&'static str, Option<String>>>>,
}

impl Health {
    /// Note what was seen; a change is logged.
    pub fn note(&self, what: &'static str, wrong: Option<&str>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.insert(what, wrong.map(str::to_owned));
        match (&before, wrong) {
            (None | Some(None), Some(wrong)) => warn!(part = what, "{what} is not well: {wrong}"),
            (Some(Some(_)), None) => info!(part = what, "{what} is well again"),
            _ => (),
        }
    }

    /// Everything looked at so far: nothing when it is well, else what is wrong.
    pub fn all(&self) -> BTreeMap<&'static str, Option<String>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
