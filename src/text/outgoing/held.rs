//! The keys that this process holds, so that nothing it says can contain one. One list for the process: whoever makes or
//! reads a key adds it once, and no way out has to be told of it. A key is found as it is and in base64, base64url, hex,
//! escapes and backwards, in any case, with anything but letters and digits in between.
//!
//! A key that somebody has brought for one task is in another list: what is in the first can be said by nobody, and who may
//! make tasks must not choose that. It is kept out of what its own task says, and out of the logs.

use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use super::view::View;
use crate::clock::{self, Millis};

/// Fewer letters and digits than this also stand in innocent texts.
const LEAST: usize = 12;
/// Keys are looked for in pieces of this length, so that a part of one is found too.
const PIECE: usize = 24;

static HELD: LazyLock<RwLock<Held>> = LazyLock::new(RwLock::default);
/// All that were brought.
static BROUGHT: LazyLock<RwLock<Held>> = LazyLock::new(RwLock::default);

tokio::task_local! {
    /// What was brought for the task that is worked on here.
    static OWN: Arc<RwLock<Held>>;
}

#[derive(Default)]
struct Held {
    /// What no search knows yet: one is made when something goes out, not for each of many tokens.
    fresh: Vec<Key>,
    /// From large to small. A search is dear to make: a new one takes in those that are not much larger, so that each key
    /// is built in a few times at most, however many there are, and a text is looked through a few times at most.
    layers: Vec<Layer>,
    homes: Vec<String>,
}

struct Key {
    text: SecretString,
    /// The moment until which it may be good, if it does not last.
    until: Option<Millis>,
}

struct Layer {
    keys: Vec<Key>,
    search: Option<Arc<Search>>,
}

struct Search {
    /// All spellings, each once.
    needles: Vec<String>,
    /// For each piece, its needle and where in it.
    pieces: Vec<(usize, usize)>,
    automaton: AhoCorasick,
}

/// Let nothing out that contains this key.
pub fn hold(key: &SecretString) {
    HELD.write().unwrap_or_else(PoisonError::into_inner).add(key, None);
}

/// The same for a token that is good until then, however many there are.
pub fn hold_until(token: &SecretString, until: Millis) {
    HELD.write().unwrap_or_else(PoisonError::into_inner).add(token, Some(until));
}

/// The same for a key that was brought for one task: it is kept out of the logs, and out of all that the work around this
/// says, if that is `apart`.
pub fn hold_brought(key: &SecretString, until: Millis) {
    let keep = |held: &RwLock<Held>| held.write().unwrap_or_else(PoisonError::into_inner).add(key, Some(until));
    keep(&BROUGHT);
    let _ = OWN.try_with(|own| keep(own));
}

/// Work on one task, with what is brought for it.
pub async fn apart<T>(work: impl Future<Output = T>) -> T {
    OWN.scope(Arc::default(), work).await
}

/// The same work on another thread.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let own = OWN.try_with(Clone::clone).ok();
    move || match own {
        Some(own) => OWN.sync_scope(own, work),
        None => work(),
    }
}

/// A host that links may lead to without a word: the GitHub that we work for.
pub fn at_home(host: &str) {
    let mut held = HELD.write().unwrap_or_else(PoisonError::into_inner);
    if !is_in(&held.homes, host) {
        held.homes.push(host.to_ascii_lowercase());
    }
}

pub(super) fn is_home(host: &str) -> bool {
    is_in(&["github.com".to_owned(), "githubusercontent.com".to_owned()], host)
        || is_in(&HELD.read().unwrap_or_else(PoisonError::into_inner).homes, host)
}

fn is_in(homes: &[String], host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    homes.iter().any(|home| host == *home || host.strip_suffix(home.as_str()).is_some_and(|rest| rest.ends_with('.')))
}

/// Where keys stand in a text: those of the process, and those brought for the task that is worked on.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let own = OWN.try_with(|own| searches(own)).unwrap_or_default();
    look(text, &[searches(&HELD), own].concat())
}

/// Where any key stands, whoever has brought it.
pub(super) fn find_any(text: &str) -> Vec<Range<usize>> {
    look(text, &[searches(&HELD), searches(&BROUGHT)].concat())
}

fn look(text: &str, searches: &[Arc<Search>]) -> Vec<Range<usize>> {
    if text.len() < LEAST || searches.is_empty() {
        return Vec::new();
    }
    let mut views = vec![View::plain(text, bare)];
    if text.contains(['<', '%', '\\', '&']) {
        views.push(View::joined(text, bare));
    }
    // A key in a tag and spelled in escapes is in neither of the two.
    if text.contains('<') && text.contains(['%', '\\', '&']) {
        views.push(View::unescaped(text, bare));
    }
    searches.iter().flat_map(|search| views.iter().flat_map(|view| search.find(view))).collect()
}

/// The searches for all in a list.
fn searches(list: &RwLock<Held>) -> Vec<Arc<Search>> {
    {
        let held = list.read().unwrap_or_else(PoisonError::into_inner);
        if held.fresh.is_empty() {
            return held.searches();
        }
    }
    let mut held = list.write().unwrap_or_else(PoisonError::into_inner);
    held.take_in(clock::now());
    held.searches()
}

