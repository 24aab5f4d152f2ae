//! Markdown without what its page does not show. The parser's events say what is shown, and from where in the source; the
//! page that they make, with one letter for each piece of text, is what `html` reads.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::events::{alt, closes, folded, opens, skip};
use super::html::{self, Fate};
use super::invisible::{invisible_entities, is_invisible};
use super::place::{escaped, image, is_wordy, link, shows_something};
use super::{Hidden, Removed};

/// What GitHub knows of Markdown. Not formulas: what their dollars protect here may be none there.
fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// The source without what is hidden; what that is, is counted.
pub fn without_hidden(source: &str, removed: &mut Removed) -> String {
    let mut page = Page::new(source);
    page.walk();
    page.definitions();
    page.html(removed);
    for (_, _, kind) in &page.edits {
        if let Some(kind) = kind {
            removed.add(*kind, 1);
        }
    }
    apply(source, page.edits)
}

/// Where the source has what is not shown.
pub fn hidden_ranges(source: &str) -> Vec<Range<usize>> {
    let mut page = Page::new(source);
    page.walk();
    page.definitions();
    page.html(&mut Removed::default());
    page.edits.into_iter().filter(|(_, new, _)| new.is_empty()).map(|(range, ..)| range).collect()
}

type Edit = (Range<usize>, String, Option<Hidden>);

/// Make the edits; of two that overlap the first counts, and the second where it reaches further.
fn apply(source: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(range, _, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    for (range, new, _) in edits {
        if range.start >= at {
            out.push_str(&source[at..range.start]);
            out.push_str(&new);
        }
        at = at.max(range.end);
    }
    out.push_str(&source[at..]);
    out
}

/// A piece of the page that stands in the source.
struct Piece {
    page: Range<usize>,
    source: Range<usize>,
    /// The same letters in both, and not one for all.
    html: bool,
}

/// A link that is open, and where its last child ends.
struct OpenLink {
    range: Range<usize>,
    kind: LinkType,
    to: String,
    title: String,
    label: String,
    inner: usize,
}

struct Page<'a> {
    source: &'a str,
    html: String,
    pieces: Vec<Piece>,
    edits: Vec<Edit>,
    /// Where each line of the source begins, and whether something of it is shown.
    lines: Vec<usize>,
    seen: Vec<bool>,
    links: Vec<OpenLink>,
    /// Normalised labels of definitions that are referred to.
    used: HashSet<String>,
}

impl<'a> Page<'a> {
    fn new(source: &'a str) -> Self {
        let lines: Vec<usize> = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let seen = vec![false; lines.len()];
        Self {
            source,
            html: String::new(),
            pieces: Vec::new(),
            edits: Vec::new(),
            lines,
            seen,
            links: Vec::new(),
            used: HashSet::new(),
        }
    }

    fn see(&mut self, range: &Range<usize>) {
        let line_of = |at: usize| self.lines.partition_point(|start| *start <= at).saturating_sub(1);
        let (first, last) = (line_of(range.start), line_of(range.end.max(range.start + 1) - 1));
        self.seen[first..=last].fill(true);
    }

    fn piece(&mut self, range: Range<usize>, html: bool) {
        self.see(&range);
        if let Some(link) = self.links.last_mut() {
            link.inner = link.inner.max(range.end);
        }
        let start = self.html.len();
        if html {
            self.html.push_str(&self.source[range.clone()]);
        } else {
            let blank = self.source[range.clone()].trim().is_empty();
            self.html.push(if blank { ' ' } else { 'x' });
        }
        self.pieces.push(Piece { page: start..self.html.len(), source: range, html });
    }

    fn edit(&mut self, range: Range<usize>, new: impl Into<String>, kind: Option<Hidden>) {
        let new = new.into();
        if self.source[range.clone()] != new {
            self.edits.push((range, new, kind));
        }
    }

