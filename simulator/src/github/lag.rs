//! Lists that lag behind: on GitHub what was just created may be missing from the next reads of a list.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::World;

/// What the App has created since [`World::lists_lag`], and how often each list has been read since.
#[derive(Default, Debug)]
pub(crate) struct Lag {
    reads: usize,
    made: BTreeSet<u64>,
    missed: HashMap<(String, u64), usize>,
}

impl World {
    /// From now on, what the App creates is missing from each list for its first so many reads; 0 ends it. Reading the
    /// thing itself finds it at once.
    pub fn lists_lag(&self, reads: usize) {
        *self.state().lag.get_mut() = Lag { reads, ..Lag::default() };
    }
}

impl Lag {
    /// Notes what a request has created.
    pub fn creates(&mut self, answer: &[u8]) {
        if self.reads > 0 {
            let made: Value = serde_json::from_slice(answer).unwrap_or_default();
            self.made.extend(made["id"].as_u64());
        }
    }

    /// Takes out of a list what this reader does not see yet, and counts the read.
    pub fn hides(&mut self, list: &str, items: &mut Vec<Value>) {
        let mut hidden = BTreeSet::new();
        for id in &self.made {
            let missed = self.missed.entry((list.to_owned(), *id)).or_default();
            if *missed < self.reads {
                *missed += 1;
                hidden.insert(*id);
            }
        }
        // The comments of a review come with it.
        let is_hidden = |it: &Value| it.as_u64().is_some_and(|it| hidden.contains(&it));
        items.retain(|it| !is_hidden(&it["id"]) && !is_hidden(&it["pull_request_review_id"]));
    }
}
