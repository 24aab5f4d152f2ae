//! Which lines of a pull request can be commented on: those that its diff shows, read from git anew each time.

use crate::github::git::Bare;

/// Which of the two files of a diff: the old one or the new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Side {
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "LEFT" => Some(Self::Left),
            "RIGHT" => Some(Self::Right),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "LEFT",
            Self::Right => "RIGHT",
        }
    }
}

/// What a diff says about one file.
#[derive(Clone, Default, Debug)]
pub(crate) struct FileDiff {
    /// The name after the change, or of the deleted file.
    pub path: String,
    pub old_path: String,
    /// `added`, `removed`, `renamed` or `modified`.
    pub status: &'static str,
    pub hunks: Vec<Hunk>,
}

#[derive(Clone, Debug)]
pub(crate) struct Hunk {
    pub heading: String,
    pub rows: Vec<Row>,
    /// Line before which lines were added when nothing was deleted, as the heading counts: start and length.
    old: (u64, u64),
    new: (u64, u64),
}

/// One line of a hunk. A line that did not change has both numbers.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    old: Option<u64>,
    new: Option<u64>,
    text: String,
}

impl Row {
    fn number(&self, side: Side) -> Option<u64> {
        match side {
            Side::Left => self.old,
            Side::Right => self.new,
        }
    }
}

impl Bare {
    /// The files of a pull request: from where `head` left `base`, with three lines of context.
    pub fn changes(&self, base: &str, head: &str) -> Vec<FileDiff> {
        parse(&self.diff(base, head, 3))
    }

    /// Where a line of one commit is in another; None if it was changed or deleted.
    pub fn line_later(&self, from: &str, to: &str, path: &str, line: u64) -> Option<u64> {
        let moved = parse(&self.direct_diff(from, to));
        match moved.iter().find(|it| it.old_path == path) {
            Some(file) => file.line_later(line),
            None => Some(line),
        }
    }
}

impl FileDiff {
    /// The hunk and the row that show a line.
    pub fn find(&self, side: Side, line: u64) -> Option<(usize, usize)> {
        self.hunks.iter().enumerate().find_map(|(nth, hunk)| {
            let row = hunk.rows.iter().position(|it| it.number(side) == Some(line))?;
            Some((nth, row))
        })
    }

    /// Every line that the hunks show, by side: the new file's and the old one's where it did not change.
    pub fn lines(&self) -> impl Iterator<Item = (Side, u64)> {
        let rows = self.hunks.iter().flat_map(|it| &it.rows);
        rows.flat_map(|row| [Side::Left, Side::Right].into_iter().filter_map(|side| Some((side, row.number(side)?))))
    }

    /// The hunk from its heading down to a row, as GitHub puts it on a comment.
    pub fn excerpt(&self, (hunk, row): (usize, usize)) -> String {
        let hunk = &self.hunks[hunk];
        let rows = hunk.rows[..=row].iter().map(|it| it.text.as_str());
        std::iter::once(hunk.heading.as_str()).chain(rows).collect::<Vec<_>>().join("\n")
    }

    /// All hunks, as `patch` in the list of files; None for binary files and bare renames.
    pub fn patch(&self) -> Option<String> {
        let hunks = self.hunks.iter().map(|it| {
            std::iter::once(it.heading.as_str()).chain(it.rows.iter().map(|it| it.text.as_str())).collect::<Vec<_>>()
        });
        (!self.hunks.is_empty()).then(|| hunks.flatten().collect::<Vec<_>>().join("\n"))
    }

    /// Added and deleted lines.
    pub fn counts(&self) -> (usize, usize) {
        let rows = || self.hunks.iter().flat_map(|it| &it.rows);
        (rows().filter(|it| it.text.starts_with('+')).count(), rows().filter(|it| it.text.starts_with('-')).count())
    }

    fn line_later(&self, line: u64) -> Option<u64> {
        let mut shift = 0_i64;
        for hunk in &self.hunks {
            let (start, length) = hunk.old;
            // A hunk that only adds stands after its old line.
            let first = if length == 0 { start + 1 } else { start };
            if line < first {
                break;
            }
            if line < first + length {
                return None;
            }
            shift += hunk.new.1 as i64 - length as i64;
        }
        u64::try_from(line as i64 + shift).ok()
    }
}

