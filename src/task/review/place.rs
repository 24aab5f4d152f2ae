//! Where each finding goes: the ladder, so that nothing is lost and GitHub refuses nothing.
//!
//! A review is all or nothing: one comment on a line that GitHub does not know fails the whole of it, and GitHub does not
//! say which. So a comment stands only on a line that is in a hunk of the diff of the very commit; for everything else
//! there is a lower rung, and every finding is in the table besides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::finding::meant;
use super::{Diff, FileDiff, Finding, LineKind, Severity, Side, Status};

/// What GitHub shows of a diff; it takes no review comments on what it does not show.
const FILES_SHOWN: usize = 300;
const LINES_SHOWN: usize = 20_000;
const BYTES_SHOWN: usize = 1_000_000;
const FILE_BYTES_SHOWN: usize = 500_000;

/// A comment on lines of the diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// Which one, in `Placed::findings`.
    pub finding: usize,
    pub path: String,
    /// Only where it is smaller than `line`, in the same hunk and on the same side.
    pub start_line: Option<u32>,
    pub line: u32,
    pub side: Side,
    /// The lines that the finding is about, where they are not in the diff. The comment has to say so.
    pub moved_from: Option<(Option<u32>, u32)>,
    /// The finding's replacement, where it can be taken over with a click.
    pub suggestion: Option<String>,
}

/// A line of a check run's annotations; any line of any file will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    pub finding: usize,
    pub path: String,
    pub start_line: u32,
    pub end_line: u32,
    pub level: Level,
}

/// GitHub's `annotation_level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Notice,
    Warning,
    Failure,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// How far down the ladder a finding came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    Line,
    NearestLine,
    File,
    Annotation,
    Table,
}

/// Every finding on exactly one rung, and in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placed {
    /// As given, with paths as the repository has them and the one side that a new or deleted file has.
    pub findings: Vec<Finding>,
    /// The rung of each finding.
    pub rungs: Vec<Rung>,
    /// For one review.
    pub inline: Vec<Inline>,
    /// Comments on a file as a whole: the finding and the path.
    pub files: Vec<(usize, String)>,
    pub annotations: Vec<Annotation>,
    /// All findings, the worst first.
    pub table: Vec<usize>,
}

/// Put each finding on the first rung that bears it. `head` gives a file at the head, if it is there and is text. At most
/// `limit_inline` comments, on lines and files together, worst and surest first; the rest become annotations.
pub fn place(
    findings: Vec<Finding>,
    diff: &Diff,
    head: &dyn Fn(&str) -> Option<String>,
    limit_inline: usize,
) -> Placed {
    let mut ground = Ground::new(diff, head);
    let mut placed = Placed { rungs: vec![Rung::Table; findings.len()], findings, ..Placed::default() };
    placed.table = (0..placed.findings.len()).collect();
    placed.table.sort_by_key(|index| Reverse(placed.findings[*index].weight()));

    for index in placed.table.clone() {
        let finding = &mut placed.findings[index];
        ground.name(finding);
        let room = placed.inline.len() + placed.files.len() < limit_inline;
        placed.rungs[index] = if room && let Some(comment) = ground.comment(index, finding) {
            match comment {
                Comment::Inline(inline) => {
                    let rung = if inline.moved_from.is_some() { Rung::NearestLine } else { Rung::Line };
                    placed.inline.push(inline);
                    rung
                }
                Comment::File(path) => {
                    placed.files.push((index, path));
                    Rung::File
                }
            }
        } else if let Some(annotation) = ground.annotation(index, finding) {
            placed.annotations.push(annotation);
            Rung::Annotation
        } else {
            Rung::Table
        };
    }
    placed
}

/// Give findings the names that their files have in this diff, or at the head. `place` does so itself; a ledger needs it
/// before.
pub fn name_files(findings: &mut [Finding], diff: &Diff, head: &dyn Fn(&str) -> Option<String>) {
    let mut ground = Ground::new(diff, head);
    for finding in findings {
        ground.name(finding);
    }
}

