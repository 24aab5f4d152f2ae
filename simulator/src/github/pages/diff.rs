//! A unified diff as coloured HTML, one box per file.

use std::fmt::Write as _;

use super::markdown::escape;

/// Line numbers of the old and the new file on the left, as on GitHub.
pub(crate) fn coloured(patch: &str) -> String {
    let mut out = String::new();
    for file in patch.split("diff --git ").skip(1) {
        let name = file.lines().next().and_then(|it| it.split_once(" b/")).map_or("?", |it| it.1);
        let _ = write!(out, "<section class=\"box diff\"><div class=\"by\"><b>{}</b></div><table>", escape(name));
        let (mut old, mut new) = (0_u64, 0_u64);
        let start = file.find("\n@@ ").map_or(file.len(), |it| it + 1);
        for line in file[start..].lines() {
            let (class, left, right) = match line.chars().next() {
                Some('@') => {
                    (old, new) = heading(line).unwrap_or((1, 1));
                    ("hunk", String::new(), String::new())
                }
                Some('+') => {
                    new += 1;
                    ("add", String::new(), (new - 1).to_string())
                }
                Some('-') => {
                    old += 1;
                    ("del", (old - 1).to_string(), String::new())
                }
                Some('\\') => ("hunk", String::new(), String::new()),
                _ => {
                    (old, new) = (old + 1, new + 1);
                    ("same", (old - 1).to_string(), (new - 1).to_string())
                }
            };
            let _ = write!(
                out,
                "<tr class=\"{class}\"><td class=\"no\">{left}</td><td class=\"no\">{right}</td><td>{}</td></tr>",
                escape(line)
            );
        }
        out.push_str("</table></section>");
    }
    out
}

/// First lines of the old and new file from `@@ -1,2 +3,4 @@`.
fn heading(line: &str) -> Option<(u64, u64)> {
    let mut parts = line.split(' ').skip(1);
    let mut number = |sign: char| parts.next()?.trim_start_matches(sign).split(',').next()?.parse().ok();
    Some((number('-')?, number('+')?))
}
