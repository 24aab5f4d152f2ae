//! Whether work holds what looks like a credential, wherever it would be published: in lines, in files that are no text, in
//! names of files and in messages.

use crate::sandbox::git::Inspection;
use crate::text;

/// What is looked at in one piece, and how much of it again with the next: longer than any key.
const PIECE: usize = 1 << 20;
const AGAIN: usize = 16 << 10;

/// Look at all of it. `unseen` is what the diffs don't show; of work that becomes one commit neither what passed by nor the
/// messages are published.
pub async fn in_work(seen: &Inspection, unseen: Vec<u8>, as_it_is: bool) -> bool {
    let messages = || seen.commits.iter().any(|commit| holds(&commit.message));
    let passing = seen.passing.iter().filter(|_| as_it_is);
    let mut coming = seen.files.iter().chain(passing).filter(|change| change.new.is_some());
    adds(&seen.diff)
        || coming.any(|change| holds(&change.path_text()))
        || (as_it_is && (messages() || adds(&seen.passing_diff)))
        || tokio::task::spawn_blocking(text::carried(move || in_bytes(&unseen))).await.unwrap_or(true)
}

fn holds(text: &str) -> bool {
    text::redact(text) != text
}

/// In whatever a file is: also in text of two bytes a letter.
fn in_bytes(bytes: &[u8]) -> bool {
    let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    in_pieces(bytes) || in_pieces(&narrow)
}

fn in_pieces(bytes: &[u8]) -> bool {
    let starts = (0..bytes.len()).step_by(PIECE);
    starts.map(|at| &bytes[at..bytes.len().min(at + PIECE + AGAIN)]).any(|piece| holds(&String::from_utf8_lossy(piece)))
}

/// Whether lines that are added hold what looks like a credential. They are read together: some credentials have many
/// lines. A header in the diff stands between those of two places.
fn adds(diff: &str) -> bool {
    let added: String = diff
        .lines()
        .filter_map(|line| match line.strip_prefix('+') {
            Some(line) => Some(line),
            None => line.starts_with("@@").then_some(""),
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    text::redact(&added) != added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_any_file() {
        let key = format!("ghp_{}", "x".repeat(36));
        let wide: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(in_bytes(&wide) && in_bytes(format!("\0PNG\0{key}\0").as_bytes()));
        let late = [vec![b' '; PIECE - 10], key.clone().into_bytes()].concat();
        assert!(in_bytes(&late), "over the edge of a piece");
        assert!(!in_bytes(&key.as_bytes()[..20]));
        assert!(adds(&format!("@@\n+key: {key}\n")) && !adds(&format!("@@\n-key: {key}\n")));
    }
}
