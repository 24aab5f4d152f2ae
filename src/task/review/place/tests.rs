//! The ladder, rung by rung.

use super::*;
use crate::task::review::Category;

const HEAD: &str = "1\na\nB\nC\nd\n6\n7\n8\n9\nj\nL\n12\n";
const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n\
    @@ -2,3 +2,4 @@\n a\n-b\n+B\n+C\n d\n\
    @@ -8,4 +9,3 @@\n 9\n j\n-k\n-l\n+L\n\
    diff --git a/cut b/cut\n--- a/cut\n+++ b/cut\n@@ -1,3 +1,2 @@\n 1\n-2\n 3\n\
    diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-y\n-z\n\
    diff --git a/fresh b/fresh\nnew file mode 100644\n--- /dev/null\n+++ b/fresh\n@@ -0,0 +1,2 @@\n+f\n+g\n\
    diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n\
    diff --git a/pic b/pic\nindex 1..2 100644\nBinary files a/pic and b/pic differ\n";

fn head(path: &str) -> Option<String> {
    match path {
        "x" => Some(HEAD.to_owned()),
        "cut" => Some("1\n3\n".to_owned()),
        "fresh" => Some("f\ng\n".to_owned()),
        "new" | "other" => Some("o\np\n".to_owned()),
        _ => None,
    }
}

fn finding(path: &str, side: Side, start_line: Option<u32>, line: Option<u32>) -> Finding {
    Finding {
        path: path.into(),
        start_line,
        line,
        side,
        severity: Severity::Medium,
        category: Category::Correctness,
        title: "t".into(),
        reasoning: String::new(),
        replacement: None,
        confidence: 50,
    }
}

fn one(finding: Finding) -> Placed {
    place(vec![finding], &Diff::parse(DIFF.as_bytes()), &head, 10)
}

/// Where one finding went, in words.
fn shape(placed: &Placed) -> String {
    let start = |start: Option<u32>| start.map_or(String::new(), |it| format!("{it}-"));
    if let Some(it) = placed.inline.first() {
        let moved = it.moved_from.map_or(String::new(), |(from, line)| format!(" from {}{line}", start(from)));
        return format!("{} {} {}{}{moved}", it.path, it.side.name(), start(it.start_line), it.line);
    }
    if let Some((_, path)) = placed.files.first() {
        return format!("file {path}");
    }
    placed
        .annotations
        .first()
        .map_or("table".into(), |it| format!("note {} {}-{}", it.path, it.start_line, it.end_line))
}

#[test]
fn findings_stand_on_the_first_rung_that_bears_them() {
    use Side::*;
    for (path, side, start, line, expected) in [
        // Lines of the diff.
        ("x", Right, None, Some(3), "x RIGHT 3"),
        ("x", Right, Some(2), Some(5), "x RIGHT 2-5"),
        ("x", Right, None, Some(5), "x RIGHT 5"),
        ("x", Left, None, Some(3), "x LEFT 3"),
        ("x", Left, Some(10), Some(11), "x LEFT 10-11"),
        ("x", Right, Some(4), Some(11), "x RIGHT 11"),
        ("x", Right, Some(1), Some(3), "x RIGHT 3"),
        // Unchanged lines are named by the right side.
        ("x", Left, None, Some(4), "x RIGHT 5"),
        ("x", Left, Some(2), Some(4), "x RIGHT 2-5"),
        ("x", Left, Some(8), Some(9), "x RIGHT 9-10"),
        ("x", Left, Some(3), Some(4), "x RIGHT 5"),
        // Files that have one side only.
        ("gone", Right, None, Some(2), "gone LEFT 2"),
        ("fresh", Left, Some(1), Some(2), "fresh RIGHT 1-2"),
        // Names that are nearly right.
        ("b/x", Right, None, Some(3), "x RIGHT 3"),
        ("/work/repo/x", Right, None, Some(3), "x RIGHT 3"),
        // The nearest changed line.
        ("x", Right, None, Some(7), "x RIGHT 4 from 7"),
        ("x", Right, None, Some(8), "x RIGHT 11 from 8"),
        ("x", Right, Some(6), Some(8), "x RIGHT 4 from 6-8"),
        ("x", Right, None, Some(4_000_000), "x RIGHT 11 from 4000000"),
        ("x", Left, None, Some(1), "x RIGHT 3 from 1"),
        ("cut", Right, None, Some(90), "cut LEFT 2 from 90"),
        ("gone", Left, None, Some(9), "gone LEFT 2 from 9"),
        // Files without lines, and findings without.
        ("new", Right, None, Some(1), "file new"),
        ("old", Right, None, Some(1), "file new"),
        ("pic", Right, None, Some(1), "file pic"),
        ("x", Right, None, None, "file x"),
        // Outside of the diff.
        ("other", Right, Some(2), Some(9), "note other 2-2"),
        ("b/other", Right, None, None, "note other 1-1"),
        ("nowhere", Right, None, Some(3), "table"),
        ("../etc/passwd", Right, None, Some(3), "table"),
    ] {
        let placed = one(finding(path, side, start, line));
        assert_eq!(shape(&placed), expected, "{path} {side:?} {start:?} {line:?}");
        assert_eq!(placed.table, [0]);
    }
}

