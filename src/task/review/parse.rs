//! How git writes a diff, read byte by byte.
//!
//! As it comes from `--no-color --no-ext-diff --no-textconv --find-renames -U3 --full-index --src-prefix=a/ --dst-prefix=b/`.
//! The files come from a pull request, so anything may stand in them; what can't be read is passed over and never counts as
//! a line that can be commented on.

use super::diff::{FileDiff, Hunk, Line, LineKind, Status};

/// The files of a diff, in its order.
pub(super) fn files(bytes: &[u8]) -> Vec<FileDiff> {
    let mut parser = Parser::default();
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        parser.line(at, line.strip_suffix(b"\n").unwrap_or(line));
        at += line.len();
    }
    parser.end_file(at);
    parser.files
}

#[derive(Default)]
struct Parser {
    files: Vec<FileDiff>,
    file: Option<FileDiff>,
    /// Lines that the open hunk still has, by its header. Inside, `--- a` is a deleted line `-- a`.
    old_left: u32,
    new_left: u32,
}

impl Parser {
    fn line(&mut self, at: usize, line: &[u8]) {
        if (self.old_left > 0 || self.new_left > 0) && self.hunk_line(line) {
            return;
        }
        self.end_hunk();
        if let Some(rest) = line.strip_prefix(b"diff --git ") {
            self.end_file(at);
            let (old, new) = both_paths(rest);
            self.start_file(at, old, new);
        } else if let Some(path) = line.strip_prefix(b"diff --cc ").or_else(|| line.strip_prefix(b"diff --combined ")) {
            self.end_file(at);
            let path = path_of(path, b"");
            self.start_file(at, path.clone(), path);
        } else if let Some(file) = &mut self.file {
            if let Some(hunk) = line.strip_prefix(b"@@ ").filter(|_| !file.binary).and_then(hunk_header) {
                (self.old_left, self.new_left) = (hunk.old_lines, hunk.new_lines);
                file.hunks.push(hunk);
            } else if file.hunks.is_empty() {
                header(file, line);
            }
        }
    }

    /// Takes a line into the open hunk; `false` when it can't be one of its.
    fn hunk_line(&mut self, line: &[u8]) -> bool {
        let Some(file) = &mut self.file else { return false };
        let Some(hunk) = file.hunks.last_mut() else { return false };
        let kind = match line.first() {
            // An empty line is a context line that somebody's tool has trimmed.
            Some(b' ') | None => LineKind::Context,
            Some(b'+') => LineKind::Added,
            Some(b'-') => LineKind::Deleted,
            // "\ No newline at end of file" is about the line before.
            Some(b'\\') => return true,
            Some(_) => return false,
        };
        let (in_old, in_new) = (kind != LineKind::Added, kind != LineKind::Deleted);
        if (in_old && self.old_left == 0) || (in_new && self.new_left == 0) {
            return false;
        }
        let old = in_old.then(|| hunk.old_start + (hunk.old_lines - self.old_left));
        let new = in_new.then(|| hunk.new_start + (hunk.new_lines - self.new_left));
        self.old_left -= u32::from(in_old);
        self.new_left -= u32::from(in_new);
        file.added = file.added.saturating_add(u32::from(!in_old));
        file.deleted = file.deleted.saturating_add(u32::from(!in_new));
        let text = String::from_utf8_lossy(line.get(1..).unwrap_or_default()).into_owned();
        hunk.lines.push(Line { kind, old, new, text });
        true
    }

    /// Where lines are missing, the counts follow what is there.
    fn end_hunk(&mut self) {
        if let Some(hunk) = self.file.as_mut().and_then(|file| file.hunks.last_mut()) {
            hunk.old_lines -= self.old_left;
            hunk.new_lines -= self.new_left;
        }
        (self.old_left, self.new_left) = (0, 0);
    }

    fn start_file(&mut self, at: usize, old_path: Option<String>, new_path: Option<String>) {
        self.file = Some(FileDiff {
            old_path,
            new_path,
            status: Status::Modified,
            binary: false,
            submodule: false,
            hunks: Vec::new(),
            added: 0,
            deleted: 0,
            range: at..at,
        });
    }

    fn end_file(&mut self, at: usize) {
        self.end_hunk();
        let Some(mut file) = self.file.take() else { return };
        file.range.end = at;
        match file.status {
            Status::Added => file.old_path = None,
            Status::Deleted => file.new_path = None,
            _ => (),
        }
        if file.path().is_empty() {
            return;
        }
        // git writes a file that became a symlink, or the other way round, as a deletion and an addition of one name;
        // GitHub shows one file. Its lines are left out: nobody has said how GitHub counts them.
        if let Some(before) = self.files.last_mut()
            && before.status == Status::Deleted
            && file.status == Status::Added
            && before.path() == file.path()
        {
            before.new_path = file.new_path;
            before.status = Status::Modified;
            before.binary |= file.binary;
            before.submodule |= file.submodule;
            before.hunks.clear();
            before.added = before.added.saturating_add(file.added);
            before.range.end = file.range.end;
            return;
        }
        self.files.push(file);
    }
}

