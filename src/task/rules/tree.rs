//! YAML as a tree that remembers where everything stands. Only what settings need: keys and values, lists, and words; no
//! anchors, aliases and tags, and so nothing that grows when it is read.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span};

use super::mistake::{Mistake, Spot, shown};
use crate::text;

/// No larger file than this is read, in bytes.
pub const LARGEST: usize = 64 * 1024;
/// Deeper than any setting.
const DEEPEST: usize = 16;

/// A part of the file.
#[derive(Debug)]
pub struct Node {
    /// Where it starts; all of it when it is on one line.
    pub spot: Spot,
    pub one_line: bool,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// A word or a text; `plain` without quotes, when it may also be a number, a truth value or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// Something that was told already.
    Broken,
}

/// The tree of a file; nothing for an empty one, and for one that is no YAML, which is then told.
pub fn parse(text: &str, mistakes: &mut Vec<Mistake>) -> Option<Node> {
    if LARGEST < text.len() {
        mistakes.push(Spot::START.says(format!("the file is larger than {} KB", LARGEST / 1024)));
        return None;
    }
    mistakes.extend(unseen(text));
    // A carriage return alone begins a line to YAML, and to nobody who looks at the file: a key could hide in a comment, and
    // the lines of all other mistakes would be wrong.
    if text.lines().any(|line| line.contains('\r')) {
        return None;
    }
    let options = granit_parser::options! {
        disallow_directives: true,
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let mut builder = Builder { text, mistakes, open: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                if !builder.take(event, span) {
                    break;
                }
            }
            Err(error) => {
                let at = error.marker();
                let spot = within(text, at.line(), at.col());
                builder.mistakes.push(spot.says(words(error.kind())));
                return None;
            }
        }
    }
    builder.root
}

/// Lists and maps that have begun and not ended.
struct Builder<'a> {
    text: &'a str,
    mistakes: &'a mut Vec<Mistake>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: u32,
}

struct Open {
    start: Span,
    map: bool,
    nodes: Vec<Node>,
}

impl Builder<'_> {
    /// Whether to go on.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let spot = spot_of(span);
                    self.mistakes.push(spot.says("a second document starts here, but only one is read"));
                    return false;
                }
            }
            Event::Scalar(text, style, _, _) => {
                let tagged = self.tag(span);
                let plain = style == ScalarStyle::Plain;
                // A value that is left out comes as `~` without any text.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                let spot = spot_of(span);
                let unseen = text.chars().find(|c| is_unseen(*c));
                // The characters themselves were told before, and their escapes were not.
                let raw = span.slice(self.text).unwrap_or_default();
                self.mistakes.extend(unseen.filter(|c| !raw.contains(*c)).map(|c| spot.says(unseen_words(c))));
                let broken = tagged || unseen.is_some();
                let what = if broken { What::Broken } else { What::Scalar { text, plain } };
                self.add(Node { spot, one_line: span.start.line() == span.end.line(), what });
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let spot = spot_of(span);
                let name = shown(span.slice(self.text).unwrap_or("*"));
                self.mistakes
                    .push(spot.says(format!("{name} is an alias to YAML, and none are read; put it in quotes")));
                self.add(Node { spot, one_line: true, what: What::Broken });
            }
            Event::Anchor(_, name) => {
                let name = shown(&format!("&{name}"));
                self.mistakes.push(spot_of(span).says(format!("{name} is an anchor to YAML, and none are read")));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                self.tag(span);
                let map = matches!(event, Event::MappingStart(..));
                self.open.push(Open { start: span, map, nodes: Vec::new() });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { start, map, nodes }) = self.open.pop() {
                    let what = if map { What::Map(pairs(nodes)) } else { What::List(nodes) };
                    let one_line = !start.is_empty() && start.start.line() == span.end.line();
                    let spot = if one_line { spot_of(Span::new(start.start, span.end)) } else { spot_of(start) };
                    self.add(Node { spot, one_line, what });
                }
            }
            _ => (),
        }
        true
    }

    /// Whether the node has a tag, which is told.
    fn tag(&mut self, span: Span) -> bool {
        let Some(tag) = span.tag_span() else { return false };
        let name = shown(tag.slice(self.text).unwrap_or("!"));
        self.mistakes.push(spot_of(tag).says(format!("{name} is a tag to YAML, and none are read; put it in quotes")));
        true
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => self.root = self.root.take().or(Some(node)),
        }
    }
}

fn pairs(nodes: Vec<Node>) -> Vec<(Node, Node)> {
    let mut out = Vec::with_capacity(nodes.len() / 2);
    let mut nodes = nodes.into_iter();
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        out.push((key, value));
    }
    out
}

fn spot_of(span: Span) -> Spot {
    let (start, end) = (span.start, span.end);
    let last = if start.line() == end.line() { end.col() } else { start.col() };
    Spot::new(start.line(), start.col() + 1, last + 1)
}

/// A place that is in the file: the parser finds the end of it missing a line after the last one.
fn within(text: &str, line: usize, column: usize) -> Spot {
    let last = text.lines().count().max(1);
    if line <= last {
        return Spot::new(line, column + 1, column + 2);
    }
    let width = text.lines().next_back().unwrap_or_default().chars().count();
    Spot::new(last, width.max(1), width.max(1) + 1)
}

/// The first character on each line that people who look at the file don't see.
fn unseen(text: &str) -> impl Iterator<Item = Mistake> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    text.lines().enumerate().filter_map(|(index, line)| {
        let (column, c) = line.chars().enumerate().find(|(_, c)| *c == '\r' || is_unseen(*c))?;
        Some(Spot::new(index + 1, column + 1, column + 2).says(unseen_words(c)))
    })
}

/// Instructions to an agent that nobody sees are how a pull request smuggles them past a review. The variation selector is
/// let through because it makes an emoji of a sign, and carries nothing.
fn is_unseen(c: char) -> bool {
    c != '\u{FE0F}' && (text::is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}'))
}

fn unseen_words(c: char) -> String {
    format!("a character stands here that people don't see (U+{:04X})", u32::from(c))
}

/// What is wrong, in words for people who don't know the parser.
fn words(kind: &ErrorKind) -> String {
    use ErrorKind::*;
    match kind {
        TabNotAllowed | TabInBlockIndentation | TabInIndentation | TabAtBlockScalarStart | TabInPlainScalar => {
            "a tab stands here; YAML is indented with spaces".to_owned()
        }
        DirectiveDisallowed => "lines that start with `%` are not read".to_owned(),
        RecursionLimitExceeded => "this is nested too deeply".to_owned(),
        UnclosedFlowCollection { open } => format!("the `{open}` is never closed"),
        UnclosedQuotedScalar | InvalidQuotedScalarIndent => "a quoted text is not closed, or not indented".to_owned(),
        UnexpectedCharacter { character } => {
            format!("no value starts with {}; put it in quotes", shown(&character.to_string()))
        }
        MappingValueNotAllowed => {
            "no value may stand here; is a line indented wrongly, or a text with `: ` not in quotes?".to_owned()
        }
        other => format!("YAML can't be read from here on: {}", other.to_string().replace('`', "'")),
    }
}
