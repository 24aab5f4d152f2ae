//! What was already said: a finding is known by its file and its code, not by its line or its words, so that a push which
//! moves code or a model which words things anew does not post it again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{EarlierAnswer, EarlierState, Finding, Side};

/// Non-blank lines of a finding that its fingerprint is made of, from the first on. Bounds the search for them.
const LONGEST: usize = 20;
/// Parts of a title's words that two titles share when they say the same.
const ALIKE: f64 = 0.7;
/// What a fingerprint begins with that is made of a title because there is no code.
const OF_TITLE: &str = "t-";

/// A finding that some review before this one posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub id: String,
    /// As of the review that posted it, or any later one.
    pub path: String,
    pub side: Side,
    pub fingerprint: String,
    pub title: String,
    pub state: KnownState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownState {
    Open,
    Fixed,
    /// A person has said that it is none, or does not matter.
    Dismissed,
}

impl KnownState {
    pub const ALL: [Self; 3] = [Self::Open, Self::Fixed, Self::Dismissed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Fixed => "fixed",
            Self::Dismissed => "dismissed",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A finding of this review, and what it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub finding: Finding,
    pub fingerprint: String,
}

/// How things stand at the head that this review looked at.
pub struct Now<'a> {
    /// Old names to new ones.
    pub renames: &'a BTreeMap<String, String>,
    /// A file at the head, if it is there and is text.
    pub head: &'a dyn Fn(&str) -> Option<String>,
    /// Whether there is no file of this name at the head.
    pub gone: &'a dyn Fn(&str) -> bool,
    /// What the agent says of known findings.
    pub earlier: &'a [EarlierAnswer],
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// To be posted.
    pub new: Vec<Found>,
    /// Said before and not posted again, with the id of the known one, which may be dismissed.
    pub repeated: Vec<(Found, String)>,
    /// Said twice in this review; the weightier one is in `new` or `repeated`.
    pub doubles: usize,
    /// Ids of known ones that were open and are mended.
    pub fixed: Vec<String>,
    /// Ids of known ones that stay open.
    pub open: Vec<String>,
}

/// What lines of a file are known by: their number, and a hash of their words and of the non-blank lines around them.
/// Blank lines and white space do not count, nor do line numbers.
pub fn fingerprint(text: &str, start: u32, line: u32) -> String {
    let solid = solid(text);
    let from = solid.partition_point(|(number, _)| *number < start.min(line));
    let to = solid.partition_point(|(number, _)| *number <= line).clamp(from, from + LONGEST);
    digest(&solid, from, to)
}

/// What a finding is known by. `text` is the file on the finding's side; without it, or without a line, the title has to do.
pub fn fingerprint_of(finding: &Finding, text: Option<&str>) -> String {
    match (finding.lines(), text) {
        (Some((start, line)), Some(text)) => fingerprint(text, start, line),
        _ => {
            let words: Vec<String> = words(&finding.title).into_iter().collect();
            format!("{OF_TITLE}{}", hex::encode(Sha256::digest(words.join(" "))))
        }
    }
}

/// Whether the code of a fingerprint stands anywhere in a file. One that is not of code proves nothing: it is there.
pub fn still_there(text: &str, fingerprint: &str) -> bool {
    length(fingerprint).is_none() || !windows(text, fingerprint).is_empty()
}

/// Tell what is new from what was said, and what is mended from what is not.
///
/// A known finding is mended when its code is gone from the head and the agent says so; either alone is not enough, for
/// code changes without getting better, and agents err. When the file is gone, so is the finding. A finding on deleted
/// code is about what is *not* at the head, there the agent's word alone counts.
pub fn reconcile(known: &[Known], found: Vec<Found>, now: &Now<'_>) -> Reconciled {
    let matches: Vec<Option<usize>> = found.iter().map(|it| repeats(known, it, now)).collect();
    let mut out = Reconciled::default();

    let mut ranked: Vec<usize> = (0..found.len()).collect();
    ranked.sort_by_key(|index| std::cmp::Reverse(found[*index].finding.weight()));
    let mut kept: BTreeMap<usize, Option<usize>> = BTreeMap::new();
    for index in ranked {
        match kept.iter_mut().find(|(other, _)| double(&found[**other], &found[index])) {
            Some((_, known)) => {
                *known = known.or(matches[index]);
                out.doubles += 1;
            }
            None => {
                kept.insert(index, matches[index]);
            }
        }
    }
    for (index, it) in found.into_iter().enumerate() {
        match kept.get(&index) {
            Some(Some(same)) => out.repeated.push((it, known[*same].id.clone())),
            Some(None) => out.new.push(it),
            None => (),
        }
    }

    let repeated: BTreeSet<&String> = out.repeated.iter().map(|(_, id)| id).collect();
    for it in known.iter().filter(|it| it.state == KnownState::Open) {
        if !repeated.contains(&it.id) && mended(it, now) {
            out.fixed.push(it.id.clone());
        } else {
            out.open.push(it.id.clone());
        }
    }
    out
}

