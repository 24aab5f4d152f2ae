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
mod tests;
