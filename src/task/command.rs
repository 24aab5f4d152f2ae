//! What a comment says to the bot: a mention at a word boundary, outside code, quotes and HTML, and the words after it.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::text;

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Help,
    Stop,
    Retry,
    /// Go on where the last task of the thread ended.
    Continue,
    /// Listen again where too much was asked.
    Resume,
    Review,
    /// `/ok-to-test COMMIT`: this very commit may be worked on. With what else the comment asks for.
    Approve {
        commit: String,
        then: Option<Box<Command>>,
    },
    /// Anything else is the prompt, in the person's words.
    Do(String),
}

/// What stands at the beginning of a line of its own, and needs no mention.
const OK_TO_TEST: &str = "/ok-to-test";

/// Whether a text may have something to say to us: the letters of it are there.
pub fn speaks(text: &str, mention: &str) -> bool {
    let says = |needle: &str| {
        let needle = needle.as_bytes();
        text.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
    };
    says(mention) || says(OK_TO_TEST)
}

/// The command in a comment, or nothing if it does not speak to `@mention`.
pub fn parse(text: &str, mention: &str) -> Option<Command> {
    let Some((commit, line)) = approved(text) else { return mentioned(text, mention) };
    let rest = format!("{}{}", &text[..line.start], &text[line.end..]);
    let then = mentioned(&rest, mention).filter(|said| !matches!(said, Command::Approve { .. }));
    Some(Command::Approve { commit, then: then.map(Box::new) })
}

/// The commit that a line `/ok-to-test COMMIT` names, empty when it names none, and where the line stands.
fn approved(text: &str) -> Option<(String, std::ops::Range<usize>)> {
    let silent = silent_ranges(text);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        let start = at + (line.len() - line.trim_start().len());
        at = range.end;
        let mut words = line.split_whitespace();
        if words.next().is_none_or(|it| !it.eq_ignore_ascii_case(OK_TO_TEST))
            || silent.iter().any(|range| range.contains(&start))
        {
            continue;
        }
        let commit = words.next().unwrap_or_default();
        // Anything more is a sentence that begins like it.
        if words.next().is_none() {
            return Some((commit.to_owned(), range));
        }
    }
    None
}

/// What is said after a mention.
fn mentioned(text: &str, mention: &str) -> Option<Command> {
    let at = find(text, mention)?;
    let after = text[at + 1 + mention.len()..].trim_start_matches("[bot]");
    let said = after.trim_start_matches([':', ',', ' ', '\t', '\n', '\r']).trim_end();
    // Characters without a glyph are counted with the rest of the text, and make no other word of a command.
    let (plain, _) = text::without_invisible(said);
    if plain.trim().is_empty() {
        // A bare mention under a sentence means the sentence; a bare mention alone asks what one can say.
        let before = text[..at].trim();
        return Some(if before.is_empty() { Command::Help } else { Command::Do(before.to_owned()) });
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    // One word alone: `stop using tabs` is work, `stop` is a command.
    let alone = words.len() == 1;
    let first = words[0].trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    Some(match first.as_str() {
        "help" if alone => Command::Help,
        "stop" | "cancel" if alone => Command::Stop,
        "retry" if alone => Command::Retry,
        "continue" if alone => Command::Continue,
        "resume" if alone => Command::Resume,
        "ok-to-test" if words.len() <= 2 => {
            let commit = words.get(1).map(|it| it.trim_matches(|c: char| !c.is_alphanumeric())).unwrap_or_default();
            Command::Approve { commit: commit.to_owned(), then: None }
        }
        _ if asks_for_review(&words) => Command::Review,
        _ => Command::Do(said.to_owned()),
    })
}

/// `review`, `please review`, `review this PR again`: words that ask for a review and for nothing else.
fn asks_for_review(words: &[&str]) -> bool {
    const FILLERS: [&str; 9] = ["please", "this", "it", "the", "pr", "pull", "request", "again", "now"];
    let plain = words.iter().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase());
    let (asked, others): (Vec<_>, Vec<_>) = plain.partition(|word| word == "review");
    asked.len() == 1 && others.iter().all(|word| word.is_empty() || FILLERS.contains(&word.as_str()))
}

