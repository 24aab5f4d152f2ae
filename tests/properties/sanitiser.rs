//! Texts from GitHub: what people see is kept to the letter, nothing that they don't see is left, and a second look finds
//! no more. "Nothing" is checked by parsers of Markdown and HTML over what came out, not by the code that took it out.

use std::collections::BTreeSet;

use cloud_agent::text::{plain, visible};
use html5gum::{Token, Tokenizer};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::text;

pub fn holds(data: &[u8]) {
    let text = text(data);
    let (shown, _) = visible(&text);
    nothing_hidden(&shown, &text);
    assert_eq!(visible(&shown).0, shown, "a second time, of {text:?}");

    let (simple, _) = plain(&text);
    assert!(!simple.chars().any(is_hidden) && !simple.contains(is_control), "{simple:?} of {text:?}");
    assert_eq!(plain(&simple).0, simple, "a second time, of {text:?}");

    let (written, expected) = composed(&text);
    let (shown, _) = visible(&written);
    let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(words(&shown), words(&expected), "of {written:?}");
}

/// Control characters but those that a page shows as space.
fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\n' | '\t')
}

/// Characters that carry words past a reader, from Unicode's lists. Joiners and selectors of style may stay where they
/// are part of a letter or an emoji, one at a time; `nothing_hidden` looks at that.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{FE00}'..='\u{FE0D}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}' | '\u{2028}' | '\u{2029}')
}

fn may_join(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE0E}' | '\u{FE0F}')
}

/// What a parser still finds in the output that no page shows.
fn nothing_hidden(shown: &str, of: &str) {
    assert!(!shown.contains(is_hidden) && !shown.contains(is_control), "{shown:?} of {of:?}");
    let chars: Vec<char> = shown.chars().collect();
    for three in chars.windows(3) {
        assert!(!three.iter().all(|c| may_join(*c)), "a message could be spelled in {three:?} of {of:?}");
    }

    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let parser = Parser::new_ext(shown, options);
    let definitions: Vec<&str> = parser.reference_definitions().iter().map(|(label, _)| label).collect();
    assert!(definitions.is_empty(), "{definitions:?} in {shown:?} of {of:?}");
    let (mut page, mut notes, mut used) = (String::new(), BTreeSet::new(), BTreeSet::new());
    let mut alt: Option<String> = None;
    for event in parser {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => page.push_str(&html),
            Event::Text(said) | Event::Code(said) => {
                page.push('x');
                if let Some(alt) = &mut alt {
                    alt.push_str(&said);
                }
            }
            Event::Start(Tag::FootnoteDefinition(label)) => _ = notes.insert(label.to_string()),
            Event::FootnoteReference(label) => _ = used.insert(label.to_string()),
            Event::Start(Tag::Link { title, .. }) => assert!(title.is_empty(), "{title:?} of {of:?}"),
            Event::Start(Tag::Image { title, .. }) => {
                assert!(title.is_empty(), "{title:?} of {of:?}");
                alt = Some(String::new());
            }
            Event::End(TagEnd::Image) => {
                let words = alt.take().unwrap_or_default();
                assert!(!words.contains(char::is_whitespace), "{words:?} in a picture of {of:?}");
            }
            _ => (),
        }
    }
    assert!(notes.is_subset(&used), "{notes:?} without {used:?} in {shown:?} of {of:?}");
    for token in Tokenizer::new(&page) {
        let Ok(token) = token;
        match token {
            Token::Comment(said) => panic!("a comment {said:?} in {shown:?} of {of:?}"),
            Token::Doctype(_) => panic!("a declaration in {shown:?} of {of:?}"),
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                for (attribute, value) in &tag.attributes {
                    let attribute = String::from_utf8_lossy(attribute).into_owned();
                    let fits = AS_TEXT.contains(&name.as_str())
                        || matches!(attribute.as_str(), "href" | "src")
                        || (LAYOUT.contains(&attribute.as_str()) && value.len() <= 8);
                    assert!(fits, "{attribute} of <{name}> in {shown:?} of {of:?}");
                }
            }
            _ => (),
        }
    }
}

/// GitHub shows these tags as the text that they are.
const AS_TEXT: [&str; 9] =
    ["title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "script", "plaintext"];
const LAYOUT: [&str; 11] =
    ["align", "border", "colspan", "dir", "height", "open", "reversed", "rowspan", "start", "valign", "width"];

/// A document out of plain paragraphs and hidden things, as the input's lines say, and what people see of it.
fn composed(text: &str) -> (String, String) {
    let (mut written, mut expected) = (String::new(), String::new());
    for (at, line) in text.lines().take(20).enumerate() {
        let kind = line.bytes().next().unwrap_or_default();
        let words: String = line.chars().filter(|c| is_plain(*c) || ",.;?!()'%/".contains(*c)).collect();
        let words = words.trim();
        let hidden: String = line.chars().filter(|c| is_plain(*c)).collect();
        let hidden = hidden.trim();
        if words.is_empty() || hidden.is_empty() {
            continue;
        }
        let tags = || hidden.bytes().map(|b| char::from_u32(0xE0000 + u32::from(b)).unwrap_or(' ')).collect::<String>();
        let (source, seen) = match kind % 13 {
            0 => (format!("<!-- {words} -->"), String::new()),
            1 => (format!("<!-- {words}\n\n{words} -->"), String::new()),
            2 => (format!("[//]: # ({hidden})"), String::new()),
            3 => (format!("<p hidden>{words}</p>"), String::new()),
            4 => (format!("<div style=\"display:none\">\n\n{words}\n\n</div>"), String::new()),
            5 => (format!("[^n{at}]: {words}"), String::new()),
            6 => (words.chars().flat_map(|c| [c, '\u{200B}']).collect(), words.to_owned()),
            7 => (format!("![{hidden}](https://example.com/x)"), "![](https://example.com/)".to_owned()),
            8 => (format!("x <b title=\"{hidden}\">{words}</b>"), format!("x <b>{words}</b>")),
            9 => (format!("```\n{words} <!-- {words} -->\n```"), format!("```\n{words} <!-- {words} -->\n```")),
            10 => (format!("x{}", tags()), "x".to_owned()),
            _ => (words.to_owned(), words.to_owned()),
        };
        written.extend([&source, "\n\n"]);
        expected.extend([&seen, "\n\n"]);
    }
    (written, expected)
}

/// Characters that mean nothing to Markdown or HTML, and that everybody sees.
fn is_plain(c: char) -> bool {
    (c.is_alphanumeric() || c == ' ') && !is_hidden(c) && !matches!(c, '\u{17B4}' | '\u{17B5}')
}