/// The known finding that this one says again.
fn repeats(known: &[Known], found: &Found, now: &Now<'_>) -> Option<usize> {
    let silent = || {
        let here =
            |it: &&Known| it.path == found.finding.path || now.renames.get(&it.path) == Some(&found.finding.path);
        let candidates = known.iter().enumerate().filter(|(_, it)| it.state != KnownState::Fixed);
        candidates.filter(move |(_, it)| here(it))
    };
    let by_title = |it: &Known| alike(&it.title, &found.finding.title);
    let same_code = silent().filter(|(_, it)| it.fingerprint == found.fingerprint);
    if let Some((index, _)) = same_code.max_by(|(_, a), (_, b)| by_title(a).total_cmp(&by_title(b))) {
        return Some(index);
    }
    // The same thing said of a few lines more or less.
    let mut text: Option<Option<String>> = None;
    let mut close = silent().filter(|(_, it)| it.side == found.finding.side && by_title(it) >= ALIKE);
    close.find_map(|(index, it)| {
        let near = match (length(&it.fingerprint), found.finding.lines()) {
            (None, None) => true,
            (Some(_), Some((start, line))) if it.side == Side::Right => {
                let text = text.get_or_insert_with(|| (now.head)(&found.finding.path)).as_deref().unwrap_or_default();
                windows(text, &it.fingerprint).into_iter().any(|(from, to)| from <= line && start <= to)
            }
            _ => false,
        };
        near.then_some(index)
    })
}

/// Whether two findings of one review are one.
fn double(a: &Found, b: &Found) -> bool {
    let near = || match (a.finding.lines(), b.finding.lines()) {
        (Some((a_start, a_line)), Some((b_start, b_line))) => a_start <= b_line && b_start <= a_line,
        (None, None) => true,
        _ => false,
    };
    a.finding.path == b.finding.path
        && a.finding.side == b.finding.side
        && (a.fingerprint == b.fingerprint || near())
        && alike(&a.finding.title, &b.finding.title) >= ALIKE
}

fn mended(known: &Known, now: &Now<'_>) -> bool {
    let renamed = now.renames.get(&known.path).filter(|_| (now.gone)(&known.path));
    let path = renamed.unwrap_or(&known.path);
    if known.side == Side::Right && (now.gone)(path) {
        return true;
    }
    let mut said = now.earlier.iter().filter(|it| it.id == known.id).peekable();
    let says_fixed = said.peek().is_some() && said.all(|it| it.state == EarlierState::Fixed);
    let code_decides = known.side == Side::Right && length(&known.fingerprint).is_some();
    says_fixed && (!code_decides || (now.head)(path).is_some_and(|text| !still_there(&text, &known.fingerprint)))
}

/// The lines that are not blank, with their numbers, each with its white space made even.
fn solid(text: &str) -> Vec<(u32, String)> {
    let even = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (1..).zip(text.lines().map(even)).filter(|(_, line)| !line.is_empty()).collect()
}

/// The fingerprint of solid lines: `<how many>-<hash of them and their neighbours>`.
fn digest(solid: &[(u32, String)], from: usize, to: usize) -> String {
    let mut hash = Sha256::new();
    let above = from.checked_sub(1).and_then(|at| solid.get(at));
    hash.update(above.map_or("", |(_, line)| line));
    for (_, line) in &solid[from..solid.len().min(to + 1)] {
        hash.update("\n");
        hash.update(line);
    }
    if to >= solid.len() {
        hash.update("\n");
    }
    format!("{}-{}", to - from, hex::encode(hash.finalize()))
}

/// How many solid lines a fingerprint is of; `None` when it is not of code.
fn length(fingerprint: &str) -> Option<usize> {
    fingerprint.split_once('-')?.0.parse().ok().filter(|it| *it <= LONGEST)
}

/// First and last line of each place in a file that has the fingerprint.
fn windows(text: &str, fingerprint: &str) -> Vec<(u32, u32)> {
    let Some(length) = length(fingerprint) else { return Vec::new() };
    let solid = solid(text);
    let Some(last) = solid.len().checked_sub(length) else { return Vec::new() };
    let hits = (0..=last).filter(|from| digest(&solid, *from, from + length) == fingerprint);
    let number = |index: usize| solid.get(index).or(solid.last()).map_or(1, |(number, _)| *number);
    hits.map(|from| (number(from), number((from + length).saturating_sub(1).max(from)))).collect()
}

/// How much two titles say the same, from 0 to 1: the share of words that both have.
fn alike(a: &str, b: &str) -> f64 {
    let (a, b) = (words(a), words(b));
    let all = a.union(&b).count();
    if all == 0 { 1.0 } else { a.intersection(&b).count() as f64 / all as f64 }
}

/// The words that carry a title. Scripts without spaces count by the character.
fn words(title: &str) -> BTreeSet<String> {
    const EMPTY: &[&str] =
        &["a", "an", "and", "are", "be", "by", "for", "in", "is", "of", "on", "the", "to", "when", "with"];
    let mut spaced = String::new();
    for c in title.to_lowercase().chars() {
        match c {
            '\u{2E80}'..='\u{D7FF}' | '\u{F900}'..='\u{FAFF}' => spaced.extend([' ', c, ' ']),
            c if c.is_alphanumeric() || c == '_' => spaced.push(c),
            _ => spaced.push(' '),
        }
    }
    spaced.split_whitespace().filter(|word| !EMPTY.contains(word)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
