//! The HTML in a Markdown text, read as a browser reads the page that GitHub makes of it: comments end where HTML ends
//! them, a tag can swallow the Markdown after it, an element hides what stands in it.

use std::collections::HashMap;
use std::ops::Range;

use html5gum::emitters::default::{DefaultEmitter, StartTag, Token};
use html5gum::{HtmlString, Tokenizer};

use super::Hidden;
use super::place::{image, is_wordy, link, shows_something};

/// What becomes of a part of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Shown,
    /// Replaced; what this hides is counted already.
    Tag(String),
    /// Hidden together with all that has the same number.
    Hidden(usize),
}

/// The fates of a page, in its order and without gaps, and what was hidden by each number.
pub struct Reading {
    pub fates: Vec<(Range<usize>, Fate)>,
    pub kinds: Vec<Hidden>,
    /// Words in attributes.
    pub attributes: Vec<(usize, Hidden)>,
}

/// What GitHub turns into text, since it would change how the rest of the page is read (GFM, "Disallowed Raw HTML").
const AS_TEXT: [&str; 9] =
    ["title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "script", "plaintext"];
/// Elements that never hold anything.
const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
/// Tags that GitHub's sanitiser leaves on a page. Of others the content stays.
const KEPT: [&str; 58] = [
    "a",
    "b",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
];
/// Attributes that arrange things.
const LAYOUT: [&str; 11] =
    ["align", "border", "colspan", "dir", "height", "open", "reversed", "rowspan", "start", "valign", "width"];
/// Attributes that say nothing to anybody; they go without a word.
const SILENT: [&str; 12] =
    ["class", "id", "style", "rel", "target", "srcset", "media", "sizes", "loading", "lang", "name", "hidden"];
/// Start tags that end an open paragraph.
const BLOCKS: [&str; 24] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "details",
    "div",
    "dl",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "ul",
];

struct Open {
    name: String,
    /// The number of what it hides.
    hides: Option<usize>,
}

/// Read a page.
pub fn read(page: &str) -> Reading {
    let mut reader = Reader { page, open: Vec::new(), names: HashMap::new(), at: 0, out: Reading::new() };
    for token in Tokenizer::new_with_emitter(page, DefaultEmitter::<usize>::new_with_span()) {
        let Ok(token) = token;
        reader.token(&token);
    }
    // A tag or a comment that the page ends in.
    reader.fill(page.len());
    reader.out
}

impl Reading {
    fn new() -> Self {
        Self { fates: Vec::new(), kinds: Vec::new(), attributes: Vec::new() }
    }
}

struct Reader<'a> {
    page: &'a str,
    open: Vec<Open>,
    /// How often each name is open, so that a stray end tag costs nothing.
    names: HashMap<String, usize>,
    at: usize,
    out: Reading,
}