    fn walk(&mut self) {
        let events: Vec<_> = Parser::new_ext(self.source, options()).into_offset_iter().collect();
        let mut notes: HashMap<String, usize> = HashMap::new();
        for (event, _) in &events {
            if let Event::FootnoteReference(label) = event {
                let next = notes.len() + 1;
                notes.entry(label.to_string()).or_insert(next);
            }
        }
        let mut cell = 0;
        let mut events = events.into_iter();
        while let Some((event, range)) = events.next() {
            match event {
                Event::Text(said) => {
                    let entity = self.source[range.clone()].starts_with('&');
                    if entity && said.chars().all(is_invisible) {
                        self.see(&range);
                        self.edit(range, "", Some(Hidden::Invisible));
                    } else {
                        self.piece(range, false);
                    }
                }
                Event::Html(_) | Event::InlineHtml(_) => self.piece(range, true),
                Event::FootnoteReference(label) => {
                    if is_wordy(&label) {
                        let number = notes.get(&*label).copied().unwrap_or_default();
                        self.edit(range.clone(), format!("[^{number}]"), Some(Hidden::Label));
                    }
                    self.piece(range, false);
                }
                Event::Code(_)
                | Event::TaskListMarker(_)
                | Event::InlineMath(_)
                | Event::DisplayMath(_)
                | Event::SoftBreak
                | Event::HardBreak
                | Event::Rule => self.piece(range, false),
                Event::Start(Tag::Image { dest_url, title, id, .. }) => {
                    self.used.insert(folded(&id));
                    let alt = alt(&mut events);
                    self.picture(range, &dest_url, &title, &alt);
                }
                Event::Start(Tag::FootnoteDefinition(label)) => match notes.get(&*label) {
                    Some(number) if is_wordy(&label) => {
                        let opens = range.start..(range.start + label.len() + 4).min(range.end);
                        if self.source.get(opens.clone()) == Some(&format!("[^{label}]:")) {
                            self.edit(opens, format!("[^{number}]:"), Some(Hidden::Label));
                        }
                        self.html.push_str("<div>");
                    }
                    Some(_) => self.html.push_str("<div>"),
                    None => {
                        skip(&mut events, |end| matches!(end, TagEnd::FootnoteDefinition));
                        self.see(&range);
                        self.edit(range, "", Some(Hidden::Definition));
                    }
                },
                Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                    self.used.insert(folded(&id));
                    self.see(&range);
                    self.html.push_str("<a href=\"\">");
                    let inner = range.start + 1;
                    let (to, title, label) = (dest_url.to_string(), title.to_string(), id.to_string());
                    self.links.push(OpenLink { range, kind: link_type, to, title, label, inner });
                }
                Event::End(TagEnd::Link) => {
                    self.html.push_str("</a>");
                    if let Some(link) = self.links.pop() {
                        self.link(&link);
                    }
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    self.see(&range);
                    if let CodeBlockKind::Fenced(info) = kind {
                        self.fence(&range, &info);
                    }
                    self.html.push_str("<pre>");
                }
                Event::End(TagEnd::TableCell) => {
                    self.html.push_str("</td>");
                    cell = range.end;
                }
                Event::End(TagEnd::TableRow | TagEnd::TableHead) => {
                    self.html.push_str("</tr>");
                    // A row ends with its line.
                    let ends = range.start + self.source[range.clone()].trim_end().len();
                    let rest = cell.clamp(range.start, ends)..ends;
                    if cell > range.start && self.source[rest.clone()].contains(char::is_alphanumeric) {
                        self.edit(rest, "|", Some(Hidden::Element));
                    }
                }
                Event::Start(tag) => self.html.push_str(opens(&tag)),
                Event::End(tag) => {
                    if let (Some(link), false) = (self.links.last_mut(), range.is_empty()) {
                        link.inner = link.inner.max(range.end);
                    }
                    self.html.push_str(closes(tag));
                }
            }
        }
    }

    fn picture(&mut self, range: Range<usize>, to: &str, title: &str, alt: &str) {
        let words = is_wordy(alt) || !title.is_empty() || !shows_something(to);
        let shown = format!("![]({})", escaped(&image(to)));
        self.edit(range.clone(), shown, words.then_some(Hidden::Image));
        // Whether the picture itself is shown decides the page around it.
        self.piece(range, false);
    }

    /// Where a link leads is written beside its text, and nothing else is.
    fn link(&mut self, link: &OpenLink) {
        if let Some(outer) = self.links.last_mut() {
            outer.inner = outer.inner.max(link.range.end);
        }
        let refers = match link.kind {
            LinkType::Inline => false,
            LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut => true,
            _ => return,
        };
        let cut = self::link(&link.to);
        let labelled = link.kind == LinkType::Reference && is_wordy(&link.label);
        let says = !link.title.is_empty() || cut.is_some() || labelled;
        let tail = link.inner.min(link.range.end)..link.range.end;
        if refers || says {
            let to = cut.as_deref().unwrap_or(&link.to);
            self.edit(tail, format!("]({})", escaped(to)), says.then_some(Hidden::Label));
        }
    }

    /// Beside a code block stands the name of its language.
    fn fence(&mut self, range: &Range<usize>, info: &str) {
        let first: String = info
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .chars()
            .take_while(|c| !matches!(c, '{' | ','))
            .collect();
        let name = if first.len() <= 30 && first.chars().all(|c| c.is_ascii_alphanumeric() || "+#._-".contains(c)) {
            first.as_str()
        } else {
            ""
        };
        if info.trim() == name {
            return;
        }
        let line = self.source[range.clone()].lines().next().unwrap_or_default();
        let fence = line.len() - line.trim_start().trim_start_matches(['`', '~']).len();
        self.edit(range.start + fence..range.start + line.len(), name, Some(Hidden::Label));
    }

    /// Definitions, and lines of which nothing is shown at all: a second definition of the same label, for example.
    fn definitions(&mut self) {
        let parser = Parser::new_ext(self.source, options());
        let definitions: Vec<_> =
            parser.reference_definitions().iter().map(|(label, it)| (folded(label), it.span.clone())).collect();
        for (label, span) in definitions {
            self.see(&span);
            let kind = (!self.used.contains(&label)).then_some(Hidden::Definition);
            self.edit(span, "", kind);
        }
        let ends = self.lines.iter().skip(1).copied().chain([self.source.len()]);
        let unseen: Vec<Range<usize>> = self
            .lines
            .iter()
            .zip(ends)
            .zip(&self.seen)
            .filter(|((start, end), seen)| !**seen && self.source[**start..*end].contains(char::is_alphabetic))
            .map(|((start, end), _)| *start..end)
            .collect();
        for line in unseen {
            self.edit(line, "\n", Some(Hidden::Definition));
        }
    }

    /// What the page shows of HTML and of what stands in it.
    fn html(&mut self, removed: &mut Removed) {
        let reading = html::read(&self.html);
        let mut counted = vec![false; reading.kinds.len()];
        let mut fates = reading.fates.iter().peekable();
        // The last hidden piece, to hide what stands between it and the next of the same number.
        let mut last: Option<(usize, usize)> = None;
        let mut at_html = HashSet::new();
        for piece in std::mem::take(&mut self.pieces) {
            while fates.next_if(|(span, _)| span.end <= piece.page.start).is_some() {}
            let mut ahead = fates.clone();
            while let Some((span, fate)) = ahead.next_if(|(span, _)| span.start < piece.page.end) {
                let (from, to) = (span.start.max(piece.page.start), span.end.min(piece.page.end));
                let source = match piece.html {
                    true => piece.source.start + from - piece.page.start..piece.source.start + to - piece.page.start,
                    false => piece.source.clone(),
                };
                if piece.html && from == span.start {
                    at_html.insert(span.start);
                }
                match fate {
                    Fate::Shown => {
                        if piece.html {
                            self.entities(source);
                        }
                        last = None;
                    }
                    // A tag that goes over several lines is replaced by its first piece.
                    Fate::Tag(new) => {
                        self.edit(source, if from == span.start { new.as_str() } else { "" }, None);
                        last = None;
                    }
                    Fate::Hidden(number) => {
                        let start = last.filter(|(same, _)| same == number).map_or(source.start, |(_, end)| end);
                        self.edit(start.min(source.start)..source.end, "", None);
                        last = Some((*number, source.end));
                        if let Some(counted) = counted.get_mut(*number) {
                            *counted = true;
                        }
                    }
                }
            }
        }
        for (kind, counted) in reading.kinds.iter().zip(counted) {
            removed.add(*kind, usize::from(counted));
        }
        for (at, kind) in reading.attributes {
            removed.add(kind, usize::from(at_html.contains(&at)));
        }
    }

    /// Entities of characters without a glyph, in the text of HTML.
    fn entities(&mut self, range: Range<usize>) {
        for it in invisible_entities(&self.source[range.clone()]) {
            self.edit(range.start + it.start..range.start + it.end, "", Some(Hidden::Invisible));
        }
    }
}