/// Takes a patch apart. Lines are counted by the headings, since a deleted line may look like anything.
pub(crate) fn parse(patch: &str) -> Vec<FileDiff> {
    let mut files: Vec<FileDiff> = Vec::new();
    let mut lines = patch.split('\n').peekable();
    while let Some(line) = lines.next() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            // Of a change without a body, both names are the same.
            let name = names.get(names.len() / 2 + 1..).map(|it| plain_name(it, "b/")).unwrap_or_default();
            files.push(FileDiff { path: name.clone(), old_path: name, status: "modified", hunks: Vec::new() });
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if let Some(name) = line.strip_prefix("rename from ") {
            (file.status, file.old_path) = ("renamed", plain_name(name, ""));
        } else if let Some(name) = line.strip_prefix("rename to ") {
            file.path = plain_name(name, "");
        } else if line.starts_with("new file mode") {
            file.status = "added";
        } else if line.starts_with("deleted file mode") {
            file.status = "removed";
        } else if let Some(name) = line.strip_prefix("--- ").filter(|it| *it != "/dev/null") {
            file.old_path = plain_name(name, "a/");
            if file.status == "removed" {
                file.path.clone_from(&file.old_path);
            }
        } else if let Some(name) = line.strip_prefix("+++ ").filter(|it| *it != "/dev/null") {
            file.path = plain_name(name, "b/");
        } else if let Some((old, new)) = ranges(line) {
            let rows = take_rows(&mut lines, old, new);
            file.hunks.push(Hunk { heading: line.to_owned(), rows, old, new });
        }
    }
    files
}

fn take_rows<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    old: (u64, u64),
    new: (u64, u64),
) -> Vec<Row> {
    let (mut rows, mut at) = (Vec::new(), (old.0, new.0));
    let (mut left, mut added) = (old.1, new.1);
    while left + added > 0 || lines.peek().is_some_and(|it| it.starts_with('\\')) {
        let Some(line) = lines.next() else { break };
        let (in_old, in_new) = match line.as_bytes().first() {
            Some(b'-') => (true, false),
            Some(b'+') => (false, true),
            Some(b'\\') => (false, false),
            _ => (true, true),
        };
        rows.push(Row { old: in_old.then_some(at.0), new: in_new.then_some(at.1), text: line.to_owned() });
        at = (at.0 + u64::from(in_old), at.1 + u64::from(in_new));
        left = left.saturating_sub(u64::from(in_old));
        added = added.saturating_sub(u64::from(in_new));
    }
    rows
}

/// Start and length of both sides, from `@@ -1,4 +1,5 @@ …`.
fn ranges(heading: &str) -> Option<((u64, u64), (u64, u64))> {
    let (old, rest) = heading.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| match text.split_once(',') {
        Some((start, length)) => Some((start.parse().ok()?, length.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    };
    Some((range(old)?, range(new)?))
}

/// A name as git prints it in a patch: perhaps quoted, perhaps with a tab behind it.
fn plain_name(name: &str, prefix: &str) -> String {
    let name = name.trim_end_matches('\t');
    let Some(quoted) = name.strip_prefix('"').and_then(|it| it.strip_suffix('"')) else {
        return name.strip_prefix(prefix).unwrap_or(name).to_owned();
    };
    let mut out = Vec::new();
    let mut bytes = quoted.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        out.push(match escaped {
            None => byte,
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(digit @ b'0'..=b'3') => {
                let rest = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                rest.iter().fold(digit - b'0', |sum, it| sum.wrapping_mul(8).wrapping_add(it - b'0'))
            }
            Some(other) => other,
        });
    }
    let name = String::from_utf8_lossy(&out).into_owned();
    name.strip_prefix(prefix).map_or_else(|| name.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n one\n--- two\n+++ zwei\n three\n\
                         @@ -20 +20,2 @@ fn x()\n twenty\n+more\n\\ No newline at end of file\n\
                         diff --git a/old name b/new name\nrename from old name\nrename to new name\n\
                         diff --git a/p.png b/p.png\nnew file mode 100644\nBinary files /dev/null and b/p.png differ\n\
                         diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";

    #[test]
    fn a_patch_says_what_can_be_commented_on() {
        let files = parse(PATCH);
        let shown: Vec<_> = files.iter().map(|it| format!("{} {} {}", it.status, it.old_path, it.path)).collect();
        assert_eq!(shown, ["modified a a", "renamed old name new name", "added p.png p.png", "removed gone gone"]);
        let a = &files[0];
        assert_eq!((a.find(Side::Left, 2), a.find(Side::Right, 2)), (Some((0, 1)), Some((0, 2))));
        assert_eq!((a.find(Side::Right, 4), a.find(Side::Right, 21)), (None, Some((1, 1))));
        assert_eq!(a.excerpt((0, 1)), "@@ -1,3 +1,3 @@\n one\n--- two");
        assert_eq!((a.counts(), files[1].patch(), files[2].patch()), ((2, 1), None, None));
    }

    #[test]
    fn lines_move_with_what_is_above_them() {
        let patch = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -2,0 +3,2 @@\n+x\n+y\n@@ -5 +7,0 @@\n-z\n";
        let file = &parse(patch)[0];
        let later: Vec<_> = (1..=6).map(|it| file.line_later(it)).collect();
        assert_eq!(later, [Some(1), Some(2), Some(5), Some(6), None, Some(7)]);
    }
}
