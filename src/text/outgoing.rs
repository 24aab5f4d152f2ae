//! What goes out: text that a model wrote loses secrets, foreign pictures, raw HTML, mentions of people and words that
//! close issues. The model may be hijacked; what it says is published under the bot's name.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag};

/// Beginnings of secrets, and how many characters must follow for it to be one. GitHub's tokens since 2026 are some 520
/// characters long and hold dots.
const SECRETS: &[(&str, usize)] = &[
    ("ghp_", 30),
    ("gho_", 30),
    ("ghu_", 30),
    ("ghs_", 30),
    ("ghr_", 30),
    ("github_pat_", 30),
    ("sk-ant-", 20),
    ("AKIA", 16),
];
const REDACTED: &str = "[redacted]";

/// Replace what looks like a secret.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    'next: while let Some(first) = rest.chars().next() {
        for (prefix, least) in SECRETS {
            if let Some(after) = rest.strip_prefix(prefix) {
                let length =
                    after.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c))).unwrap_or(after.len());
                if length >= *least {
                    out.push_str(REDACTED);
                    rest = &after[length..];
                    continue 'next;
                }
            }
        }
        if rest.starts_with("-----BEGIN") && rest.lines().next().is_some_and(|line| line.contains("PRIVATE KEY")) {
            out.push_str(REDACTED);
            let end =
                rest.find("-----END").map_or(rest.len(), |at| at + rest[at..].find('\n').unwrap_or(rest.len() - at));
            rest = &rest[end..];
            continue;
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// Make a model's Markdown fit to be posted.
pub fn outgoing(markdown: &str) -> String {
    let text = redact(markdown);
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut in_code = false;
    for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES).into_offset_iter()
    {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => in_code = false,
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
    out.trim().to_owned()
}

/// Break mentions and closing words in plain text with an invisible joiner; `None` if there are none. `following` is what
/// comes after the text on its line.
fn tame(text: &str, following: &str) -> Option<String> {
    const JOINER: char = '\u{2060}';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        if word > 0 {
            let (said, after) = rest.split_at(word);
            if closes(said) && refers(&format!("{after}{following}")) {
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
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_leave() {
        let long = format!("ghs_123_{}.{}.{}", "a".repeat(40), "b".repeat(380), "c".repeat(86));
        for secret in [long.as_str(), &format!("ghp_{}", "x".repeat(36)), &format!("sk-ant-api03-{}", "y".repeat(40))] {
            assert_eq!(redact(&format!("token: {secret} end")), "token: [redacted] end");
        }
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nafter";
        assert_eq!(redact(key), "[redacted]\nafter");
        assert_eq!(redact("ghs_short sk-ant-x"), "ghs_short sk-ant-x");
    }

    #[test]
    fn a_models_words_are_tamed() {
        for (input, expected) in [
            ("thanks @alice", "thanks @\u{2060}alice"),
            ("use `@alice` and\n```\n@alice fixes #1\n```", "use `@alice` and\n```\n@alice fixes #1\n```"),
            ("This fixes #12, see #13", "This fixe\u{2060}s #12, see #13"),
            ("Closes: a/b#1 and resolved GH-2", "Close\u{2060}s: a/b#1 and resolve\u{2060}d GH-2"),
            ("fix https://github.com/a/b/issues/1", "fi\u{2060}x https://github.com/a/b/issues/1"),
            ("a fix for the parser", "a fix for the parser"),
            ("hi &#64;alice", "hi &amp;#64;alice"),
            ("<!-- cloud-agent:task=1 --> hi", "&lt;!-- cloud-agent:task=1 --> hi"),
            ("![x](https://evil.example/?q=1)", "[x](https://evil.example/?q=1)"),
            ("plain **bold** text", "plain **bold** text"),
        ] {
            assert_eq!(outgoing(input), expected, "{input}");
        }
    }
}
