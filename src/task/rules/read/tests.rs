//! Good files and bad ones, with the place of every mistake.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::config::Dollars;

const EXAMPLE: &str = include_str!("../../../../docs/cloud-agent.yml");

/// `line:column: message`, one a line.
fn told(text: &str) -> String {
    let mistakes = read(text).expect_err(text);
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn check(text: &str, expected: &str) {
    assert_eq!(told(text), expected, "{text}");
}

#[test]
fn nothing_means_the_defaults() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "~", "review:\nfix: null\nmodel: ~\n", "\u{FEFF}", "{}"] {
        assert_eq!(read(text), Ok(Rules::default()), "{text:?}");
    }
}

#[test]
fn every_setting_is_read() {
    let rules = read(EXAMPLE).unwrap();
    assert_eq!(rules.review.on.len(), 4);
    assert!(rules.looks_at("src/main.rs") && !rules.looks_at("vendor/src/main.rs"));
    assert!(rules.review.takes_bot("renovate[bot]") && rules.fix.draft && rules.review.verify);
    assert_eq!(rules.model.as_deref(), Some("sonnet"));
    assert_eq!(rules.budget.run, Some(Dollars { micros: 3_000_000 }));
    let windows = read("\u{FEFF}review:\r\n  gate: True\r\ninstructions: |\r\n  a\r\n  b\r\n").unwrap();
    assert!(windows.review.gate);
    assert_eq!(windows.instructions, "a\nb");
    let emoji = read("instructions: \u{26A0}\u{FE0F} careful").unwrap();
    assert_eq!(emoji.instructions, "\u{26A0}\u{FE0F} careful");
}

#[test]
fn unknown_keys_are_told_with_what_was_meant() {
    check("reveiw:\n  on: []\n", "1:1: unknown key `reveiw`; did you mean `review`?");
    check("review:\n  gaet: true\n", "2:3: unknown key `gaet` under `review`; did you mean `gate`?");
    check("gate: true", "1:7: `gate` must hold keys and values, not `true`");
    check("verify: true", "1:1: unknown key `verify`; it belongs under `review`");
    check("gate: { files: 0 }", "1:16: `gate.files` must be a whole number from 1 to 10000, not `0`");
    check("gate: { file_mb: a }", "1:18: `gate.file_mb` must be a number, not the text `a`");
    check("fix: { model: x }", "1:8: unknown key `model` under `fix`; it belongs at the top of the file, not indented");
    check("review.on: []", "1:1: unknown key `review.on`; write `on` under `review`");
    check("ask: { x: 1 }", "1:8: unknown key `x` under `ask`; known are `who`");
    check("egress: [a.example]", "1:1: this version does not know `egress` yet");
    check(
        "fix:\n  ci: { attempts: 3 }\nbudget: { day: 40 }",
        "2:3: this version does not know `fix.ci` yet\n3:11: this version does not know `budget.day` yet",
    );
    check(
        "<<: { gate: true }",
        "1:1: unknown key `<<`; known are `review`, `fix`, `gate`, `ask`, `model`, `instructions`, `budget`",
    );
    check("model: a\nmodel: b\n", "2:1: `model` was given before, on line 1");
    check("? [a]\n: 1\n", "1:3: a key must be a word");
}

