//! Long texts: each piece of text again and again, up to 64 KiB, is read to the end. The fuzzer also looks at how long that
//! takes.

use cloud_agent::task::review::Diff;
use cloud_agent::task::{parse, rules};
use cloud_agent::text::{outgoing, plain, visible};

use super::{choice, text};

/// GitHub's longest comment.
pub const LENGTH: usize = 64 << 10;
/// The longest piece that is repeated.
const PIECE: usize = 64;

pub fn holds(data: &[u8]) {
    reads(data, LENGTH);
}

/// Read a text of that many bytes. The first byte of the data chooses who reads it, the second how much of the piece comes
/// once, in front.
pub fn reads(data: &[u8], length: usize) {
    let (who, rest) = choice(data);
    let (once, rest) = choice(rest);
    let (head, piece) = rest.split_at((once % 32).min(rest.len()));
    let piece = &piece[..piece.len().min(PIECE)];
    if piece.is_empty() {
        return;
    }
    let bytes: Vec<u8> = head.iter().chain(piece.iter().cycle()).copied().take(length).collect();
    match who % 6 {
        0 => drop(visible(&text(&bytes))),
        1 => drop(outgoing(&text(&bytes))),
        2 => drop(parse(&text(&bytes), "cloud-agent")),
        3 => drop(plain(&text(&bytes))),
        4 => drop(rules::read_bytes(&bytes)),
        _ => drop(Diff::parse(&bytes)),
    }
}
