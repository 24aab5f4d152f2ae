//! Answers that were read before. Each is asked for again with its `ETag`; a 304 costs nothing of the hour's requests, and
//! then what was kept is what GitHub would have said.
//!
//! Everything that is read by GET is kept, within bounds: the settings file and the branch it is on, the person's
//! permission, the pull request that is read before and after its snapshot, the listings that are searched for our own
//! comments, and the App itself, which is looked at every minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, header};

use super::token::Scope;

/// Most answers that are kept, most bytes of all, and of one.
const ANSWERS: usize = 1_000;
const BYTES: usize = 16 << 20;
const LARGEST: usize = 1 << 20;

/// Whose answer: of one installation, with what its token may do and for which repository; none for the App's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub installation: u64,
    pub repository: u64,
    pub scope: Option<Scope>,
}

impl Whose {
    pub const APP: Self = Self { installation: 0, repository: 0, scope: None };
}

/// An answer with its `ETag`.
#[derive(Clone)]
pub(super) struct Kept {
    pub etag: HeaderValue,
    pub body: String,
    /// The next page; a 304 does not say.
    pub link: Option<HeaderValue>,
}

#[derive(Default)]
pub(super) struct Cache {
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    answers: HashMap<(Whose, String), (Kept, u64)>,
    bytes: usize,
    /// Counts uses: what was used longest ago goes first.
    clock: u64,
}

impl Cache {
    pub fn get(&self, whose: Whose, route: &str) -> Option<Kept> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.clock += 1;
        let now = shelf.clock;
        let (kept, used) = shelf.answers.get_mut(&(whose, route.to_owned()))?;
        *used = now;
        Some(kept.clone())
    }

    /// Keep an answer that has an `ETag` and is whole.
    pub fn keep(&self, whose: Whose, route: &str, headers: &HeaderMap, body: &str) {
        let Some(etag) = headers.get(header::ETAG) else { return };
        // Half an answer would be taken for the whole one from now on.
        let whole = || serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
        if body.len() > LARGEST || !whole() {
            return;
        }
        let kept = Kept { etag: etag.clone(), body: body.to_owned(), link: headers.get(header::LINK).cloned() };
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.put((whose, route.to_owned()), kept);
    }

    pub fn forget_everything(&self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = Shelf::default();
    }

    /// Drop what was read for an installation.
    pub fn forget(&self, installation: u64) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.answers.retain(|(whose, _), _| whose.installation != installation);
        shelf.bytes = shelf.answers.values().map(|(kept, _)| kept.body.len()).sum();
    }
}

impl Shelf {
    fn put(&mut self, key: (Whose, String), kept: Kept) {
        self.clock += 1;
        self.bytes += kept.body.len();
        if let Some((old, _)) = self.answers.insert(key, (kept, self.clock)) {
            self.bytes -= old.body.len();
        }
        if self.answers.len() <= ANSWERS && self.bytes <= BYTES {
            return;
        }
        // A tenth at once, so that it is not sorted for every answer.
        let mut uses: Vec<u64> = self.answers.values().map(|(_, used)| *used).collect();
        uses.sort_unstable();
        let mut oldest = uses[uses.len() / 10];
        while self.answers.len() > ANSWERS || self.bytes > BYTES {
            self.answers.retain(|_, (_, used)| *used > oldest);
            self.bytes = self.answers.values().map(|(kept, _)| kept.body.len()).sum();
            oldest += 1 + (self.clock - oldest) / 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(etag: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::ETAG, etag.parse().unwrap())])
    }

    fn one(installation: u64) -> Whose {
        Whose { installation, repository: 1, scope: Some(Scope::Talk) }
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let cache = Cache::default();
        let body = format!("\"{}\"", "x".repeat(LARGEST - 2));
        for at in 0..40 {
            cache.keep(one(1), &format!("/{at}"), &headers("a"), &body);
            assert!(cache.get(one(1), "/0").is_some(), "it is used all the time: {at}");
            assert!(cache.get(one(1), &format!("/{at}")).is_some(), "it is the newest: {at}");
        }
        let shelf = cache.shelf.lock().unwrap();
        assert!(shelf.bytes <= BYTES && shelf.answers.len() >= 8, "{} {}", shelf.bytes, shelf.answers.len());
        assert!(!shelf.answers.contains_key(&(one(1), "/1".to_owned())));
    }

    #[test]
    fn there_are_never_too_many() {
        let cache = Cache::default();
        for at in 0..3 * ANSWERS {
            cache.keep(one(1), &format!("/{at}"), &headers("a"), "[]");
        }
        let shelf = cache.shelf.lock().unwrap();
        assert!((ANSWERS / 2..=ANSWERS).contains(&shelf.answers.len()), "{}", shelf.answers.len());
        assert_eq!(shelf.bytes, 2 * shelf.answers.len());
    }

    #[test]
    fn only_whole_answers_are_kept_and_each_installation_has_its_own() {
        let cache = Cache::default();
        cache.keep(one(1), "/a", &headers("a"), "[1, 2");
        cache.keep(one(1), "/b", &HeaderMap::new(), "[]");
        assert!(cache.get(one(1), "/a").is_none() && cache.get(one(1), "/b").is_none());
        cache.keep(one(1), "/a", &headers("a"), "[1]");
        cache.keep(one(2), "/a", &headers("b"), "[2]");
        assert_eq!(cache.get(one(1), "/a").unwrap().body, "[1]");
        assert_eq!(cache.get(one(2), "/a").unwrap().etag, "b");
        cache.forget(1);
        assert!(cache.get(one(1), "/a").is_none() && cache.get(one(2), "/a").is_some());
        assert!(cache.get(Whose::APP, "/a").is_none());
    }
}