#[test]
fn wrong_values_are_told_with_what_is_expected() {
    check("- a", "1:1: the file must hold keys and values, not a list");
    check("hello", "1:1: the file must hold keys and values, not the text `hello`");
    check("review: true", "1:9: `review` must hold keys and values, not `true`");
    check("review:\n- on\n", "1:1: `review` must hold keys and values, not a list");
    check("review:\n  on: opened\n", "2:7: `review.on` must be a list such as `[one, two]`, not the text `opened`");
    check(
        "review: { on: [open, 3] }",
        "1:16: `review.on` does not know `open`; did you mean `opened`?\n1:22: `review.on` must be one of `opened`, `ready_for_review`, `synchronize`, `reopened`, not the number `3`",
    );
    check("review: { gate: yes }", "1:17: `review.gate` must be `true` or `false`, not the text `yes`");
    check("review:\n  gate:\n    a: b\n", "2:3: `review.gate` must be `true` or `false`, not keys and values");
    check(
        "review: { verdict: reject }",
        "1:20: `review.verdict` does not know `reject`; known are `comment`, `request_changes`, `approve`",
    );
    check("ask: { who: Everyone }", "1:13: `ask.who` does not know `Everyone`; did you mean `everyone`?");
    check("fix: { label: 12 }", "1:15: `fix.label` must be a text, not the number `12`; put it in quotes");
    check("fix: { label: '' }", "1:15: a label has 1 to 50 characters on one line");
    check("model: --danger", "1:8: `--danger` is no name of a model");
    check(
        "review: { bots: ['a b', '[bot]'] }",
        "1:18: `a b` is no login; write it such as `renovate[bot]`\n1:25: `[bot]` is no login; write it such as `renovate[bot]`",
    );
    let long = format!("instructions: |\n  {}\n", "ä".repeat(10_001));
    check(&long, "1:1: `instructions` has 10001 characters; at most 10000 are read");
}

#[test]
fn money_is_money() {
    for (text, why) in [
        ("0", "must be more than 0, and not `0`"),
        ("-1", "must be more than 0, and not `-1`"),
        ("0.001", "must be at least 0.01"),
        ("1e300", "must be more than 0, and not `1e300`"),
        (".nan", "must be more than 0, and not `.nan`"),
        (".inf", "must be more than 0, and not `.inf`"),
        ("nan", "must be dollars such as 3.00, not the text `nan`"),
        ("$3", "must be dollars such as 3.00, not the text `$3`"),
        ("'3'", "must be dollars such as 3.00, not the text `3`"),
        ("[3]", "must be dollars such as 3.00, not a list"),
    ] {
        check(&format!("budget: {{ run: {text} }}"), &format!("1:16: `budget.run` {why}"));
    }
    for (text, micros) in [("3", 3_000_000), ("+.5", 500_000), ("2.50", 2_500_000), ("1e1", 10_000_000)] {
        let rules = read(&format!("budget: {{ run: {text} }}")).unwrap();
        assert_eq!(rules.budget.run, Some(Dollars { micros }), "{text}");
    }
}

#[test]
fn patterns_are_looked_at() {
    check("review: { paths: [] }", "1:18: `review.paths` names nothing; leave it out to look at everything");
    check(
        "review: { paths: ['ok', '[a', '../x'] }",
        "1:25: `[a` is no pattern for paths: unclosed character class; missing ']'\n1:31: `../x` is no pattern for paths: write it from the root of the repository, without `.`, `..` and `//`",
    );
    check("review:\n  paths:\n    - *.rs\n", "3:7: `*.rs` is an alias to YAML, and none are read; put it in quotes");
    check(
        "review:\n  paths:\n    - !vendor/**\n",
        "3:7: `!vendor/**` is a tag to YAML, and none are read; put it in quotes",
    );
    check(
        "review: { paths: [src, !vendor/**, **/x] }",
        "1:24: `!vendor/**` is a tag to YAML, and none are read; put it in quotes\n1:36: `**/x` is an alias to YAML, and none are read; put it in quotes",
    );
    let many = format!("review:\n  paths: [{}]\n", "a, ".repeat(101));
    check(&many, "2:311: `review.paths` has 101 items; at most 100 are read");
}