#[test]
fn a_suggestion_is_made_only_where_it_applies() {
    use Side::*;
    for (path, side, start, line, replacement, made) in [
        ("x", Right, None, 3, "BB", true),
        ("x", Right, Some(3), 4, "one line for two", true),
        ("x", Right, Some(2), 5, "a\nB\nC\nD", true),
        ("x", Right, None, 3, "B", false),
        ("x", Right, Some(4), 11, "across hunks", false),
        ("x", Right, Some(1), 3, "starts outside", false),
        ("x", Right, None, 7, "moved", false),
        ("x", Left, None, 3, "left", false),
        ("x", Left, None, 4, "unchanged, but of the base", false),
        ("gone", Right, None, 1, "gone", false),
        ("x", Right, None, 3, "n\0l", false),
    ] {
        let mut it = finding(path, side, start, Some(line));
        it.replacement = Some(replacement.into());
        let placed = one(it);
        assert_eq!(placed.inline[0].suggestion.as_deref(), made.then_some(replacement), "{path} {replacement}");
    }
}

#[test]
fn a_suggestion_needs_the_head_of_the_diff_and_even_line_ends() {
    let with = |text: &str| {
        let text = text.to_owned();
        let mut it = finding("x", Side::Right, None, Some(3));
        it.replacement = Some("BB".into());
        let placed = place(vec![it], &Diff::parse(DIFF.as_bytes()), &move |_| Some(text.clone()), 1);
        placed.inline[0].suggestion.is_some()
    };
    assert!(with(HEAD));
    assert!(with(&HEAD.replace('\n', "\r\n")));
    assert!(!with(&HEAD.replacen('\n', "\r\n", 3)));
    assert!(!with(&HEAD.replace('B', "another commit")));
    assert!(!with("1\na\n"));
}

#[test]
fn the_worst_and_surest_are_said_on_the_lines() {
    let it = |severity, confidence| Finding { severity, confidence, ..finding("x", Side::Right, None, Some(3)) };
    let (low, medium, high) = (Severity::Low, Severity::Medium, Severity::High);
    let mut findings = vec![it(low, 99), it(medium, 10), it(high, 1), it(medium, 80)];
    findings[3].line = None;
    findings[1] = Finding { side: Side::Left, line: Some(11), ..findings[1].clone() };
    let placed = place(findings, &Diff::parse(DIFF.as_bytes()), &head, 2);
    assert_eq!(placed.table, [2, 3, 1, 0]);
    assert_eq!(placed.rungs, [Rung::Annotation, Rung::Annotation, Rung::Line, Rung::File]);
    let notes: Vec<_> = placed.annotations.iter().map(|it| (it.finding, it.start_line, it.level.name())).collect();
    assert_eq!(notes, [(1, 10, "warning"), (0, 3, "notice")]);
    let none = place(vec![finding("gone", Side::Left, None, Some(1))], &Diff::parse(DIFF.as_bytes()), &head, 0);
    assert_eq!(none.rungs, [Rung::Table], "there is no line at the head to annotate");
}

#[test]
fn what_github_does_not_show_takes_no_comment() {
    let file = |name: String, lines: usize, line: &str| {
        let body = format!("+{line}\n").repeat(lines);
        format!(
            "diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{lines} @@\n{body}"
        )
    };
    let many: String = (0..302).map(|index| file(format!("f{index}"), 1, "x")).collect();
    let large = file("lines".into(), LINES_SHOWN + 1, "x") + &file("bytes".into(), 6, &"x".repeat(100_000)) + &many;
    let diff = Diff::parse(large.as_bytes());
    for (path, expected) in [
        ("lines", Rung::Annotation),
        ("bytes", Rung::Annotation),
        ("f0", Rung::Line),
        ("f297", Rung::Line),
        ("f298", Rung::Annotation),
    ] {
        let placed = place(vec![finding(path, Side::Right, None, Some(1))], &diff, &|_| Some("x\n".into()), 9);
        assert_eq!(placed.rungs, [expected], "{path}");
    }
    let wide: String = (0..12).map(|index| file(format!("w{index}"), 1, &"x".repeat(100_000))).collect();
    let diff = Diff::parse(wide.as_bytes());
    assert_eq!(shown(&diff).iter().filter(|it| **it).count(), 9);
}

#[test]
fn code_can_not_end_its_fence() {
    assert_eq!(suggestion_block("a"), "```suggestion\na\n```\n");
    assert_eq!(suggestion_block(""), "```suggestion\n```\n");
    assert_eq!(suggestion_block("````\nx"), "`````suggestion\n````\nx\n`````\n");
}
