//! What goes out: text that a model wrote loses secrets, foreign pictures, raw HTML, mentions of people and words that
//! close issues, and its links say where they lead. The model may be hijacked; what it says is published under the bot's
//! name.
//!
//! Not covered: a key that is spelled out in words, ciphered, compressed, or put together by code.

mod formats;
mod held;
mod links;
mod view;

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;

pub use held::{apart, at_home, carried, hold, hold_brought, hold_until};

use super::without_invisible;

const REDACTED: &str = "[redacted]";

/// Replace what looks like a key, and every key that we hold.
pub fn redact(text: &str) -> String {
    let mut found = held::find(text);
    found.extend(formats::find(text));
    without(text, found)
}

/// The same for a line of the log, where no key may stand, whichever task it was brought for.
pub fn redact_logged(text: &str) -> String {
    let mut found = held::find_any(text);
    found.extend(formats::find(text));
    without(text, found)
}

/// Replace every key that we hold and nothing else: fit for what must stay as it is otherwise.
pub fn redact_held(text: &str) -> String {
    without(text, held::find(text))
}

/// All strings of a value, each by itself, so that it stays the value that it is.
pub fn redact_json(value: &Value, redact: fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(redact(text)),
        Value::Array(items) => items.iter().map(|item| redact_json(item, redact)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, item)| (redact(name), redact_json(item, redact))).collect())
        }
        other => other.clone(),
    }
}

fn without(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.retain(|part| !part.is_empty());
    found.sort_by_key(|part| (part.start, part.end));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for part in found {
        if part.start >= at {
            out.push_str(&text[at..part.start]);
            out.push_str(REDACTED);
        }
        at = at.max(part.end);
    }
    out.push_str(&text[at..]);
    out
}

/// Make a model's Markdown fit to be posted.
pub fn outgoing(markdown: &str) -> String {
    /// What is taken out can bring out something else.
    const ROUNDS: usize = 4;
    // Trimmed first: what is indented code here would be something else without its indent.
    let mut text = without_invisible(markdown).0.trim().to_owned();
    for _ in 0..ROUNDS {
        let next = tamed(&text).trim().to_owned();
        if next == text {
            break;
        }
        text = next;
    }
    text
}

fn tamed(markdown: &str) -> String {
    let text = redact(&without_invisible(markdown).0);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut in_code = false;
    let mut links = links::Links::new(&text);
    let parser = Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES);
    edits.extend(parser.reference_definitions().iter().map(|(_, it)| (it.span.clone(), String::new())));
    for (event, range) in parser.into_offset_iter() {
        links.look(&event, &range);
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                in_code = true;
                edits.extend(undrawn(&text, &range, &kind));
            }
            Event::End(TagEnd::CodeBlock) => in_code = false,
            // An entity that GitHub would turn into the start of a mention or a reference.
            Event::Text(said) if !in_code && text[range.clone()].starts_with('&') && ["@", "#"].contains(&&*said) => {
                edits.push((range.start..range.start + 1, "&amp;".to_owned()));
            }
            Event::Text(_) if !in_code => {
                // Text comes in pieces, and what it refers to may stand in the next one.
                let following = text[range.end..].lines().next().unwrap_or_default();
                edits.extend(tame(&text[range.clone()], following).map(|tamed| (range, tamed)));
            }
            Event::Html(_) | Event::InlineHtml(_) => edits.push((range.clone(), text[range].replace('<', "&lt;"))),
            // Browsers and mail programs load pictures by themselves: a picture's address can carry data away.
            Event::Start(Tag::Image { .. }) => edits.push((range.start..range.start + 1, String::new())),
            _ => (),
        }
    }
    edits.extend(links.edits);
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (range, new) in edits {
        if at <= range.start {
            out.push_str(&text[at..range.start]);
            out.push_str(&new);
            at = range.end;
        }
    }
    out.push_str(&text[at..]);
    links::without_long_queries(&out)
}

/// The language of a block that GitHub would draw instead of showing it, where that is to be plain text: a picture can
/// load another from anywhere.
fn undrawn(text: &str, range: &Range<usize>, kind: &CodeBlockKind<'_>) -> Option<(Range<usize>, String)> {
    const DRAWN: [&str; 4] = ["mermaid", "geojson", "topojson", "stl"];
    let CodeBlockKind::Fenced(language) = kind else { return None };
    let drawn =
        language.split_whitespace().next().is_some_and(|it| DRAWN.iter().any(|name| it.eq_ignore_ascii_case(name)));
    let block = &text[range.clone()];
    let first = block.lines().next().filter(|_| drawn && block.contains("//"))?;
    let language = range.start + first.len() - first.trim_start_matches([' ', '`', '~']).len();
    Some((language..range.start + first.len(), "text".to_owned()))
}

/// Break mentions and closing words in plain text with an invisible joiner; `None` if there are none. `following` is what
/// comes after the text on its line.
fn tame(text: &str, following: &str) -> Option<String> {
    const JOINER: char = '\u{2060}';
    /// As far as a reference can be.
    const AHEAD: usize = 300;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        if word > 0 {
            let (said, after) = rest.split_at(word);
            let next = || after.chars().chain(following.chars()).take(AHEAD).collect::<String>();
            if closes(said) && refers(&next()) {
                // `fix⁠es`: reads the same, and orders nothing.
                let (head, tail) = said.split_at(said.len() - 1);
                out.extend([head, &JOINER.to_string(), tail]);
            } else {
                out.push_str(said);
            }
            rest = after;
            continue;
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
        if c == '@' && rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            out.push(JOINER);
        }
    }
    (out != text).then_some(out)
}

/// The words that close an issue when they stand before a reference to it.
fn closes(word: &str) -> bool {
    const WORDS: [&str; 9] = ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    WORDS.iter().any(|it| it.eq_ignore_ascii_case(word))
}

/// Whether an issue is named next: `#12`, `owner/repo#12`, `GH-12`, or its address.
fn refers(after: &str) -> bool {
    let next = after.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
    let next = next.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    next.contains('#') || next.starts_with("gh-") || next.contains("/issues/") || next.contains("/pull/")
}

#[cfg(test)]
mod tests;