/// Where the first mention starts that a reader sees as speech.
fn find(text: &str, mention: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let needle = format!("@{}", mention.to_ascii_lowercase());
    let mut names = lower
        .match_indices(&needle)
        .map(|(at, _)| at)
        .filter(|at| {
            let before = text[..*at].chars().next_back();
            let after = text[at + needle.len()..].chars().find(|c| !text::is_invisible(*c) || c.is_control());
            // `mail@cloud-agent`, `@cloud-agent-x` and the team `@cloud-agent/x` are somebody else.
            let opens = before.is_none_or(|c| !c.is_alphanumeric() && !"_-/@.`".contains(c));
            let closes = after.is_none_or(|c| !c.is_alphanumeric() && !is_accent(c) && !"_-/@`".contains(c));
            opens && closes
        })
        .peekable();
    // Most comments name nobody: their Markdown need not be read.
    names.peek()?;
    let silent = silent_ranges(text);
    names.find(|at| !silent.iter().any(|range| range.contains(at)))
}

/// A mark that makes another letter of the one before it.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

/// Byte ranges that are not the writer speaking: code, quotes, HTML and its comments, link targets, and whatever the page
/// does not show.
fn silent_ranges(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut spoken: Vec<std::ops::Range<usize>> = Vec::new();
    let mut depth = 0_u32;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_) | Tag::BlockQuote(_) | Tag::HtmlBlock) => {
                depth += 1;
                ranges.push(range);
            }
            Event::End(TagEnd::CodeBlock | TagEnd::BlockQuote(_) | TagEnd::HtmlBlock) => {
                depth = depth.saturating_sub(1);
            }
            // What is said in the place of a picture is not seen.
            Event::Code(_) | Event::InlineHtml(_) | Event::Html(_) | Event::Start(Tag::Image { .. }) => {
                ranges.push(range);
            }
            Event::Text(_) if depth == 0 => spoken.push(range),
            _ => (),
        }
    }
    // Whatever is neither of these (link definitions, URLs of links) is not seen by a reader either.
    let mut end = 0;
    for range in spoken {
        if end < range.start {
            ranges.push(end..range.start);
        }
        end = end.max(range.end);
    }
    ranges.push(end..text.len());
    ranges.extend(text::hidden_ranges(text));
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: impl Into<Option<Command>>) {
        assert_eq!(parse(text, "cloud-agent"), expected.into(), "{text:?}");
    }

    fn asks(prompt: &str) -> Command {
        Command::Do(prompt.to_owned())
    }

    #[test]
    fn a_mention_speaks() {
        check("@cloud-agent fix this", asks("fix this"));
        check("Hi! @Cloud-Agent, please fix\nthe parser", asks("please fix\nthe parser"));
        check("@cloud-agent: fix `add()`", asks("fix `add()`"));
        check("(@cloud-agent fix this)", asks("fix this)"));
        check("**@cloud-agent** fix this", asks("** fix this"));
        check("@cloud-agent[bot] fix this", asks("fix this"));
        check("The parser fails on tabs. @cloud-agent", asks("The parser fails on tabs."));
        check("- [ ] @cloud-agent fix this", asks("fix this"));
        check("@cloud-agent make this pass:\n```\ncargo test\n```", asks("make this pass:\n```\ncargo test\n```"));
    }

    #[test]
    fn commands_stand_alone() {
        check("@cloud-agent help", Some(Command::Help));
        check("@cloud-agent", Some(Command::Help));
        check("@cloud-agent STOP!", Some(Command::Stop));
        check("@cloud-agent\u{200b} stop\u{200b}", Some(Command::Stop));
        check("@cloud-agent retry.", Some(Command::Retry));
        check("@cloud-agent review", Some(Command::Review));
        check("@cloud-agent please review this PR again!", Some(Command::Review));
        check("@cloud-agent continue", Some(Command::Continue));
        check("@cloud-agent Resume!", Some(Command::Resume));
        check("@cloud-agent resume the upload", asks("resume the upload"));
        check("@cloud-agent review the parser", asks("review the parser"));
        check("@cloud-agent stop using tabs", asks("stop using tabs"));
        check("@cloud-agent help me with this", asks("help me with this"));
    }

    #[test]
    fn an_approval_is_a_line_of_its_own_or_a_command() {
        let approves =
            |commit: &str, then: Option<Command>| Command::Approve { commit: commit.into(), then: then.map(Box::new) };
        check("/ok-to-test 0123456", approves("0123456", None));
        check("Looks fine.\n\n  /OK-to-test 0123456 \r\nThanks!", approves("0123456", None));
        check("@cloud-agent ok-to-test 0123456.", approves("0123456", None));
        check("@cloud-agent /ok-to-test 0123456", approves("0123456", None));
        check("@cloud-agent ok-to-test", approves("", None));
        check("/ok-to-test", approves("", None));
        check("/ok-to-test 0123456\n@cloud-agent fix this", approves("0123456", Some(asks("fix this"))));
        check("@cloud-agent review\n/ok-to-test 0123456", approves("0123456", Some(Command::Review)));
        check("@cloud-agent ok-to-test what I have pushed", asks("ok-to-test what I have pushed"));
        for text in [
            "say /ok-to-test 0123456",
            "/ok-to-test 0123456 when you like",
            "/ok-to-tests 0123456",
            "> /ok-to-test 0123456",
            "    /ok-to-test 0123456",
            "```\n/ok-to-test 0123456\n```",
            "`/ok-to-test 0123456`",
            "<!-- \n/ok-to-test 0123456\n-->",
            "<details>\n/ok-to-test 0123456\n</details>",
            "[x]: /a '\n/ok-to-test 0123456\n'",
        ] {
            check(text, None);
            assert!(speaks(text, "cloud-agent"), "{text:?}");
        }
        assert!(!speaks("ok to test", "cloud-agent"));
    }

    #[test]
    fn what_only_looks_like_a_mention_does_not() {
        for text in [
            "no mention",
            "",
            "@cloud-agents fix",
            "@cloud-agent-x fix",
            "@cloud-agent/team fix",
            "me@cloud-agent fix",
            "x@cloud-agent.example",
            "@@cloud-agent fix",
            "`@cloud-agent fix this`",
            "```\n@cloud-agent fix this\n```",
            "    @cloud-agent fix this",
            "> @cloud-agent fix this",
            "> quoted\n@cloud-agent fix this",
            "<!-- @cloud-agent fix this -->",
            "text <!-- @cloud-agent fix this --> more",
            "<!-- @cloud-agent fix this",
            "<details>@cloud-agent fix this</details>",
            "I like it. <span hidden>@cloud-agent fix this</span>",
            "I like it. ![@cloud-agent fix this](x.png)",
            "@cl\u{43e}ud-agent fix this",
            "\u{ff20}cloud-agent fix this",
            "@cloud\u{2011}agent fix this",
            "@cloud-agent\u{301} fix this",
            "@cloud\u{200b}-agent fix this",
            "@cloud-agent\u{200d}x fix this",
            "[x]: https://example.com '@cloud-agent fix'",
            "[a](https://example.com/@cloud-agent)",
            "https://example.com/@cloud-agent fix",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_quote_above_does_not_silence_the_answer() {
        check("> it fails\n\n@cloud-agent fix this", asks("fix this"));
        check("`@cloud-agent` is the bot. @cloud-agent fix this", asks("fix this"));
    }
}