/// A line between `diff --git` and the first hunk.
fn header(file: &mut FileDiff, line: &[u8]) {
    const SUBMODULE: &[u8] = b"160000";
    let after = |word: &str| line.strip_prefix(word.as_bytes());
    if let Some(mode) = after("new file mode ") {
        file.status = Status::Added;
        file.submodule |= mode == SUBMODULE;
    } else if let Some(mode) = after("deleted file mode ") {
        file.status = Status::Deleted;
        file.submodule |= mode == SUBMODULE;
    } else if after("index ").is_some() {
        file.submodule |= line.ends_with(b" 160000");
    } else if let Some(path) = after("rename from ") {
        file.status = Status::Renamed;
        file.old_path = path_of(path, b"");
    } else if let Some(path) = after("copy from ") {
        file.status = Status::Copied;
        file.old_path = path_of(path, b"");
    } else if let Some(path) = after("rename to ").or_else(|| after("copy to ")) {
        file.new_path = path_of(path, b"");
    } else if after("Binary files ").is_some() || after("GIT binary patch").is_some() {
        file.binary = true;
    } else if let Some(path) = after("--- ") {
        match path_of(path, b"a/") {
            Some(path) => file.old_path = Some(path),
            None => file.status = Status::Added,
        }
    } else if let Some(path) = after("+++ ") {
        match path_of(path, b"b/") {
            Some(path) => file.new_path = Some(path),
            None => file.status = Status::Deleted,
        }
    }
}

/// `-1,3 +1,4 @@ fn main()`, without lines yet. `None` also when the numbers run over.
fn hunk_header(rest: &[u8]) -> Option<Hunk> {
    let end = rest.windows(3).position(|it| it == b" @@")?;
    let (old, new) = std::str::from_utf8(&rest[..end]).ok()?.split_once(' ')?;
    let numbers = |text: &str| -> Option<(u32, u32)> {
        let (start, lines) = text.split_once(',').unwrap_or((text, "1"));
        let (start, lines): (u32, u32) = (start.parse().ok()?, lines.parse().ok()?);
        (start.checked_add(lines)? < i32::MAX as u32 && (start > 0 || lines == 0)).then_some((start, lines))
    };
    let (old_start, old_lines) = numbers(old.strip_prefix('-')?)?;
    let (new_start, new_lines) = numbers(new.strip_prefix('+')?)?;
    Some(Hunk { old_start, old_lines, new_start, new_lines, lines: Vec::new() })
}

/// The names in `a/x b/x`. Names with spaces are told apart by both being the same; where they differ, other lines of the
/// header say so.
fn both_paths(rest: &[u8]) -> (Option<String>, Option<String>) {
    let half = if rest.first() == Some(&b'"') {
        unquote(rest).1
    } else if rest.last() == Some(&b'"') {
        rest.windows(2).position(|it| it == b" \"").unwrap_or(rest.len())
    } else {
        rest.len() / 2
    };
    let (old, new) = rest.split_at(half);
    (path_of(old, b"a/"), path_of(new.strip_prefix(b" ").unwrap_or(new), b"b/"))
}

/// A name as git prints it: quoted where it holds odd bytes, with a tab behind it where it holds spaces. `None` for
/// `/dev/null`.
fn path_of(name: &[u8], prefix: &[u8]) -> Option<String> {
    let quoted = name.first() == Some(&b'"');
    let name = if quoted { unquote(name).0 } else { name.strip_suffix(b"\t").unwrap_or(name).to_vec() };
    if name == b"/dev/null" || name.is_empty() {
        return None;
    }
    Some(String::from_utf8_lossy(name.strip_prefix(prefix).unwrap_or(&name)).into_owned())
}

