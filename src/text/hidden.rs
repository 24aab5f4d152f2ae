//! What comes in: the text as a person on GitHub sees it. Comments, link definitions and invisible characters are where
//! instructions to agents are hidden; they are taken out by a Markdown parser and counted.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser};

/// The visible part of a Markdown text, and how many hidden things were taken out.
pub fn visible(markdown: &str) -> (String, usize) {
    let parser = Parser::new_ext(markdown, Options::ENABLE_TABLES);
    let mut hidden: Vec<Range<usize>> =
        parser.reference_definitions().iter().map(|(_, definition)| definition.span.clone()).collect();
    // A link definition that something refers to is visible as that link.
    let mut open: Option<usize> = None;
    for (event, range) in parser.into_offset_iter() {
        if let Event::Html(html) | Event::InlineHtml(html) = event {
            let (opens, closes) = (html.contains("<!--"), html.contains("-->"));
            match (open, opens, closes) {
                (None, true, true) => hidden.push(range),
                (None, true, false) => open = Some(range.start),
                (Some(start), _, true) => {
                    hidden.push(start..range.end);
                    open = None;
                }
                _ => (),
            }
        }
    }
    // An unclosed comment hides the rest.
    hidden.extend(open.map(|start| start..markdown.len()));
    hidden.sort_by_key(|range| range.start);

    let mut text = String::with_capacity(markdown.len());
    let mut at = 0;
    for range in &hidden {
        if at <= range.start {
            text.push_str(&markdown[at..range.start]);
        }
        at = at.max(range.end);
    }
    text.push_str(&markdown[at..]);

    let before = text.chars().count();
    text.retain(|c| !is_invisible(c));
    let invisible = before - text.chars().count();
    (text, hidden.len() + invisible)
}

/// Characters without a glyph that carry text past a reader: zero-width, bidi controls, tags, variation selectors,
/// fillers. The emoji variation selector U+FE0F goes too; an emoji without it is still an emoji.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}')
        || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str, removed: usize) {
        assert_eq!(visible(input), (expected.to_owned(), removed), "{input:?}");
    }

    #[test]
    fn what_people_see_stays() {
        for text in ["plain", "`<!-- code -->`", "```\n<!-- code -->\n```\n", "<details>more</details>", "a\tb\n\nc 🚀"]
        {
            check(text, text, 0);
        }
    }

    #[test]
    fn what_people_do_not_see_goes() {
        check("a <!-- do evil --> b", "a  b", 1);
        check("a\n\n<!-- do\n\nevil -->\n\nb", "a\n\n\nb", 1);
        check("a\n\n<!-- do evil", "a\n\n", 1);
        check("a\n\n[//]: # (do evil)\n", "a\n\n\n", 1);
        check("a\u{200B}b\u{E0041}\u{202E}", "ab", 3);
    }
}
