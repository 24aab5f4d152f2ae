//! A unified diff as coloured HTML, one box per file, with what was said on its lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markdown::escape;

/// What is shown within a diff, as HTML.
#[derive(Default, Debug)]
pub(crate) struct Notes {
    /// Under a line: by path, whether it is the old file's, and line.
    pub lines: BTreeMap<(String, bool, u64), String>,
    /// Above and below the lines of a file.
    pub above: BTreeMap<String, String>,
    pub below: BTreeMap<String, String>,
}

/// Line numbers of the old and the new file on the left, as on GitHub.
pub(crate) fn coloured(patch: &str, notes: &Notes) -> String {
    let mut out = String::new();
    for file in patch.split("diff --git ").skip(1) {
        let name = name(file);
        let _ = write!(out, "<section class=\"box diff\"><div class=\"by\"><b>{}</b></div>", escape(name));
        out.push_str(notes.above.get(name).map_or("", String::as_str));
        out.push_str("<table>");
        let (mut old, mut new) = (0_u64, 0_u64);
        let start = file.find("\n@@ ").map_or(file.len(), |it| it + 1);
        for line in file[start..].lines() {
            let (left, right) = match line.chars().next() {
                Some('@') => {
                    (old, new) = heading(line).unwrap_or((1, 1));
                    (None, None)
                }
                Some('+') => {
                    new += 1;
                    (None, Some(new - 1))
                }
                Some('-') => {
                    old += 1;
                    (Some(old - 1), None)
                }
                Some('\\') => (None, None),
                _ => {
                    (old, new) = (old + 1, new + 1);
                    (Some(old - 1), Some(new - 1))
                }
            };
            out.push_str(&row(line, left, right));
            for (is_old, number) in [(true, left), (false, right)] {
                let note = number.and_then(|it| notes.lines.get(&(name.to_owned(), is_old, it)));
                if let Some(note) = note {
                    let _ = write!(out, "<tr class=\"note\"><td colspan=\"3\">{note}</td></tr>");
                }
            }
        }
        out.push_str("</table>");
        out.push_str(notes.below.get(name).map_or("", String::as_str));
        out.push_str("</section>");
    }
    out
}

/// Rows of a hunk without their numbers.
pub(crate) fn coloured_lines(lines: &[&str]) -> String {
    lines.iter().map(|it| row(it, None, None)).collect()
}

/// The files of a patch by the names that it has for them now.
pub(crate) fn names(patch: &str) -> Vec<String> {
    patch.split("diff --git ").skip(1).map(|it| name(it).to_owned()).collect()
}

fn name(file: &str) -> &str {
    file.lines().next().and_then(|it| it.split_once(" b/")).map_or("?", |it| it.1)
}

fn row(line: &str, left: Option<u64>, right: Option<u64>) -> String {
    let class = match line.chars().next() {
        Some('@' | '\\') => "hunk",
        Some('+') => "add",
        Some('-') => "del",
        _ => "same",
    };
    let number = |it: Option<u64>| it.map(|it| it.to_string()).unwrap_or_default();
    format!(
        "<tr class=\"{class}\"><td class=\"no\">{}</td><td class=\"no\">{}</td><td>{}</td></tr>",
        number(left),
        number(right),
        escape(line)
    )
}

/// First lines of the old and new file from `@@ -1,2 +3,4 @@`.
fn heading(line: &str) -> Option<(u64, u64)> {
    let mut parts = line.split(' ').skip(1);
    let mut number = |sign: char| parts.next()?.trim_start_matches(sign).split(',').next()?.parse().ok();
    Some((number('-')?, number('+')?))
}