/// A suggestion as GitHub reads it. The fence is longer than any run of backticks inside, so that the code can't end it.
pub fn suggestion_block(replacement: &str) -> String {
    let longest = replacement.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    let newline = if replacement.is_empty() { "" } else { "\n" };
    format!("{fence}suggestion\n{replacement}{newline}{fence}\n")
}

enum Comment {
    Inline(Inline),
    File(String),
}

struct Ground<'a> {
    diff: &'a Diff,
    renames: BTreeMap<String, String>,
    shown: Vec<bool>,
    head: &'a dyn Fn(&str) -> Option<String>,
    /// What `head` said. Findings come many to a file.
    texts: HashMap<String, Option<String>>,
}

impl<'a> Ground<'a> {
    fn new(diff: &'a Diff, head: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { diff, renames: diff.renames(), shown: shown(diff), head, texts: HashMap::new() }
    }

    fn text(&mut self, path: &str) -> Option<&str> {
        if !self.texts.contains_key(path) {
            let text = (self.head)(path);
            self.texts.insert(path.to_owned(), text);
        }
        self.texts.get(path)?.as_deref()
    }

    /// Gives a finding the file's name in this diff, and the one side that a new or deleted file has.
    fn name(&mut self, finding: &mut Finding) {
        let diff = self.diff;
        let head = self.head;
        finding.path = meant(&finding.path, &|path| diff.file(path).is_some());
        if diff.file(&finding.path).is_none() {
            let gone = self.text(&finding.path).is_none();
            let renamed = self.renames.get(&finding.path).filter(|_| gone).cloned();
            finding.path = renamed.unwrap_or_else(|| meant(&finding.path, &|path| head(path).is_some()));
        }
        match diff.file(&finding.path).map(|file| file.status) {
            Some(Status::Added) => finding.side = Side::Right,
            Some(Status::Deleted) => finding.side = Side::Left,
            _ => (),
        }
    }

    fn comment(&mut self, index: usize, finding: &Finding) -> Option<Comment> {
        let position = self.diff.position(&finding.path).filter(|position| self.shown[*position])?;
        let file = &self.diff.files[position];
        let Some((start, line)) = finding.lines() else {
            return Some(Comment::File(file.path().to_owned()));
        };
        if file.binary || file.submodule {
            return Some(Comment::File(file.path().to_owned()));
        }
        let mut inline = Inline {
            finding: index,
            path: file.path().to_owned(),
            start_line: None,
            line,
            side: finding.side,
            moved_from: None,
            suggestion: None,
        };
        if let Some((start_line, line, side)) = in_diff(file, finding.side, start, line) {
            inline.start_line = start_line;
            inline.line = line;
            inline.side = side;
            let whole = start_line == finding.start_line;
            if let Some(replacement) = finding.replacement.as_ref().filter(|_| finding.side == Side::Right && whole) {
                let applies =
                    self.text(&finding.path).is_some_and(|text| applies(file, text, start, line, replacement));
                inline.suggestion = applies.then(|| replacement.clone());
            }
            return Some(Comment::Inline(inline));
        }
        let Some((line, side)) = nearest(file, finding.side, start, line) else {
            return Some(Comment::File(file.path().to_owned()));
        };
        inline.moved_from = Some((finding.start_line, inline.line));
        inline.line = line;
        inline.side = side;
        Some(Comment::Inline(inline))
    }

