//! The parser's events: the tags that a page has for them, and those that are read past.

use std::ops::Range;

use pulldown_cmark::{Event, Tag, TagEnd};

/// Labels are the same in any case and with any spaces between their words.
pub fn folded(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Read on to the end of the picture that has begun; the words in its place.
pub fn alt<'a>(events: &mut impl Iterator<Item = (Event<'a>, Range<usize>)>) -> String {
    let mut words = String::new();
    let mut depth = 0;
    for (event, _) in events.by_ref() {
        match event {
            Event::Start(Tag::Image { .. }) => depth += 1,
            Event::End(TagEnd::Image) if depth == 0 => break,
            Event::End(TagEnd::Image) => depth -= 1,
            Event::Text(said) | Event::Code(said) | Event::InlineHtml(said) => words.push_str(&said),
            Event::SoftBreak | Event::HardBreak => words.push(' '),
            _ => (),
        }
    }
    words
}

pub fn skip<'a>(events: &mut impl Iterator<Item = (Event<'a>, Range<usize>)>, ends: impl Fn(&TagEnd) -> bool) {
    // Footnotes hold no footnotes.
    for (event, _) in events.by_ref() {
        if matches!(&event, Event::End(tag) if ends(tag)) {
            break;
        }
    }
}

pub fn opens(tag: &Tag<'_>) -> &'static str {
    match tag {
        Tag::Paragraph => "<p>",
        Tag::Heading { .. } => "<h1>",
        Tag::BlockQuote(_) => "<blockquote>",
        Tag::List(_) => "<ul>",
        Tag::Item => "<li>",
        Tag::Table(_) => "<table>",
        Tag::TableHead | Tag::TableRow => "<tr>",
        Tag::TableCell => "<td>",
        Tag::Emphasis => "<em>",
        Tag::Strong => "<strong>",
        Tag::Strikethrough => "<del>",
        _ => "",
    }
}

pub fn closes(tag: TagEnd) -> &'static str {
    match tag {
        TagEnd::Paragraph => "</p>",
        TagEnd::Heading(_) => "</h1>",
        TagEnd::BlockQuote(_) => "</blockquote>",
        TagEnd::CodeBlock => "</pre>",
        TagEnd::List(_) => "</ul>",
        TagEnd::Item => "</li>",
        TagEnd::Table => "</table>",
        TagEnd::Emphasis => "</em>",
        TagEnd::Strong => "</strong>",
        TagEnd::Strikethrough => "</del>",
        TagEnd::FootnoteDefinition => "</div>",
        _ => "",
    }
}