#[test]
fn what_is_no_yaml_is_told_where() {
    check("review:\n\tgate: true\n", "2:2: a tab stands here; YAML is indented with spaces");
    check("model: a\n---\nmodel: b\n", "2:1: a second document starts here, but only one is read");
    check("a: [1,\nb: 2\n", "1:4: the `[` is never closed");
    check("model: \"x\n", "1:9: a quoted text is not closed, or not indented");
    check(
        "model: a\n  b: 2\n",
        "2:4: no value may stand here; is a line indented wrongly, or a text with `: ` not in quotes?",
    );
    check("model: @x\n", "1:8: no value starts with `@`; put it in quotes");
    check("model: `x`\n", "1:8: no value starts with `'`; put it in quotes");
    check("%YAML 1.2\n---\nmodel: x\n", "1:1: lines that start with `%` are not read");
    check(
        "model: &a x\nfix: { label: *a }\n",
        "1:8: `&a` is an anchor to YAML, and none are read\n2:15: `*a` is an alias to YAML, and none are read; put it in quotes",
    );
    check("model: !!str 3\n", "1:8: `!!str` is a tag to YAML, and none are read; put it in quotes");
    check("model: a\u{200B}b\n", "1:9: a character stands here that people don't see (U+200B)");
    check("model: \"\\u202E\"\n", "1:8: a character stands here that people don't see (U+202E)");
    check("model: a # x\rask: { who: everyone }\r\n", "1:13: a character stands here that people don't see (U+000D)");
    check(&"#\n".repeat(40_000), "1:1: the file is larger than 64 KB");
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_file() {
    check(
        "modle: x\nreview:\n  gate: 1\n  on: [oepned]\nask: { who: me }\nbudget: { run: 0 }\n",
        "1:1: unknown key `modle`; did you mean `model`?\n\
         3:9: `review.gate` must be `true` or `false`, not the number `1`\n\
         4:8: `review.on` does not know `oepned`; did you mean `opened`?\n\
         5:13: `ask.who` does not know `me`; known are `write`, `triage`, `read`, `everyone`\n\
         6:16: `budget.run` must be more than 0, and not `0`",
    );
}

#[test]
fn a_place_has_an_end() {
    let mistakes = read("fix: { draft: maybe }").unwrap_err();
    assert_eq!((mistakes[0].column, mistakes[0].end_column), (15, 20));
}

#[test]
fn bytes_may_be_no_text() {
    assert_eq!(read_bytes(EXAMPLE.as_bytes()), read(EXAMPLE));
    let mistakes = read_bytes(b"model: a\nfix: \xFF\n").unwrap_err();
    assert_eq!(mistakes[0].to_string(), "2:6: the file is not UTF-8 from here on");
}

#[test]
fn what_is_meant_to_hurt_does_not() {
    let again = |i: usize| vec![format!("*a{i}"); 10].join(", ");
    let laughs: Vec<String> = (1..20).map(|i| format!("a{i}: &a{i} [{}]", again(i - 1))).collect();
    let laughs = format!("a0: &a0 lol\n{}\n", laughs.join("\n"));
    let keys = (0..12_000).map(|i| format!("{i}:")).collect::<Vec<_>>().join("\n");
    let logins = format!("review: {{ bots: [{}] }}", "a, ".repeat(20_000));
    for text in [laughs, "[".repeat(60_000), "? ".repeat(30_000), "{a: ".repeat(15_000), keys, logins] {
        let start = Instant::now();
        assert!(read(&text).is_err());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?} for {}", start.elapsed(), &text[..40]);
    }
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let _ = (read(&text), read_bytes(&bytes));
    }

    #[test]
    fn no_slip_is_too_odd(at in 0..EXAMPLE.len(), cut in 0_usize..40, put in "[ \\t\\n:,#&*!|>'\"%@`{}\\[\\]a-z0-9.~-]{0,6}") {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        bytes.splice(at..(at + cut).min(bytes.len()), put.bytes());
        let text = String::from_utf8(bytes).unwrap();
        if let Err(mistakes) = read(&text) {
            for it in mistakes {
                let line = text.lines().nth(it.line as usize - 1).unwrap_or_default();
                prop_assert!(0 < it.column && it.column < it.end_column, "{}", it);
                prop_assert!(it.line as usize <= text.lines().count().max(1), "{}", it);
                prop_assert!(it.column as usize <= line.chars().count() + 1, "{}: {:?}", it, line);
            }
        }
    }
}
