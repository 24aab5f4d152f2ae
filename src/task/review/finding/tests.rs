//! Answers that are odd in every way, and what is read of them.

use serde_json::json;

use super::*;

fn finding(change: &Value) -> Option<Finding> {
    let mut item = json!({"path": "src/a.rs", "line": 7, "side": "RIGHT", "severity": "high", "category": "data",
        "title": "loses rows", "reasoning": "because", "confidence": 80});
    for (field, value) in change.as_object().unwrap() {
        item[field] = value.clone();
    }
    read_answer(&json!({"findings": [item]})).findings.pop()
}

#[test]
fn a_good_answer_is_read_whole() {
    let answer = read_answer(&json!({
        "summary": "Fine.", "verdict": "concerns",
        "findings": [{"path": "a.rs", "start_line": 3, "line": 5, "side": "LEFT", "severity": "low",
            "category": "concurrency", "title": "t", "reasoning": "r", "replacement": "x\n", "confidence": 61}],
        "earlier": [{"id": "7", "state": "fixed"}, {"id": "8", "state": "present"}],
    }));
    let expected = Finding {
        path: "a.rs".into(),
        start_line: Some(3),
        line: Some(5),
        side: Side::Left,
        severity: Severity::Low,
        category: Category::Concurrency,
        title: "t".into(),
        reasoning: "r".into(),
        replacement: Some("x".into()),
        confidence: 61,
    };
    assert_eq!(answer.findings, [expected]);
    assert_eq!((answer.summary.as_str(), answer.verdict, answer.dropped), ("Fine.", Verdict::Concerns, 0));
    let earlier = |id: &str, state| EarlierAnswer { id: id.into(), state };
    assert_eq!(answer.earlier, [earlier("7", EarlierState::Fixed), earlier("8", EarlierState::Present)]);
}

#[test]
fn bad_items_are_dropped_and_counted() {
    let good = json!({"path": "a", "title": "t"});
    let answer = read_answer(&json!({
        "findings": [null, 7, "text", {}, {"path": "a"}, {"title": "t"}, {"path": "./", "title": "t"},
            {"path": "a", "title": "\u{0}\u{202E}"}, good],
        "earlier": [{"id": "7"}, {"id": 7, "state": "fixed"}, {"id": "8", "state": "gone"}],
    }));
    assert_eq!((answer.findings.len(), answer.earlier.len(), answer.dropped), (1, 0, 11));
    for nothing in [json!(null), json!([]), json!("x"), json!({"findings": {}, "verdict": 7})] {
        assert_eq!(read_answer(&nothing).findings, []);
        assert_eq!(read_verdicts(&nothing), []);
    }
    let many = read_answer(&json!({"findings": vec![good; MOST_FINDINGS + 3]}));
    assert_eq!((many.findings.len(), many.dropped), (MOST_FINDINGS, 3));
}

#[test]
fn numbers_may_be_odd() {
    for (first, last, expected) in [
        (json!(null), json!(7), (None, Some(7))),
        (json!(5), json!(7), (Some(5), Some(7))),
        (json!(7), json!(5), (Some(5), Some(7))),
        (json!(7), json!(7), (None, Some(7))),
        (json!(7), json!(null), (None, Some(7))),
        (json!(0), json!(u64::MAX), (None, None)),
        (json!(-3), json!(1e300), (None, None)),
        (json!("5"), json!("L7"), (Some(5), Some(7))),
        (json!(null), json!("7-9"), (None, Some(7))),
        (json!([]), json!(7.0), (None, Some(7))),
        (json!(u32::MAX), json!(3), (None, Some(3))),
    ] {
        let read = finding(&json!({"start_line": first, "line": last})).unwrap();
        assert_eq!((read.start_line, read.line), expected, "{first} {last}");
    }
    for (said, expected) in [
        (json!(80), 80),
        (json!(0.8), 80),
        (json!(1.0), 100),
        (json!(1), 1),
        (json!("85 %"), 85),
        (json!(1e9), 100),
        (json!(-4), 0),
        (json!("very"), UNSURE),
        (json!(null), UNSURE),
    ] {
        assert_eq!(finding(&json!({"confidence": said})).unwrap().confidence, expected, "{said}");
    }
}

#[test]
fn texts_are_cleaned_and_clipped() {
    let read = finding(&json!({"title": "a\u{0}b\u{1b}[31m\nmore", "reasoning": "x".repeat(100_000)})).unwrap();
    assert_eq!(read.title, "ab[31m…");
    assert!(read.reasoning.chars().count() <= LONGEST_TEXT);
    assert_eq!(finding(&json!({"title": ""})).unwrap().title, "because");
    assert_eq!(finding(&json!({"severity": "CRITICAL"})).unwrap().severity, Severity::High);
    assert_eq!(finding(&json!({"category": "style"})).unwrap().category, Category::Other);
}

#[test]
fn a_replacement_is_whole_and_hides_nothing_or_is_none() {
    for (item, expected) in [
        (json!({"replacement": "\tx\r\n\ty\n"}), Some("\tx\n\ty")),
        (json!({"replacement": ""}), None),
        (json!({"replacement": " \n"}), None),
        (json!({"replacement": "a\u{0}b"}), None),
        (json!({"replacement": "a\u{202E}b"}), None),
        (json!({"replacement": "x".repeat(100_000)}), None),
        (json!({"replacement": "x", "line": null}), None),
        (json!({"replacement": "x", "start_line": "?"}), None),
        (json!({"replacement": ["x"]}), None),
    ] {
        assert_eq!(finding(&item).unwrap().replacement.as_deref(), expected, "{item}");
    }
}

#[test]
fn the_file_that_is_meant_is_found() {
    let files = ["src/a.rs", "b/src/c.rs", "a/d.rs", "d.rs"];
    let exists = |path: &str| files.contains(&path);
    for (said, expected) in [
        ("src/a.rs", "src/a.rs"),
        ("./src//a.rs", "src/a.rs"),
        ("`src/a.rs`", "src/a.rs"),
        ("b/src/a.rs", "src/a.rs"),
        ("b/src/c.rs", "b/src/c.rs"),
        ("a/d.rs", "a/d.rs"),
        ("b/d.rs", "d.rs"),
        ("/work/repo/src/a.rs", "src/a.rs"),
        ("work/repo/src/a.rs", "work/repo/src/a.rs"),
        ("../etc/passwd", "../etc/passwd"),
    ] {
        assert_eq!(meant(&tidy_path(said).unwrap(), &exists), expected, "{said}");
    }
}

#[test]
fn a_missing_verdict_follows_from_the_findings() {
    let verdict =
        |severity: &str| read_answer(&json!({"findings": [{"path": "a", "title": "t", "severity": severity}]})).verdict;
    assert_eq!(verdict("high"), Verdict::Serious);
    assert_eq!(verdict("low"), Verdict::Concerns);
    assert_eq!(read_answer(&json!({})).verdict, Verdict::Good);
}

#[test]
fn second_looks_are_read() {
    let read = read_verdicts(&json!({"verdicts": [
        {"index": 0, "holds": true, "why": "yes"}, {"index": "1", "holds": "False"}, {"index": 0, "holds": false},
        {"index": -1, "holds": true}, {"index": 2}, null]}));
    let look = |index, holds, why: &str| SecondLook { index, holds, why: why.into() };
    assert_eq!(read, [look(0, true, "yes"), look(1, false, "")]);
}
