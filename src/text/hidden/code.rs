//! Code that people don't see. It is counted and stays where it is: code is what it is to the byte, and the agent has the files
//! besides. Who reviews the work is told that there is more than they see.

use super::invisible::{without_invisible, without_sequences};
use super::{Hidden, Removed};

/// Stands before the text of a file, for programs that ask for it.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// Parts a source into pages, in projects with that habit.
const FORM_FEED: char = '\u{0C}';

/// What shows no glyph in the lines that a unified diff adds.
pub fn in_added(diff: &[u8]) -> Removed {
    let mut found = Removed::default();
    let mut in_hunk = false;
    for line in diff.split(|byte| *byte == b'\n') {
        if line.starts_with(b"@@") {
            in_hunk = true;
        } else if line.starts_with(b"diff --git ") {
            in_hunk = false;
        } else if in_hunk
            && let Some(added) = line.strip_prefix(b"+")
            && !is_plain(added)
        {
            count(&String::from_utf8_lossy(added), &mut found);
        }
    }
    found
}

fn count(line: &str, found: &mut Removed) {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line).replace(FORM_FEED, "");
    let (line, sequences) = without_sequences(&line);
    let turns = line.chars().filter(|c| turns(*c)).count();
    let (_, invisible) = without_invisible(&line);
    found.add(Hidden::CodeControl, sequences);
    found.add(Hidden::CodeDirection, turns);
    found.add(Hidden::CodeInvisible, invisible.saturating_sub(turns));
}

/// Embeds, overrides or isolates a direction: what stands after it is shown in another order than it is read in.
fn turns(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Most lines are, and need no second look.
fn is_plain(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_added_lines_hide_is_counted() {
        let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\u{200B}\n@@ -1,3 +1,5 @@\n context\u{200B}\n-old\u{202E}\n\
                    +if (a\u{202E} // \u{2066}check\u{2069}) {\n+++ \u{E0068}\u{E0069}\n+\u{1B}[8mhidden\u{1B}[0m\n+plain\u{200B}\n\
                    diff --git a/y b/y\n+++ b/y\u{200B}\n@@ -0,0 +1 @@\n+\u{FEFF}using x;\r\n";
        let found = in_added(diff.as_bytes());
        assert_eq!(found.of(Hidden::CodeDirection), 3);
        assert_eq!(found.of(Hidden::CodeInvisible), 3);
        assert_eq!(found.of(Hidden::CodeControl), 2);
    }

    #[test]
    fn what_people_see_is_not_counted() {
        let seen = "+\tlet x = 1;\r\n+\u{0C}\n+// ❤️ 👩‍💻 می‌خواهم\n+\u{FEFF}first\n";
        assert!(in_added(format!("@@ -0,0 +1,4 @@\n{seen}").as_bytes()).is_empty());
        // No text at all is no text that hides something.
        assert!(in_added(b"@@ -0,0 +1 @@\n+caf\xE9 \xFF\xFE\n").is_empty());
        assert!(in_added(b"").is_empty());
    }
}
