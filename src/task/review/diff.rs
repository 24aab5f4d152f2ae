//! A unified diff as data: which files, which hunks, which lines on which side.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::{Side, parse};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Added,
    Modified,
    Deleted,
    Renamed,
    Copied,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    Context,
    Added,
    Deleted,
}

/// A line of a hunk with its numbers; `old` is missing for added lines, `new` for deleted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub kind: LineKind,
    pub old: Option<u32>,
    pub new: Option<u32>,
    /// Without the newline; bytes that are no UTF-8 are replaced.
    pub text: String,
}

impl Line {
    /// Its number on a side. A line that has one can be commented on there.
    pub fn number(&self, side: Side) -> Option<u32> {
        match side {
            Side::Left => self.old,
            Side::Right => self.new,
        }
    }
}

/// Lines that stand together. The counts are those of `lines`, also when the header claimed more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    pub old_start: u32,
    pub old_lines: u32,
    pub new_start: u32,
    pub new_lines: u32,
    pub lines: Vec<Line>,
}

impl Hunk {
    /// The line numbers on a side. A side without lines starts, as git counts, at the line before.
    pub fn span(&self, side: Side) -> Range<u32> {
        let (start, lines) = match side {
            Side::Left => (self.old_start, self.old_lines),
            Side::Right => (self.new_start, self.new_lines),
        };
        let start = if lines == 0 { start.saturating_add(1) } else { start };
        start..start.saturating_add(lines)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    pub old_path: Option<String>,
    /// `None` when the file is gone.
    pub new_path: Option<String>,
    pub status: Status,
    pub binary: bool,
    /// A commit of another repository; its one line is no line of a file.
    pub submodule: bool,
    pub hunks: Vec<Hunk>,
    pub added: u32,
    pub deleted: u32,
    /// The bytes of this file's part in the input.
    pub range: Range<usize>,
}

impl FileDiff {
    /// The name that GitHub knows the file by in this diff.
    pub fn path(&self) -> &str {
        self.new_path.as_deref().or(self.old_path.as_deref()).unwrap_or_default()
    }

    /// The hunk in which a line of a side is.
    pub fn hunk_of(&self, side: Side, line: u32) -> Option<&Hunk> {
        self.hunks.iter().find(|hunk| hunk.span(side).contains(&line))
    }

    /// The numbers of changed lines: added ones on the right, deleted ones on the left.
    pub fn changed(&self, side: Side) -> impl Iterator<Item = u32> {
        let lines = self.hunks.iter().flat_map(|hunk| &hunk.lines);
        lines.filter(|line| line.kind != LineKind::Context).filter_map(move |line| line.number(side))
    }

    /// About where a line of one side is on the other.
    pub fn across(&self, from: Side, line: u32) -> u32 {
        let to = match from {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        };
        let mut shift = 0;
        for hunk in &self.hunks {
            let (here, there) = (hunk.span(from), hunk.span(to));
            if line < here.start {
                break;
            }
            if here.contains(&line) {
                let mut near = there.start;
                for row in &hunk.lines {
                    near = row.number(to).unwrap_or(near);
                    if row.number(from) == Some(line) {
                        break;
                    }
                }
                return near.max(1);
            }
            shift = i64::from(there.end) - i64::from(here.end);
        }
        u32::try_from((i64::from(line) + shift).max(1)).unwrap_or(line)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    pub files: Vec<FileDiff>,
    by_path: HashMap<String, usize>,
}

impl Diff {
    pub fn parse(bytes: &[u8]) -> Self {
        let files = parse::files(bytes);
        let mut by_path = HashMap::new();
        let places = || files.iter().enumerate();
        for (index, file) in places().filter(|(_, file)| file.new_path.is_some()) {
            by_path.entry(file.path().to_owned()).or_insert(index);
        }
        for (index, file) in places().filter(|(_, file)| file.new_path.is_none()) {
            by_path.entry(file.path().to_owned()).or_insert(index);
        }
        Self { files, by_path }
    }

    /// The file of this name: as it is called now, or was before it was deleted.
    pub fn file(&self, path: &str) -> Option<&FileDiff> {
        self.position(path).map(|index| &self.files[index])
    }

    /// Where in `files` it is.
    pub fn position(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// Old names to new ones.
    pub fn renames(&self) -> BTreeMap<String, String> {
        let renamed = self.files.iter().filter(|file| file.status == Status::Renamed);
        renamed.filter_map(|file| Some((file.old_path.clone()?, file.new_path.clone()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n\
        @@ -2,3 +2,4 @@\n a\n-b\n+B\n+C\n d\n\
        @@ -20,2 +20,0 @@\n-k\n-l\n\
        @@ -30,0 +30,1 @@\n+n\n\
        diff --git a/y b/y\ndeleted file mode 100644\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-y\n\
        diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n";

    #[test]
    fn files_are_found_by_the_name_they_have() {
        let diff = Diff::parse(DIFF.as_bytes());
        assert_eq!(diff.file("x").map(FileDiff::path), Some("x"));
        assert_eq!(diff.file("y").map(|it| (it.path(), it.status)), Some(("y", Status::Deleted)));
        assert_eq!(diff.position("new"), Some(2));
        assert_eq!(diff.file("old"), None);
        assert_eq!(diff.renames(), BTreeMap::from([("old".to_owned(), "new".to_owned())]));
    }

    #[test]
    fn lines_are_found_on_the_other_side() {
        let diff = Diff::parse(DIFF.as_bytes());
        let file = diff.file("x").unwrap();
        for (left, right) in [(1, 1), (2, 2), (3, 2), (4, 5), (10, 11), (20, 21), (21, 21), (25, 24), (40, 40)] {
            assert_eq!(file.across(Side::Left, left), right, "left {left}");
        }
        for (right, left) in [(1, 1), (3, 3), (4, 3), (5, 4), (11, 10), (24, 25), (30, 31), (31, 31)] {
            assert_eq!(file.across(Side::Right, right), left, "right {right}");
        }
        assert_eq!(file.changed(Side::Right).collect::<Vec<_>>(), [3, 4, 30]);
        assert_eq!(file.changed(Side::Left).collect::<Vec<_>>(), [3, 20, 21]);
        assert!(file.hunk_of(Side::Right, 21).is_none());
        assert!(file.hunk_of(Side::Left, 21).is_some());
    }
}