    /// On lines that are there at the head; what only the base has is shown where it was.
    fn annotation(&mut self, index: usize, finding: &Finding) -> Option<Annotation> {
        let last = u32::try_from(self.text(&finding.path)?.lines().count()).unwrap_or(u32::MAX).max(1);
        let (mut start, mut end) = finding.lines().unwrap_or((1, 1));
        if let Some(file) = self.diff.file(&finding.path).filter(|_| finding.side == Side::Left) {
            (start, end) = (file.across(Side::Left, start), file.across(Side::Left, end));
        }
        Some(Annotation {
            finding: index,
            path: finding.path.clone(),
            start_line: start.min(end).clamp(1, last),
            end_line: end.clamp(1, last),
            level: match finding.severity {
                Severity::High => Level::Failure,
                Severity::Medium => Level::Warning,
                Severity::Low => Level::Notice,
            },
        })
    }
}

/// The first rung: the finding's own lines, as GitHub is to be told them.
fn in_diff(file: &FileDiff, side: Side, start: u32, line: u32) -> Option<(Option<u32>, u32, Side)> {
    let hunk = file.hunk_of(side, line)?;
    let row = |number: u32| hunk.lines.iter().find(|row| row.number(side) == Some(number));
    let last = row(line)?;
    let first = row(start).filter(|_| start < line);
    // An unchanged line is on both sides; GitHub asks for such lines to be named by the right one.
    if let (Side::Left, LineKind::Context, Some(new)) = (side, last.kind, last.new) {
        let first = first.filter(|row| row.kind == LineKind::Context).and_then(|row| row.new);
        return Some((first, new, Side::Right));
    }
    Some((first.and_then(|row| row.number(side)), line, side))
}

/// The second rung: the changed line that is nearest to the finding's, if possible one that is still there.
fn nearest(file: &FileDiff, from: Side, start: u32, line: u32) -> Option<(u32, Side)> {
    [Side::Right, Side::Left].into_iter().find_map(|side| {
        let (start, line) =
            if side == from { (start, line) } else { (file.across(from, start), file.across(from, line)) };
        let away = |number: u32| start.saturating_sub(number).max(number.saturating_sub(line));
        file.changed(side).min_by_key(|number| (away(*number), *number)).map(|number| (number, side))
    })
}

/// Whether GitHub can put the replacement in place of these lines, and it changes these lines and nothing else.
fn applies(file: &FileDiff, text: &str, start: u32, line: u32, replacement: &str) -> bool {
    let Some(hunk) = file.hunk_of(Side::Right, line).filter(|hunk| hunk.span(Side::Right).contains(&start)) else {
        return false;
    };
    // Where line ends are mixed, GitHub changes all of them.
    let returns = text.matches("\r\n").count();
    if replacement.contains('\0') || (returns > 0 && returns != text.matches('\n').count()) {
        return false;
    }
    let bare = |line: &str| line.strip_suffix('\r').unwrap_or(line).to_owned();
    let in_diff = hunk.lines.iter().filter(|row| row.new.is_some_and(|number| (start..=line).contains(&number)));
    let in_diff: Vec<String> = in_diff.map(|row| bare(&row.text)).collect();
    let wanted = (line - start + 1) as usize;
    let at_head: Vec<String> = text.lines().skip(start as usize - 1).take(wanted).map(bare).collect();
    // A head that is not what the diff says is another commit.
    in_diff == at_head && !replacement.split('\n').map(bare).eq(at_head)
}

/// Of each file, whether GitHub shows its diff. Files that are too large by themselves leave room for the others.
fn shown(diff: &Diff) -> Vec<bool> {
    let (mut lines, mut bytes) = (0, 0);
    let mut fits = |(index, file): (usize, &FileDiff)| {
        let file_lines: usize = file.hunks.iter().map(|hunk| hunk.lines.len()).sum();
        if file_lines > LINES_SHOWN || file.range.len() > FILE_BYTES_SHOWN {
            return false;
        }
        lines += file_lines;
        bytes += file.range.len();
        index < FILES_SHOWN && lines <= LINES_SHOWN && bytes <= BYTES_SHOWN
    };
    diff.files.iter().enumerate().map(&mut fits).collect()
}

#[cfg(test)]
mod tests {
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
}
