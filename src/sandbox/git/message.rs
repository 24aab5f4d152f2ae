//! Commit messages as they are published: the agent's words, without what GitHub would take for an order.

use super::Identity;
use super::names::is_invisible;

const SUBJECT: usize = 72;
const LONGEST: usize = 8000;

/// Words that keep CI from starting, wherever they stand in a message.
const SKIPS: [&str; 6] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]", "***no_ci***"];

/// Words that close an issue when they stand before its number.
const CLOSES: [&str; 9] = ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];

/// A message that says what the agent said and orders nothing: no trailers but ours, no closed issues (that is the pull
/// request's business), no skipped CI, nothing invisible. `fallback` is used when nothing is left.
pub fn tidy_message(message: &str, fallback: &str, co_author: Option<&Identity>) -> String {
    let mut lines = words(message);
    if lines.is_empty() {
        lines = words(fallback);
    }
    let mut lines = lines.into_iter();
    let subject = lines.next().unwrap_or_else(|| "Changes".to_owned());
    let (subject, rest) = shorten(&subject);
    let mut text = subject;
    let body = rest.into_iter().chain(lines.skip_while(String::is_empty)).collect::<Vec<_>>().join("\n");
    if !body.is_empty() {
        text = format!("{text}\n\n{body}");
    }
    if let Some(person) = co_author {
        text = format!("{text}\n\nCo-authored-by: {} <{}>", person.name, person.email);
    }
    text + "\n"
}

/// The lines that may stay, without empty ones at either end.
fn words(message: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut length = 0;
    for line in message.replace("\r\n", "\n").replace('\r', "\n").lines() {
        let line = line.chars().filter(|c| (!c.is_control() || *c == '\t') && !is_invisible(*c)).collect::<String>();
        if is_trailer(&line) {
            continue;
        }
        let line = without_calls(&without_orders(&line));
        let line = line.trim_end();
        length += line.len() + 1;
        if length > LONGEST {
            break;
        }
        let doubled = line.is_empty() && lines.last().is_none_or(String::is_empty);
        if !doubled {
            lines.push(line.to_owned());
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// `Signed-off-by: …`, `Fixes: …` and the like. They are dropped wherever they stand: what is a trailer to git depends on
/// what follows, and ours follows.
fn is_trailer(line: &str) -> bool {
    let Some((key, value)) = line.trim_start().split_once(':') else { return false };
    let key = key.trim_end().to_ascii_lowercase();
    if CLOSES.contains(&key.as_str()) {
        // "Fix: the parser" is how many people begin a subject.
        return is_reference(value.trim());
    }
    let other = ["change-id", "cc", "skip-checks", "on-behalf-of", "link", "issue", "reverts", "gerrit-change"];
    let is_key = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_key && (key.ends_with("-by") || other.contains(&key.as_str()))
}

fn without_orders(line: &str) -> String {
    let mut line = line.to_owned();
    for skip in SKIPS {
        // Again and again: taking one out may join the halves of another.
        while let Some(at) = line.to_ascii_lowercase().find(skip) {
            line.replace_range(at..at + skip.len(), "");
        }
    }
    let words = line.split(' ').collect::<Vec<_>>();
    let closes = |i: usize| {
        let word =
            words[i].trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end_matches(':').to_ascii_lowercase();
        let next = words[i + 1..].iter().find(|w| !w.is_empty() && **w != ":");
        CLOSES.contains(&word.as_str()) && next.is_some_and(|next| is_reference(next.trim_start_matches(':')))
    };
    let tidy = (0..words.len()).map(|i| if closes(i) { "see" } else { words[i] });
    tidy.collect::<Vec<_>>().join(" ").trim_start_matches('\u{20}').to_owned()
}

/// `@alice` and `@team/alice` with a joiner that nobody sees, so that nobody is called. Addresses of mail call nobody.
fn without_calls(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut before = ' ';
    for c in line.chars() {
        if out.ends_with('@') && c.is_ascii_alphanumeric() && !before.is_alphanumeric() {
            out.push('\u{2060}');
        }
        if c != '@' {
            before = c;
        }
        out.push(c);
    }
    out
}

/// `#12`, `GH-12`, `owner/name#12`, or the address of an issue.
fn is_reference(word: &str) -> bool {
    let digit_after = |mark: &str| {
        let lower = word.to_ascii_lowercase();
        lower.match_indices(mark).any(|(at, _)| lower[at + mark.len()..].starts_with(|c: char| c.is_ascii_digit()))
    };
    digit_after("#") || digit_after("gh-") || digit_after("/issues/") || digit_after("/pull/")
}

/// Cut a long subject between words; the rest begins the body.
fn shorten(subject: &str) -> (String, Option<String>) {
    if subject.chars().count() <= SUBJECT {
        return (subject.to_owned(), None);
    }
    let limit = subject.char_indices().nth(SUBJECT - 1).map_or(subject.len(), |(at, _)| at);
    let cut = subject[..limit].rfind(' ').filter(|at| *at > limit / 2).unwrap_or(limit);
    (format!("{}…", subject[..cut].trim_end()), Some(format!("…{}\n", subject[cut..].trim_start())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_order_nothing() {
        let check = |input: &str, expected: &str| {
            assert_eq!(tidy_message(input, "Fallback", None), format!("{expected}\n"), "{input:?}");
        };
        check("Add a thing", "Add a thing");
        check("Add\r\n\r\n\r\n\r\nbody\r\n", "Add\n\nbody");
        check("", "Fallback");
        check("[skip ci]", "Fallback");
        check("Add [Skip CI] it", "Add  it");
        check("[skip [skip ci]ci] a", "a");
        check("Add\n\nSigned-off-by: Linus <l@x>\nCo-Authored-By: Claude <n@a>\nFixes: #3\nskip-checks: true", "Add");
        check("Fix: the parser", "Fix: the parser");
        check("fix(ui): it", "fix(ui): it");
        check("Fixes #12 and closes  o/r#3, resolves: GH-4", "see #12 and see  o/r#3, see GH-4");
        check("Fix it\n\n(closes https://github.com/o/r/issues/9)", "Fix it\n\nsee https://github.com/o/r/issues/9)");
        check("a\u{1b}[31mb\u{202e}c\u{200b}d\0", "a[31mbcd");
        check("Fixed 3 bugs", "Fixed 3 bugs");
        check("Thank @alice, @o/team and a@b.c (@@x)", "Thank @\u{2060}alice, @\u{2060}o/team and a@b.c (@@\u{2060}x)");
    }

    #[test]
    fn long_subjects_go_on_in_the_body() {
        let long = "word ".repeat(20);
        let text = tidy_message(&long, "x", None);
        let mut lines = text.lines();
        let subject = lines.next().unwrap_or_default();
        assert!(subject.chars().count() <= 72 && subject.ends_with("word…"), "{subject}");
        assert_eq!(lines.nth(1), Some("…word word word word word word"));
        let wide = "ü".repeat(100);
        assert_eq!(tidy_message(&wide, "x", None).lines().next().map(|l| l.chars().count()), Some(72));
    }

    #[test]
    fn the_one_trailer_is_ours() {
        let alice = Identity { name: "Alice".to_owned(), email: "1+alice@users.noreply.github.com".to_owned() };
        assert_eq!(
            tidy_message("Add\n\nReviewed-by: Bob <b@x>", "x", Some(&alice)),
            "Add\n\nCo-authored-by: Alice <1+alice@users.noreply.github.com>\n"
        );
    }
}
