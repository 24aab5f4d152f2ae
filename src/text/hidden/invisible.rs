//! Characters without a glyph, and the few places where one is part of what people see.

use std::fmt::Write as _;
use std::ops::Range;

/// Characters that carry text past a reader: zero-width, bidi controls, tags, variation selectors, fillers, and all else
/// that Unicode calls default-ignorable.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
        || (c as u32 & 0xFFFE) == 0xFFFE
        || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

const ZWNJ: char = '\u{200C}';
const ZWJ: char = '\u{200D}';
const TEXT_STYLE: char = '\u{FE0E}';
const EMOJI_STYLE: char = '\u{FE0F}';

/// A text without its invisible characters, and how many there were. Joiners stay between the letters of scripts that
/// are written with them and between emoji, selectors of style right after what has two styles: one at a time, so that no
/// message can be spelled in them. Line separators become spaces, which is how a page shows them.
pub fn without_invisible(text: &str) -> (String, usize) {
    let mut out = String::with_capacity(text.len());
    let mut removed = 0;
    let mut chars = text.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(c) = chars.next() {
        if matches!(c, '\u{2028}' | '\u{2029}') {
            out.push(' ');
            before = Some(' ');
        } else if !is_invisible(c) || means_something(before, c, chars.peek().copied()) {
            out.push(c);
            before = Some(c);
        } else {
            removed += 1;
        }
    }
    (out, removed)
}

/// A text in which people see every character: those without a glyph as their number, `⟨U+202E⟩`.
pub fn spelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            let _ = write!(out, "⟨U+{:04X}⟩", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

fn means_something(before: Option<char>, c: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        // An emoji may be the last of a text.
        return before.is_some_and(|before| matches!(c, EMOJI_STYLE | TEXT_STYLE) && has_styles(before));
    };
    match c {
        EMOJI_STYLE | TEXT_STYLE => has_styles(before),
        ZWJ if is_emoji(after) && (is_emoji(before) || before == EMOJI_STYLE) => true,
        ZWJ | ZWNJ => joins(before) && joins(after),
        _ => false,
    }
}

/// Letters and signs of scripts in which a joiner changes what is seen: Arabic, Syriac, N'Ko, the Indic scripts,
/// Myanmar, Khmer, Mongolian.
fn joins(c: char) -> bool {
    !is_invisible(c)
        && matches!(c, '\u{0620}'..='\u{06FF}' | '\u{0700}'..='\u{08FF}' | '\u{0900}'..='\u{0DFF}'
            | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}' | '\u{1820}'..='\u{18AF}'
            | '\u{A8E0}'..='\u{A8FF}' | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}')
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{21FF}' | '\u{2300}'..='\u{27BF}' | '\u{2B00}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}')
}

fn has_styles(c: char) -> bool {
    is_emoji(c)
        || matches!(
            c,
            '0'..='9'
                | '#'
                | '*'
                | '\u{A9}'
                | '\u{AE}'
                | '\u{203C}'
                | '\u{2049}'
                | '\u{2122}'
                | '\u{2139}'
                | '\u{2934}'
                | '\u{2935}'
                | '\u{3030}'
                | '\u{303D}'
                | '\u{3297}'
                | '\u{3299}'
        )
}

/// A text without the sequences that terminals act on (ECMA-48), and how many there were.
pub fn without_sequences(text: &str) -> (String, usize) {
    const ESCAPE: char = '\u{1B}';
    let mut out = String::with_capacity(text.len());
    let mut removed = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let opens = match c {
            ESCAPE => chars.next_if(|c| !c.is_control()).unwrap_or(' '),
            '\u{9B}' => '[',
            '\u{9D}' => ']',
            _ => {
                out.push(c);
                continue;
            }
        };
        removed += 1;
        match opens {
            // Parameters, then one letter that says what to do.
            '[' => {
                while chars.next_if(|c| ('\u{20}'..'\u{40}').contains(c)).is_some() {}
                chars.next_if(|c| ('\u{40}'..'\u{7F}').contains(c));
            }
            // A string, ended by BEL or ESC \; one that is not ended on its line is text.
            ']' | 'P' | 'X' | '^' | '_' => {
                let mut ahead = chars.clone();
                let ended = loop {
                    match ahead.next() {
                        None | Some('\n') => break false,
                        Some('\u{07}' | '\u{9C}') => break true,
                        Some(ESCAPE) => {
                            ahead.next_if_eq(&'\\');
                            break true;
                        }
                        Some(_) => (),
                    }
                };
                if ended {
                    chars = ahead;
                }
            }
            ' '..='/' => {
                chars.next();
            }
            _ => (),
        }
    }
    (out, removed)
}

/// Where a source of HTML spells characters without a glyph as entities.
pub fn invisible_entities(text: &str) -> Vec<Range<usize>> {
    const NAMES: [&str; 14] = [
        "shy",
        "zwj",
        "zwnj",
        "lrm",
        "rlm",
        "ZeroWidthSpace",
        "NoBreak",
        "ic",
        "it",
        "af",
        "InvisibleComma",
        "InvisibleTimes",
        "ApplyFunction",
        "NegativeThinSpace",
    ];
    let mut found = Vec::new();
    for (at, _) in text.match_indices('&') {
        let name: &str = &text[at + 1..];
        let length = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).unwrap_or(name.len());
        let (name, ends) = (&name[..length], name[length..].starts_with(';'));
        let code = match name.strip_prefix('#') {
            Some(number) => match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => number.parse().ok(),
            }
            .and_then(char::from_u32),
            None => NAMES.contains(&name).then_some('\u{200B}'),
        };
        if code.is_some_and(is_invisible) {
            found.push(at..at + 1 + length + usize::from(ends));
        }
    }
    found
}
