//! The keys that this process holds, so that nothing it says can contain one. One list for the process: whoever makes or
//! reads a key adds it once, and no way out has to be told of it. A key is found as it is and in base64, base64url, hex,
//! escapes and backwards, in any case, with anything but letters and digits in between.

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

#[derive(Default)]
struct Held {
    keys: Vec<SecretString>,
    /// Each with the moment until which it may be good.
    minted: Vec<(SecretString, Millis)>,
    homes: Vec<String>,
    search: Option<Arc<Search>>,
    /// The search does not know all of them yet: it is made when something goes out, not for each of many tokens.
    stale: bool,
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
    let mut held = HELD.write().unwrap_or_else(PoisonError::into_inner);
    if !held.keys.iter().any(|it| it.expose_secret() == key.expose_secret()) {
        held.keys.push(key.clone());
        held.stale = true;
    }
}

/// The same for a token that is good until then, however many there are.
pub fn hold_until(token: &SecretString, until: Millis) {
    let now = clock::now();
    let mut held = HELD.write().unwrap_or_else(PoisonError::into_inner);
    held.minted.retain(|(it, until)| *until > now && it.expose_secret() != token.expose_secret());
    held.minted.push((token.clone(), until));
    held.stale = true;
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

/// Where keys stand in a text.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let Some(search) = newest().filter(|_| text.len() >= LEAST) else {
        return Vec::new();
    };
    let mut found = search.find(&View::plain(text, bare));
    if text.contains(['<', '%', '\\', '&']) {
        found.extend(search.find(&View::joined(text, bare)));
    }
    // A key in a tag and spelled in escapes is in neither of the two.
    if text.contains('<') && text.contains(['%', '\\', '&']) {
        found.extend(search.find(&View::unescaped(text, bare)));
    }
    found
}

/// The search for all that is held.
fn newest() -> Option<Arc<Search>> {
    {
        let held = HELD.read().unwrap_or_else(PoisonError::into_inner);
        if !held.stale {
            return held.search.clone();
        }
    }
    let mut held = HELD.write().unwrap_or_else(PoisonError::into_inner);
    if held.stale {
        held.search = search(&held);
        held.stale = false;
    }
    held.search.clone()
}

/// Letters and digits, all of one case.
fn bare(c: char) -> Option<char> {
    c.is_ascii_alphanumeric().then(|| c.to_ascii_lowercase())
}

fn search(held: &Held) -> Option<Arc<Search>> {
    let mut needles: Vec<String> = Vec::new();
    for key in held.keys.iter().chain(held.minted.iter().map(|(token, _)| token)) {
        let key = key.expose_secret().trim();
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
    (!needles.is_empty()).then(|| Arc::new(Search { needles, pieces, automaton }))
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
