//! Cuts a byte stream into lines, however long, broken or endless they are.

/// Longest line that is kept. Tool outputs are cut by Claude Code far below this.
pub const LONGEST_LINE: usize = 16 << 20;

/// A line, or the news that one was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Line(Vec<u8>),
    /// So many bytes of one line were dropped.
    Cut {
        bytes: u64,
    },
}

/// Collects bytes until a line is whole.
#[derive(Debug)]
pub struct LineSplitter {
    longest: usize,
    buffer: Vec<u8>,
    dropped: u64,
    /// The beginning of the present line was lost, so its end means nothing.
    headless: bool,
}

impl LineSplitter {
    pub fn new(longest: usize) -> Self {
        Self { longest, buffer: Vec::new(), dropped: 0, headless: false }
    }

    /// The lines that these bytes complete. Empty lines are left out.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let whole = part.ends_with(b"\n");
            self.keep(if whole { &part[..part.len() - 1] } else { part });
            if whole {
                pieces.extend(self.take());
            }
        }
        pieces
    }

    /// The stream has ended; what is left is a line as well.
    pub fn end(&mut self) -> Option<Piece> {
        self.take()
    }

    /// Bytes are missing here: what came before them and what follows up to the next line break is no line.
    pub fn gap(&mut self) {
        self.buffer.clear();
        self.dropped = 0;
        self.headless = true;
    }

    fn keep(&mut self, part: &[u8]) {
        if self.headless {
            return;
        }
        if self.dropped > 0 || self.buffer.len() + part.len() > self.longest {
            self.dropped += (std::mem::take(&mut self.buffer).len() + part.len()) as u64;
        } else {
            self.buffer.extend_from_slice(part);
        }
    }

    fn take(&mut self) -> Option<Piece> {
        let (line, bytes) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.dropped));
        if std::mem::take(&mut self.headless) {
            return None;
        }
        if bytes > 0 {
            return Some(Piece::Cut { bytes });
        }
        (!line.trim_ascii().is_empty()).then_some(Piece::Line(line))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    fn check(longest: usize, parts: &[&str], want: &[&str]) {
        let mut splitter = LineSplitter::new(longest);
        let mut pieces: Vec<Piece> = parts.iter().flat_map(|part| splitter.push(part.as_bytes())).collect();
        pieces.extend(splitter.end());
        let got: Vec<String> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Line(line) => String::from_utf8(line).unwrap(),
                Piece::Cut { bytes } => format!("cut {bytes}"),
            })
            .collect();
        assert_eq!(got, want, "{parts:?}");
    }

    #[test]
    fn lines_come_out_whole() {
        check(100, &["a\nb", "c\n\n", "d"], &["a", "bc", "d"]);
        check(100, &["", "\r\n", " \n"], &[]);
        check(4, &["abcd\n", "abcde\n", "ab", "cd", "ef\nok"], &["abcd", "cut 5", "cut 6", "ok"]);
        check(4, &["abcdefgh"], &["cut 8"]);
    }

    #[test]
    fn a_gap_spoils_the_line_it_is_in() {
        let mut splitter = LineSplitter::new(100);
        assert_eq!(splitter.push(b"one\ntw"), [Piece::Line(b"one".to_vec())]);
        splitter.gap();
        assert_eq!(splitter.push(b"ee\nfour\n"), [Piece::Line(b"four".to_vec())]);
    }
}
