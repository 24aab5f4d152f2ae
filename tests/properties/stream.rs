//! The agent's output: the same lines however the bytes come in, and nothing too long to be stored.

use cloud_agent::agent::{Line, Stream};

use super::choice;

/// Longest that an event may be: texts are cut, and JSON writes some characters sixfold.
const LONGEST: usize = 7 * (16 << 10) + 4096;

/// The first byte says in what pieces the rest comes.
pub fn holds(data: &[u8]) {
    let (piece, bytes) = choice(data);
    let lines = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, piece + 1), lines, "in pieces of {}", piece + 1);
    for line in &lines {
        let body = line.body();
        assert!(body.is_object() && !line.kind().is_empty(), "{body}");
        // A list of things to do is told whole each time; what bounds it is the run.
        assert!(matches!(line, Line::Todos(_)) || body.to_string().len() <= LONGEST, "{} is too long", line.kind());
        if let Line::Tool { brief, .. } | Line::ToolResult { brief, .. } = line {
            assert!(!brief.contains(char::is_control), "{brief:?}");
        }
    }
    let mut gapped = Stream::default();
    let half = bytes.len() / 2;
    gapped.push(&bytes[..half]);
    gapped.gap();
    gapped.push(&bytes[half..]);
    gapped.end();
}

fn read(bytes: &[u8], piece: usize) -> Vec<Line> {
    let mut stream = Stream::default();
    let mut lines: Vec<Line> = bytes.chunks(piece).flat_map(|piece| stream.push(piece)).collect();
    lines.extend(stream.end());
    lines
}
