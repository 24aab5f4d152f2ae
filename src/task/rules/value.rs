//! Values as settings want them: what YAML takes a word for, and what to say when it is something else.

use super::mistake::{Mistake, Spot, listed, nearest, shown};
use super::tree::{Node, What};
use crate::config::Dollars;

/// Less than a cent buys nothing.
const LEAST_BUDGET: i64 = 10_000;

/// A value, with the path and place of its key.
pub struct Field<'a> {
    pub path: &'a str,
    pub key: Spot,
    pub node: &'a Node,
}

/// What YAML takes a word for.
enum Word<'a> {
    Nothing,
    Truth(bool),
    Number(&'a str),
    Text(&'a str),
}

impl<'a> Field<'a> {
    pub fn truth(&self, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        if let Some(Word::Truth(truth)) = word(self.node) {
            return Some(truth);
        }
        self.expects(mistakes, "`true` or `false`", "");
        None
    }

    pub fn text(&self, mistakes: &mut Vec<Mistake>) -> Option<&'a str> {
        if let Some(Word::Text(text)) = word(self.node) {
            return Some(text);
        }
        let hint = if matches!(self.node.what, What::Scalar { .. }) { "; put it in quotes" } else { "" };
        self.expects(mistakes, "a text", hint);
        None
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)], mistakes: &mut Vec<Mistake>) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let Some(Word::Text(text)) = word(self.node) else {
            self.expects(mistakes, &format!("one of {}", listed(&names)), "");
            return None;
        };
        let found = words.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let hint = match nearest(text, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known are {}", listed(&names)),
            };
            self.tell(mistakes, format!("`{}` does not know {}; {hint}", self.path, shown(text)));
        }
        found.map(|(_, value)| *value)
    }

    pub fn dollars(&self, mistakes: &mut Vec<Mistake>) -> Option<Dollars> {
        let Some(Word::Number(amount)) = word(self.node) else {
            self.expects(mistakes, "dollars such as 3.00", "");
            return None;
        };
        match amount.parse::<Dollars>() {
            Ok(dollars) if LEAST_BUDGET <= dollars.micros => return Some(dollars),
            Ok(_) => self.tell(mistakes, format!("`{}` must be at least 0.01", self.path)),
            // To YAML `.inf` and `.nan` are numbers, too.
            Err(_) => self.tell(mistakes, format!("`{}` must be more than 0, and not {}", self.path, shown(amount))),
        }
        None
    }

    /// A whole number from 1 to `most`.
    pub fn count(&self, most: u32, mistakes: &mut Vec<Mistake>) -> Option<u32> {
        let Some(Word::Number(number)) = word(self.node) else {
            self.expects(mistakes, "a number", "");
            return None;
        };
        let found = number.parse::<u32>().ok().filter(|number| (1..=most).contains(number));
        if found.is_none() {
            self.tell(
                mistakes,
                format!("`{}` must be a whole number from 1 to {most}, not {}", self.path, shown(number)),
            );
        }
        found
    }

    /// The items of a list; none for something else, which is told.
    pub fn list(&self, most: usize, mistakes: &mut Vec<Mistake>) -> Vec<Field<'a>> {
        let What::List(items) = &self.node.what else {
            self.expects(mistakes, "a list such as `[one, two]`", "");
            return Vec::new();
        };
        if let Some(over) = items.get(most) {
            let told = format!("`{}` has {} items; at most {most} are read", self.path, items.len());
            mistakes.push(over.spot.says(told));
        }
        items.iter().take(most).map(|node| Field { path: self.path, key: node.spot, node }).collect()
    }

    /// A mistake in the value: shown there, or at its key when the value is long.
    pub fn tell(&self, mistakes: &mut Vec<Mistake>, message: impl Into<String>) {
        let spot = if self.node.one_line { self.node.spot } else { self.key };
        mistakes.push(spot.says(message));
    }

    fn expects(&self, mistakes: &mut Vec<Mistake>, what: &str, hint: &str) {
        if !matches!(self.node.what, What::Broken) {
            self.tell(mistakes, format!("`{}` must be {what}, not {}{hint}", self.path, kind(self.node)));
        }
    }
}

/// Whether a key has no value.
pub fn is_nothing(node: &Node) -> bool {
    matches!(word(node), Some(Word::Nothing))
}

/// A word by the core schema of YAML 1.2, in which `yes` and `on` are texts.
fn word(node: &Node) -> Option<Word<'_>> {
    let What::Scalar { text, plain } = &node.what else { return None };
    Some(match text.as_str() {
        text if !plain => Word::Text(text),
        "" | "~" | "null" | "Null" | "NULL" => Word::Nothing,
        "true" | "True" | "TRUE" => Word::Truth(true),
        "false" | "False" | "FALSE" => Word::Truth(false),
        text if is_number(text) => Word::Number(text),
        text => Word::Text(text),
    })
}

fn is_number(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    let special = [".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"].contains(&bare);
    let other = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0o"));
    let other = other.is_some_and(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_hexdigit()));
    // `inf`, `infinity` and `nan` are numbers to Rust, and texts to YAML.
    let starts = bare.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    special || other || (starts && bare.parse::<f64>().is_ok())
}

/// What stands there, for the end of a sentence.
pub fn kind(node: &Node) -> String {
    match (&node.what, word(node)) {
        (What::List(_), _) => "a list".to_owned(),
        (What::Map(_), _) => "keys and values".to_owned(),
        (What::Scalar { text, .. }, Some(Word::Text(_))) => format!("the text {}", shown(text)),
        (What::Scalar { text, .. }, Some(Word::Number(_))) => format!("the number {}", shown(text)),
        (What::Scalar { text, .. }, Some(Word::Truth(_))) => shown(text),
        _ => "nothing".to_owned(),
    }
}
