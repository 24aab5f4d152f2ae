//! What comes in: a text as a person on GitHub sees it. Whatever a page does not show is where instructions to agents are
//! hidden; it is taken out by parsers, and counted by kind.
//!
//! Not covered, because it takes a renderer to see it: comments in Mermaid diagrams, invisible parts of formulas, text in
//! the colour of the page, and what stands in a picture.

mod code;
mod events;
mod html;
mod invisible;
mod markdown;
mod place;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use code::in_added;
pub use invisible::{is_invisible, spelled, without_invisible};
pub use markdown::hidden_ranges;
pub use place::escaped as destination;

/// Rounds until nothing hidden is left. Taking one thing out can make another of what stood around it.
const ROUNDS: usize = 6;

/// What a page does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hidden {
    /// An HTML comment, a declaration, or a tag that never ends.
    Comment,
    /// A link definition or a footnote that nothing refers to.
    Definition,
    /// An element that asks not to be shown, and table cells beyond the last column.
    Element,
    /// Words in the attributes of a tag.
    Attribute,
    /// Words in the title, label or address of a link, or beside the language of a code block.
    Label,
    /// Words in the place of a picture.
    Image,
    /// A character without a glyph.
    Invisible,
    /// A sequence that a terminal acts on.
    Control,
    /// In code: a character that turns the direction of what follows.
    CodeDirection,
    /// In code: another character without a glyph.
    CodeInvisible,
    /// In code: a sequence that a terminal acts on.
    CodeControl,
}

impl Hidden {
    /// Whether it is counted only, and not taken out.
    fn stays(self) -> bool {
        matches!(self, Self::CodeDirection | Self::CodeInvisible | Self::CodeControl)
    }
}

/// How many things of each kind were taken out of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed(BTreeMap<Hidden, usize>);

impl Removed {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn of(&self, kind: Hidden) -> usize {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    fn add(&mut self, kind: Hidden, count: usize) {
        if count > 0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            self.add(*kind, *count);
        }
    }
}

/// What was taken out of the texts of each author.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally(BTreeMap<String, Removed>);

/// One line of a tally.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub kind: Hidden,
    pub count: usize,
    pub author: String,
}

impl Tally {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, author: &str, removed: &Removed) {
        if !removed.is_empty() {
            self.0.entry(author.to_owned()).or_default().merge(removed);
        }
    }

    /// The largest first, at most `most`, and how many more there are: of what was taken out, or of what was left.
    pub fn largest(&self, most: usize, left: bool) -> (Vec<Counted>, usize) {
        let mut all: Vec<Counted> = self
            .0
            .iter()
            .flat_map(|(author, removed)| {
                removed.0.iter().map(|(kind, count)| Counted { kind: *kind, count: *count, author: author.clone() })
            })
            .filter(|it| it.kind.stays() == left)
            .collect();
        // Sorted by author so far, which stays so among equals; whole constructs before single characters.
        all.sort_by_key(|it| (matches!(it.kind, Hidden::Invisible | Hidden::Control), std::cmp::Reverse(it.count)));
        let more = all.len().saturating_sub(most);
        all.truncate(most);
        (all, more)
    }
}

/// The visible part of a Markdown text, and what was taken out. What people see is kept to the letter.
pub fn visible(markdown: &str) -> (String, Removed) {
    let mut text = markdown.replace("\r\n", "\n").replace('\r', "\n");
    let mut removed = Removed::default();
    for _ in 0..ROUNDS {
        let mut round = Removed::default();
        let parsed = markdown::without_hidden(&text, &mut round);
        let (next, invisible) = without_invisible(&parsed);
        round.add(Hidden::Invisible, invisible);
        removed.merge(&round);
        if next == text {
            return (text, removed);
        }
        text = next;
    }
    // Somebody builds hidden things out of hidden things: what is left of HTML is shown as it stands.
    let mut rest = Removed::default();
    let text = markdown::without_hidden(&text.replace('<', "&lt;"), &mut rest);
    removed.merge(&rest);
    (text, removed)
}

/// The visible part of a text that GitHub shows as it is: a title, a label, a file's name, a log.
pub fn plain(text: &str) -> (String, Removed) {
    let mut removed = Removed::default();
    let (text, sequences) = invisible::without_sequences(&text.replace("\r\n", "\n").replace('\r', "\n"));
    removed.add(Hidden::Control, sequences);
    let (text, invisible) = without_invisible(&text);
    removed.add(Hidden::Invisible, invisible);
    (text, removed)
}

/// A log without the colours and movements of a terminal, which hide nothing.
pub fn without_sequences(text: &str) -> String {
    invisible::without_sequences(text).0
}

#[cfg(test)]
mod tests;