impl Held {
    fn add(&mut self, text: &SecretString, until: Option<Millis>) {
        let mut all = self.layers.iter_mut().flat_map(|layer| &mut layer.keys).chain(&mut self.fresh);
        match all.find(|key| key.text.expose_secret() == text.expose_secret()) {
            // What lasts goes on lasting.
            Some(key) => key.until = key.until.zip(until).map(|(one, other)| one.max(other)),
            None => self.fresh.push(Key { text: text.clone(), until }),
        }
    }

    /// Make a search of the fresh keys and of the layers that are not much larger, without what is no longer good.
    fn take_in(&mut self, now: Millis) {
        let mut keys = std::mem::take(&mut self.fresh);
        if keys.is_empty() {
            return;
        }
        while let Some(layer) = self.layers.pop_if(|layer| layer.keys.len() <= 2 * keys.len()) {
            keys.extend(layer.keys);
        }
        keys.retain(|key| key.until.is_none_or(|until| until > now));
        let search = search(&keys).map(Arc::new);
        self.layers.push(Layer { keys, search });
    }

    fn searches(&self) -> Vec<Arc<Search>> {
        self.layers.iter().filter_map(|layer| layer.search.clone()).collect()
    }
}

/// Letters and digits, all of one case.
fn bare(c: char) -> Option<char> {
    c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase())
}

fn search(keys: &[Key]) -> Option<Search> {
    let mut needles: Vec<String> = Vec::new();
    for key in keys {
        let key = key.text.expose_secret().trim();
        needles.extend(spellings(key));
        // A key in lines is as much of a key without its first and last.
        let lines = key.lines().filter(|line| !line.contains("-----") && line.len() >= 2 * PIECE);
        needles.extend(lines.filter(|line| line.len() < key.len()).flat_map(spellings));
    }
    needles.retain(|needle| needle.len() >= LEAST);
    needles.sort_unstable();
    needles.dedup();
    let mut pieces = Vec::new();
    for (needle, text) in needles.iter().enumerate() {
        let starts = (0..text.len()).step_by(PIECE);
        pieces.extend(starts.filter(|at| *at == 0 || text.len() - at >= PIECE).map(|at| (needle, at)));
    }
    let texts = pieces.iter().map(|(needle, at)| &needles[*needle][*at..needles[*needle].len().min(at + PIECE)]);
    let automaton = AhoCorasick::new(texts).ok()?;
    (!needles.is_empty()).then_some(Search { needles, pieces, automaton })
}

/// All ways to write a key, reduced to letters and digits.
fn spellings(key: &str) -> Vec<String> {
    let reduced = |text: &str| -> String { text.chars().filter_map(bare).collect() };
    let plain = reduced(key);
    if plain.len() < LEAST {
        return Vec::new();
    }
    let mut all = vec![plain.chars().rev().collect(), reduced(&hex::encode(key)), plain];
    // In the base64 of a longer text a key begins at any of three places in a group; the letters at its ends are not its own.
    for shift in 0..3 {
        let mut bytes = vec![0; shift];
        bytes.extend_from_slice(key.as_bytes());
        let whole = STANDARD.encode(&bytes);
        let (first, last) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
        all.push(reduced(whole.get(first..last).unwrap_or_default()));
    }
    all
}

impl Search {
    fn find(&self, view: &View) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for piece in self.automaton.find_overlapping_iter(&view.text) {
            let (needle, at) = self.pieces[piece.pattern().as_usize()];
            let needle = self.needles[needle].as_bytes();
            let text = view.text.as_bytes();
            // As much of the key as there is around the piece.
            let before = needle[..at].iter().rev().zip(text[..piece.start()].iter().rev()).take_while(|(a, b)| a == b);
            let after = needle[at + piece.len()..].iter().zip(&text[piece.end()..]).take_while(|(a, b)| a == b);
            let part = piece.start() - before.count()..piece.end() + after.count();
            let part = view.source(&part);
            if found.last() != Some(&part) {
                found.push(part);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(n: u64) -> SecretString {
        format!("ghs_{:036}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into()
    }

    fn is_found(held: &Held, token: &SecretString) -> bool {
        let text = format!("it is {}.", token.expose_secret());
        held.searches().iter().any(|search| !search.find(&View::plain(&text, bare)).is_empty())
    }

    #[test]
    fn many_tokens_are_found_by_few_searches() {
        let mut held = Held::default();
        for n in 0..500 {
            held.add(&token(n), Some(1000));
            held.take_in(0);
        }
        assert!(held.layers.len() <= 9, "{}", held.layers.len());
        assert!((0..500).all(|n| is_found(&held, &token(n))));
        assert!(!is_found(&held, &token(500)));
    }

    #[test]
    fn what_is_no_longer_good_goes_and_what_lasts_stays() {
        let mut held = Held::default();
        held.add(&token(0), None);
        held.add(&token(0), Some(10));
        held.add(&token(1), Some(10));
        held.add(&token(1), Some(30));
        (2..20).for_each(|n| held.add(&token(n), Some(10)));
        held.take_in(0);
        (20..50).for_each(|n| held.add(&token(n), Some(30)));
        held.take_in(20);
        assert_eq!(held.layers.len(), 1);
        assert!(is_found(&held, &token(0)) && is_found(&held, &token(1)) && !is_found(&held, &token(2)));
    }
}