impl Reader<'_> {
    fn token(&mut self, token: &Token<usize>) {
        match token {
            Token::StartTag(tag) => self.start(tag),
            Token::EndTag(tag) => self.end(&said(&tag.name), tag.span.start..tag.span.end),
            Token::String(text) => {
                let fate = self.hidden().map_or(Fate::Shown, Fate::Hidden);
                self.put(text.span.start..text.span.end, fate);
            }
            Token::Comment(comment) => self.comment(comment.span.end),
            Token::Doctype(doctype) => self.comment(doctype.span.end),
            Token::Error(_) => (),
        }
    }

    fn hidden(&self) -> Option<usize> {
        // What hides is passed on to all that is opened inside.
        self.open.last().and_then(|open| open.hides)
    }

    fn hide(&mut self, kind: Hidden) -> usize {
        self.out.kinds.push(kind);
        self.out.kinds.len() - 1
    }

    fn put(&mut self, span: Range<usize>, fate: Fate) {
        let start = self.bound(span.start).max(self.at);
        self.fill(start);
        let end = self.bound(span.end);
        if end > self.at {
            self.out.fates.push((self.at..end, fate));
            self.at = end;
        }
    }

    /// What no token covers is shown to nobody.
    fn fill(&mut self, to: usize) {
        if to > self.at {
            let number = self.hidden().unwrap_or_else(|| self.hide(Hidden::Comment));
            self.out.fates.push((self.at..to, Fate::Hidden(number)));
            self.at = to;
        }
    }

    fn comment(&mut self, end: usize) {
        let end = self.bound(end).max(self.at);
        self.fill(end);
    }

    fn bound(&self, at: usize) -> usize {
        let mut at = at.min(self.page.len());
        while !self.page.is_char_boundary(at) {
            at += 1;
        }
        at
    }

    fn start(&mut self, tag: &StartTag<usize>) {
        let name = said(&tag.name);
        let name = name.as_str();
        let span = tag.span.start..tag.span.end;
        if AS_TEXT.contains(&name) {
            let fate = self.hidden().map_or(Fate::Shown, Fate::Hidden);
            return self.put(span, fate);
        }
        if BLOCKS.contains(&name) {
            self.close_paragraph();
        }
        let around = self.hidden();
        let hides = around.or_else(|| hides(tag).then(|| self.hide(Hidden::Element)));
        let fate = match hides {
            Some(number) => Fate::Hidden(number),
            None => self.shown(name, tag),
        };
        self.put(span, fate);
        if !VOID.contains(&name) {
            *self.names.entry(name.to_owned()).or_default() += 1;
            self.open.push(Open { name: name.to_owned(), hides });
        }
    }

    fn end(&mut self, name: &str, span: Range<usize>) {
        let around = self.hidden();
        if AS_TEXT.contains(&name) {
            return self.put(span, around.map_or(Fate::Shown, Fate::Hidden));
        }
        if self.names.get(name).is_some_and(|count| *count > 0) {
            while let Some(open) = self.pop() {
                if open.name == name {
                    break;
                }
            }
        }
        let fate = match around {
            Some(number) => Fate::Hidden(number),
            None if KEPT.contains(&name) => {
                let written = self.page.get(span.clone()).unwrap_or_default();
                if written.len() > name.len() + 6 {
                    self.out.attributes.push((span.start, Hidden::Attribute));
                }
                if written.len() == name.len() + 3 { Fate::Shown } else { Fate::Tag(format!("</{name}>")) }
            }
            None => Fate::Tag(String::new()),
        };
        self.put(span, fate);
    }

    fn pop(&mut self) -> Option<Open> {
        let open = self.open.pop()?;
        if let Some(count) = self.names.get_mut(&open.name) {
            *count -= 1;
        }
        Some(open)
    }

    /// As HTML has it: a paragraph can't hold a block.
    fn close_paragraph(&mut self) {
        const DEEPEST: usize = 100;
        if self.names.get("p").is_none_or(|count| *count == 0) {
            return;
        }
        let inner = self.open.iter().rev().take(DEEPEST);
        let scope = |open: &&Open| !matches!(open.name.as_str(), "table" | "td" | "th" | "caption" | "button");
        let Some(depth) = inner.take_while(scope).position(|open| open.name == "p") else {
            return;
        };
        for _ in 0..=depth {
            self.pop();
        }
    }

    /// A tag without what people don't see of it.
    fn shown(&mut self, name: &str, tag: &StartTag<usize>) -> Fate {
        let mut kept = format!("<{name}");
        let mut changed = !KEPT.contains(&name);
        for (attribute, value) in &tag.attributes {
            let (attribute, value) = (said(attribute), said(&value.value));
            let attribute = attribute.as_str();
            let short = value.len() <= 8 && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '%');
            let (stays, counts) = match (name, attribute) {
                (_, it) if LAYOUT.contains(&it) && short => (Some(value.clone()), None),
                ("img", "src") => (Some(image(&value)), (!shows_something(&value)).then_some(Hidden::Image)),
                ("img", "alt" | "title") => (None, is_wordy(&value).then_some(Hidden::Image)),
                ("a", "href") => match link(&value) {
                    None => (Some(value.clone()), None),
                    Some(cut) => (Some(cut), Some(Hidden::Label)),
                },
                (_, it) if SILENT.contains(&it) => (None, None),
                _ => (None, (value.is_empty() || is_wordy(&value)).then_some(Hidden::Attribute)),
            };
            changed |= stays.as_ref() != Some(&value);
            if let Some(stays) = stays {
                let quoted = stays.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
                kept.extend([" ", attribute, "=\"", &quoted, "\""]);
            }
            if let Some(kind) = counts {
                self.out.attributes.push((tag.span.start, kind));
            }
        }
        // The tokenizer knows one attribute of each name; a page that says two hides one.
        let written = self.page.get(tag.span.start..tag.span.end).unwrap_or_default();
        let names = written.matches('=').count();
        if !changed && names <= tag.attributes.len() {
            return Fate::Shown;
        }
        if !KEPT.contains(&name) {
            return Fate::Tag(String::new());
        }
        Fate::Tag(kept + ">")
    }
}

/// Whether an element asks not to be seen.
fn hides(tag: &StartTag<usize>) -> bool {
    const STYLES: [&str; 8] = [
        "display:none",
        "visibility:hidden",
        "visibility:collapse",
        "opacity:0",
        "font-size:0",
        "color:transparent",
        "content-visibility:hidden",
        "clip-path:",
    ];
    let style = tag.attributes.get("style".as_bytes()).map(|value| said(&value.value)).unwrap_or_default();
    let style: String = style.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
    said(&tag.name) == "template"
        || tag.attributes.contains_key("hidden".as_bytes())
        || STYLES.iter().any(|it| style.contains(it) && !style.contains("opacity:0."))
}

fn said(text: &HtmlString) -> String {
    String::from_utf8_lossy(text).into_owned()
}