/// Undo git's quoting as in C, `"a/\303\244.txt"`, and say how many bytes it took.
pub(super) fn unquote(quoted: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 1;
    while let Some(byte) = quoted.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => {
                let Some(letter) = quoted.get(at) else { break };
                at += 1;
                out.push(match letter {
                    b'0'..=b'7' => {
                        let mut code = letter - b'0';
                        for _ in 0..2 {
                            if let Some(digit @ b'0'..=b'7') = quoted.get(at) {
                                code = code.wrapping_mul(8).wrapping_add(digit - b'0');
                                at += 1;
                            }
                        }
                        code
                    }
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    other => *other,
                });
            }
            other => out.push(*other),
        }
    }
    (out, at.min(quoted.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What git 2.47 wrote for one commit of every kind of change.
    const SAMPLE: &[u8] = include_bytes!("sample.diff");

    fn shape(file: &FileDiff) -> String {
        let name = |path: &Option<String>| path.clone().unwrap_or("-".into());
        let hunks: Vec<String> = file
            .hunks
            .iter()
            .map(|it| format!("{},{}:{},{}", it.old_start, it.old_lines, it.new_start, it.new_lines))
            .collect();
        let marks = [(file.binary, " binary"), (file.submodule, " submodule")];
        let marks: String = marks.iter().filter(|it| it.0).map(|it| it.1).collect();
        format!(
            "{:?} {} {} +{} -{} [{}]{marks}",
            file.status,
            name(&file.old_path),
            name(&file.new_path),
            file.added,
            file.deleted,
            hunks.join(" ")
        )
    }

    #[test]
    fn every_kind_of_change_is_read() {
        let shapes: Vec<String> = files(SAMPLE).iter().map(shape).collect();
        let expected = [
            "Modified bin bin +0 -0 [] binary",
            "Modified code.txt code.txt +3 -2 [1,5:1,5 8,5:8,6]",
            "Modified dashes.txt dashes.txt +1 -2 [1,3:1,2]",
            "Added - empty.txt +0 -0 []",
            "Added - fresh.txt +2 -0 [0,0:1,2]",
            "Deleted gone.txt - +0 -1 [1,1:0,0]",
            "Modified latin.txt latin.txt +1 -1 [1,2:1,2]",
            "Modified link link +1 -1 []",
            "Modified mode.sh mode.sh +0 -0 []",
            "Renamed pure.txt moved.txt +0 -0 []",
            "Renamed old.txt new.txt +1 -1 [1,5:1,5]",
            "Added - sub +1 -0 [0,0:1,1] submodule",
            "Modified tab\tand\"quote.txt tab\tand\"quote.txt +1 -1 [1,1:1,1]",
            "Modified with space.txt with space.txt +1 -1 [1,2:1,2]",
            "Renamed ä.txt ö.txt +1 -1 [1,5:1,5]",
        ];
        assert_eq!(shapes, expected);
    }

    #[test]
    fn parts_cover_the_input() {
        let mut at = 0;
        for file in files(SAMPLE) {
            assert_eq!(file.range.start, at);
            assert!(SAMPLE[file.range.clone()].starts_with(b"diff --git "), "{}", file.path());
            at = file.range.end;
        }
        assert_eq!(at, SAMPLE.len());
    }

    #[test]
    fn lines_have_the_numbers_of_their_sides() {
        let all = files(SAMPLE);
        let lines = |index: usize, hunk: usize| -> Vec<String> {
            let number = |it: Option<u32>| it.map_or("-".into(), |it| it.to_string());
            let lines = all[index].hunks[hunk].lines.iter();
            lines.map(|it| format!("{}/{} {}", number(it.old), number(it.new), it.text)).collect()
        };
        assert_eq!(
            lines(1, 1),
            ["8/8 eight", "9/9 nine", "10/10 ten", "11/- eleven", "-/11 ELEVEN", "-/12 more", "12/13 twelve"]
        );
        assert_eq!(lines(2, 0), ["1/- -- a", "2/1 ++ b", "3/- end", "-/2 END"]);
        assert_eq!(lines(6, 0), ["1/- \u{FFFD}\u{FFFD}x", "-/1 \u{FFFD}\u{FFFD}x", "2/2 b"]);
    }

    #[test]
    fn odd_input_is_read_as_far_as_it_goes() {
        for (input, expected) in [
            ("", ""),
            ("no diff at all\n@@ -1 +1 @@\n-a\n+b\n", ""),
            ("diff --git ", ""),
            ("diff --git \"a/x", "Modified x - +0 -0 []"),
            ("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n-b\n", "Modified x x +0 -1 [1,2:1,1]"),
            ("diff --git a/x b/x\n@@ -4294967295,2 +1 @@\n-a\n-b\n", "Modified x x +0 -0 []"),
            ("diff --git a/x b/x\n@@ -0,3 +1 @@\n-a\n", "Modified x x +0 -0 []"),
            ("diff --git a/x b/x\n@@ -1 +1 @@\n-a\n+b\n+c\n", "Modified x x +1 -1 [1,1:1,1]"),
            ("diff --git a/x b/x\n@@ -1,3 +1,3 @@\n a\n\n-b\n+c\n", "Modified x x +1 -1 [1,3:1,3]"),
            (
                "diff --cc x y\nindex 1,2..3\n--- a/x y\t\n+++ b/x y\t\n@@@ -1,1 -1,1 +1,2 @@@\n- a\n",
                "Modified x y x y +0 -0 []",
            ),
            (
                "diff --git \"a/q\\\" b\" \"b/q\\\" b\"\nold mode 100644\nnew mode 100755\n",
                "Modified q\" b q\" b +0 -0 []",
            ),
            ("diff --git a/x b/x\nGIT binary patch\nliteral 3\n@@ -1 +1 @@\n-a\n+b\n", "Modified x x +0 -0 [] binary"),
            ("diff --git a/p q b/p q\ncopy from p\ncopy to p q\n", "Copied p p q +0 -0 []"),
        ] {
            let shapes: Vec<String> = files(input.as_bytes()).iter().map(shape).collect();
            assert_eq!(shapes.join("; "), expected, "{input:?}");
        }
    }
}
