//! Links to others: people see where they lead before they follow one, and an address is too short to carry much away.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};
use url::Url;

use super::held::is_home;

/// Bytes of a query and fragment, and of a path, that a link to others may have.
const QUERY: usize = 100;
const PATH: usize = 300;

/// The links of a text, and what is to be changed about them.
pub struct Links<'a> {
    text: &'a str,
    open: Vec<Open>,
    pub edits: Vec<(Range<usize>, String)>,
}

struct Open {
    range: Range<usize>,
    refers: bool,
    to: String,
    /// Where the text between the brackets ends, and what it says.
    inner: usize,
    says: String,
}

impl<'a> Links<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, open: Vec::new(), edits: Vec::new() }
    }

    /// Take notice of an event of the parser.
    pub fn look(&mut self, event: &Event<'_>, range: &Range<usize>) {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, .. } | Tag::Image { link_type, dest_url, .. }) => {
                let refers = match link_type {
                    LinkType::Inline => false,
                    LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut => true,
                    // An address that says itself.
                    _ => return self.open.push(self.opened(range, false, "")),
                };
                self.open.push(self.opened(range, refers, dest_url));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => {
                if let Some(link) = self.open.pop() {
                    self.close(&link);
                }
                self.inside(range, "");
            }
            Event::Text(said) | Event::Code(said) => self.inside(range, said),
            Event::SoftBreak | Event::HardBreak => self.inside(range, " "),
            Event::Start(_) => (),
            _ => self.inside(range, ""),
        }
    }

    fn opened(&self, range: &Range<usize>, refers: bool, to: &str) -> Open {
        let inner = range.start + if self.text[range.start..].starts_with('!') { 2 } else { 1 };
        Open { range: range.clone(), refers, to: to.to_owned(), inner, says: String::new() }
    }

    fn inside(&mut self, range: &Range<usize>, said: &str) {
        if let Some(link) = self.open.last_mut() {
            link.inner = link.inner.max(range.end);
            link.says.push_str(said);
        }
    }

    fn close(&mut self, link: &Open) {
        if link.to.is_empty() && !link.refers {
            return;
        }
        let cut = shortened(&link.to);
        let to = cut.as_deref().unwrap_or(&link.to);
        let host = foreign(&link.to);
        let says = link.says.trim();
        let told = match &host {
            Some(host) => {
                let note = format!(" ({host})");
                let said = says == to || says.eq_ignore_ascii_case(host);
                if said || self.text[link.range.end..].starts_with(&note) { String::new() } else { note }
            }
            None => String::new(),
        };
        if !link.refers && cut.is_none() && told.is_empty() {
            return;
        }
        let tail = link.inner.min(link.range.end)..link.range.end;
        self.edits.push((tail, format!("]({}){told}", crate::text::destination(to))));
    }
}

/// The host of an address that is not ours. Browsers take `http:/host` and `http:host` for `http://host`, and so does the parser.
fn foreign(to: &str) -> Option<String> {
    // Without a scheme only two slashes lead elsewhere.
    let elsewhere = || to.starts_with("//").then(|| format!("https:{to}"));
    let url = Url::parse(to).ok().or_else(|| Url::parse(&elsewhere()?).ok())?;
    url.host_str().filter(|host| !is_home(host)).map(str::to_owned)
}

/// An address that is too long to be only that, without its query or without its path.
fn shortened(to: &str) -> Option<String> {
    foreign(to)?;
    let path = to.find(['?', '#']).unwrap_or(to.len());
    let kept = if to.len() - path > QUERY { &to[..path] } else { to };
    if path > PATH {
        return Url::parse(to).ok().map(|url| format!("{}://{}/", url.scheme(), url.host_str().unwrap_or_default()));
    }
    (kept.len() < to.len()).then(|| kept.to_owned())
}

/// The same for addresses that stand in the text by themselves, with `https://` or with `www.`.
pub fn without_long_queries(text: &str) -> String {
    let starts = starts(text);
    if starts.is_empty() {
        return text.to_owned();
    }
    let mut code: Vec<Range<usize>> = Vec::new();
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        if matches!(event, Event::Code(_) | Event::Start(Tag::CodeBlock(_))) {
            code.push(range);
        }
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (start, implied) in starts {
        let before = code.partition_point(|range| range.end <= start);
        if start < at || code.get(before).is_some_and(|range| range.start <= start) {
            continue;
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`' | ')');
        let end = text[start..].find(ends).map_or(text.len(), |length| start + length);
        if let Some(short) = shortened(&format!("{implied}{}", &text[start..end])) {
            out.push_str(&text[at..start]);
            out.push_str(&short[implied.len()..]);
            at = end;
        }
    }
    out.push_str(&text[at..]);
    out
}

/// Where addresses begin, and what is to be thought before them.
fn starts(text: &str) -> Vec<(usize, &'static str)> {
    let mut starts: Vec<(usize, &str)> = Vec::new();
    for (slashes, _) in text.match_indices("://") {
        let scheme = text[..slashes].bytes().rev().take(5).take_while(u8::is_ascii_alphabetic).count();
        if matches!(text[slashes - scheme..slashes].to_ascii_lowercase().as_str(), "http" | "https") {
            starts.push((slashes - scheme, ""));
        }
    }
    let begins = |at: usize| text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "*_~(".contains(c));
    let www = text.match_indices(['w', 'W']).map(|(at, _)| at);
    let www = www.filter(|at| text.get(*at..at + 4).is_some_and(|it| it.eq_ignore_ascii_case("www.")) && begins(*at));
    starts.extend(www.map(|at| (at, "http://")));
    starts.sort_unstable();
    starts
}
