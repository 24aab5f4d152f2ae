//! A text as somebody would put it together again: without what stands between its letters, and with what is spelled in
//! entities or percent signs as the letters that it means. Each letter knows where it stands in the text.

use std::ops::Range;

use crate::text::is_invisible;

pub struct View {
    pub text: String,
    /// For each byte of `text`, where in the source is what it stands for, and how long that is.
    from: Vec<(u32, u8)>,
}

impl View {
    /// The text as it is, of each character what `keep` makes of it.
    pub fn plain(text: &str, keep: impl Fn(char) -> Option<char>) -> Self {
        let mut view = Self { text: String::with_capacity(text.len()), from: Vec::with_capacity(text.len()) };
        for (at, c) in text.char_indices() {
            view.push(c, at..at + c.len_utf8(), &keep);
        }
        view
    }

    /// The text without tags and invisible characters, and with one level of escapes undone.
    pub fn joined(text: &str, keep: impl Fn(char) -> Option<char>) -> Self {
        Self::undone(text, keep, tag)
    }

    /// The same with what stands in tags: when nothing reads them as tags, they are words like all others.
    pub fn unescaped(text: &str, keep: impl Fn(char) -> Option<char>) -> Self {
        Self::undone(text, keep, |_| None)
    }

    fn undone(text: &str, keep: impl Fn(char) -> Option<char>, left_out: fn(&str) -> Option<usize>) -> Self {
        let mut view = Self { text: String::with_capacity(text.len()), from: Vec::with_capacity(text.len()) };
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if let Some(length) = left_out(rest) {
                at += length;
                continue;
            }
            let (said, length) = escape(rest).unwrap_or((c, c.len_utf8()));
            if !is_invisible(said) {
                view.push(said, at..at + length, &keep);
            }
            at += length;
        }
        view
    }

    /// The same, with lines put together that end and begin without a space, and without the marks of quotes and tables.
    pub fn lines(text: &str) -> Self {
        let mut view = Self { text: String::with_capacity(text.len()), from: Vec::with_capacity(text.len()) };
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let between = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\\', '>', '|']).len();
            if between > 0 {
                if !rest[..between].contains('\n') {
                    view.push(' ', at..at + 1, &Some);
                }
                at += between;
            } else {
                if !is_invisible(c) {
                    view.push(c, at..at + c.len_utf8(), &Some);
                }
                at += c.len_utf8();
            }
        }
        view
    }

    fn push(&mut self, c: char, from: Range<usize>, keep: &impl Fn(char) -> Option<char>) {
        if let Some(c) = keep(c) {
            self.text.push(c);
            let from = (from.start as u32, (from.end - from.start) as u8);
            self.from.extend(std::iter::repeat_n(from, c.len_utf8()));
        }
    }

    /// Where a part of the view stands in the source.
    pub fn source(&self, part: &Range<usize>) -> Range<usize> {
        match (self.from.get(part.start), self.from.get(part.end.saturating_sub(1))) {
            (Some((first, _)), Some((last, length))) if part.start < part.end => {
                *first as usize..*last as usize + usize::from(*length)
            }
            _ => 0..0,
        }
    }
}

/// The length of a short tag or comment that the text begins with.
fn tag(rest: &str) -> Option<usize> {
    const LONGEST: usize = 200;
    let inside = rest.strip_prefix('<')?;
    inside.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')).then_some(())?;
    // One that begins inside of it means that this is none.
    let end = inside.bytes().take(LONGEST).position(|b| matches!(b, b'<' | b'>'))?;
    inside[end..].starts_with('>').then_some(end + 2)
}

/// The character that an escape at the beginning stands for, and its length: `%5F`, `&#95;`, `&#x5F;`, `\x5F`, `\u005F`.
fn escape(rest: &str) -> Option<(char, usize)> {
    let hex = |from: usize, digits: usize| {
        let code = rest.get(from..from + digits)?;
        let code = code.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(code, 16).ok())??;
        Some((char::from_u32(code).filter(char::is_ascii)?, from + digits))
    };
    match rest.as_bytes() {
        [b'%', ..] => hex(1, 2),
        [b'\\', b'x', ..] => hex(2, 2),
        [b'\\', b'u', ..] => hex(2, 4),
        [b'&', b'#', ..] => {
            let body = &rest[2..];
            let end = body.bytes().take(8).position(|b| b == b';')?;
            let code = match body[..end].strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => body[..end].parse().ok()?,
            };
            Some((char::from_u32(code)?, end + 3))
        }
        _ => None,
    }
}
