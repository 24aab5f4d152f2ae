//! A mistake in the file and where it is, fit to be shown next to the line.

use std::fmt;

use serde::Serialize;

use crate::text;

/// What is wrong with the settings, and where. A mistake lies on one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Mistake {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The column after the last character.
    pub end_column: u32,
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// A place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    pub line: u32,
    column: u32,
    end_column: u32,
}

impl Spot {
    pub const START: Self = Self { line: 1, column: 1, end_column: 2 };

    /// A place of at least one character.
    pub fn new(line: usize, column: usize, end_column: usize) -> Self {
        let end_column = end_column.max(column + 1);
        Self { line: line as u32, column: column as u32, end_column: end_column as u32 }
    }

    pub fn says(self, message: impl Into<String>) -> Mistake {
        let Self { line, column, end_column } = self;
        Mistake { line, column, end_column, message: message.into() }
    }
}

/// How many there are, and where to begin.
pub fn counted(mistakes: &[Mistake]) -> String {
    match mistakes {
        [] => "no mistake".to_owned(),
        [one] => format!("a mistake at {one}"),
        [first, ..] => format!("{} mistakes, the first at {first}", mistakes.len()),
    }
}

/// Words of the file in a message: short, in a code span that they can't leave, and without what looks like a secret. The
/// file may be a stranger's, and the message stands on GitHub under the bot's name.
pub fn shown(said: &str) -> String {
    let said: String = text::redact(said).chars().map(|c| if c == '`' { '\'' } else { c }).collect();
    let said: String = text::line(&said, 40).chars().filter(|c| !c.is_control() && !text::is_invisible(*c)).collect();
    if said.is_empty() { "an empty text".to_owned() } else { format!("`{said}`") }
}

/// `a`, `b`, `c`
pub fn listed(words: &[&str]) -> String {
    words.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

/// The known word that somebody may have meant.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word: String = word.to_lowercase().replace(['-', ' '], "_").chars().take(40).collect();
    let begun = |it: &&str| 3 <= word.len() && it.starts_with(&word);
    let close = |it: &&str| strsim::osa_distance(&word, it) <= (it.len() / 3).max(1);
    let nearest = known.iter().copied().filter(close).min_by_key(|it| strsim::osa_distance(&word, it));
    nearest.or_else(|| known.iter().copied().find(begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_stranger_stay_in_their_span() {
        for (said, expected) in [
            ("plain", "`plain`"),
            ("", "an empty text"),
            ("a`b", "`a'b`"),
            ("one\ntwo", "`one…`"),
            ("a\u{202E}b", "`ab`"),
            (&"x".repeat(60), &format!("`{}…`", "x".repeat(40))),
            (&format!("ghp_{}", "x".repeat(36)), "`[redacted]`"),
        ] {
            assert_eq!(shown(said), expected, "{said:?}");
        }
    }

    #[test]
    fn mistakes_are_counted_and_the_first_is_named() {
        let mistake = |line| Mistake { line, column: 3, end_column: 4, message: "no".to_owned() };
        assert_eq!(counted(&[mistake(1)]), "a mistake at 1:3: no");
        assert_eq!(counted(&[mistake(1), mistake(2)]), "2 mistakes, the first at 1:3: no");
    }

    #[test]
    fn near_misses_are_known() {
        let known = ["opened", "ready_for_review", "synchronize", "reopened", "on"];
        for (word, expected) in [
            ("open", Some("opened")),
            ("Ready-For-Review", Some("ready_for_review")),
            ("sync", Some("synchronize")),
            ("syncronise", Some("synchronize")),
            ("no", Some("on")),
            ("reopend", Some("reopened")),
            ("closed", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }
}
