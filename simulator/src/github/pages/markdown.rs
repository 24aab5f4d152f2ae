//! Markdown to HTML that cannot do harm: raw HTML is shown as text, save for a few tags without attributes.

use std::fmt::Write as _;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Tags that GitHub's users write by hand, and that do nothing by themselves.
const HARMLESS: [&str; 12] = ["details", "summary", "br", "sub", "sup", "kbd", "b", "i", "em", "strong", "code", "p"];

/// What a text is about: where `#12` leads, and the lines that a suggestion in it replaces.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub repo: String,
    pub before: Vec<String>,
}

/// Text for HTML, also inside double quotes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn render(text: &str, link: &Link) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_GFM;
    let mut out = String::new();
    let (mut literal, mut in_head) = (0_u32, false);
    let (mut columns, mut column) = (Vec::new(), 0_usize);
    let mut suggestion = false;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) if &*language == "suggestion" => {
                suggestion = true;
                out.push_str("<div class=\"box diff suggestion\"><div class=\"by\">Suggested change</div><table>");
                out.extend(link.before.iter().map(|it| suggested("del", '-', it)));
            }
            Event::Text(text) if suggestion => out.extend(text.lines().map(|it| suggested("add", '+', it))),
            Event::End(TagEnd::CodeBlock) if suggestion => {
                suggestion = false;
                out.push_str("</table></div>");
            }
            Event::Start(tag) => {
                literal += u32::from(matches!(tag, Tag::CodeBlock(_) | Tag::Link { .. }));
                in_head |= matches!(tag, Tag::TableHead);
                match &tag {
                    Tag::Table(alignments) => columns.clone_from(alignments),
                    Tag::TableHead | Tag::TableRow => column = 0,
                    Tag::TableCell => column += 1,
                    _ => (),
                }
                let right = column.checked_sub(1).and_then(|it| columns.get(it)) == Some(&Alignment::Right);
                match &tag {
                    Tag::TableCell if right => {
                        out.push_str(if in_head { "<th class=\"right\">" } else { "<td class=\"right\">" });
                    }
                    _ => out.push_str(&opening(&tag, in_head)),
                }
            }
            Event::End(tag) => {
                literal -= u32::from(matches!(tag, TagEnd::CodeBlock | TagEnd::Link));
                out.push_str(&closing(tag, in_head));
                in_head &= !matches!(tag, TagEnd::TableHead);
            }
            Event::Text(text) if literal > 0 => out.push_str(&escape(&text)),
            Event::Text(text) => out.push_str(&linked(&text, link)),
            Event::Code(code) => {
                let _ = write!(out, "<code>{}</code>", escape(&code));
            }
            Event::Html(raw) | Event::InlineHtml(raw) => out.push_str(&tame(&raw)),
            // GitHub keeps the line breaks of comments.
            Event::SoftBreak | Event::HardBreak => out.push_str("<br>"),
            Event::Rule => out.push_str("<hr>"),
            Event::TaskListMarker(done) => {
                let checked = if done { " checked" } else { "" };
                let _ = write!(out, "<input type=\"checkbox\" disabled{checked}> ");
            }
            Event::FootnoteReference(_) | Event::InlineMath(_) | Event::DisplayMath(_) => {}
        }
    }
    out
}

fn suggested(class: &str, sign: char, line: &str) -> String {
    format!("<tr class=\"{class}\"><td class=\"no\">{sign}</td><td>{}</td></tr>", escape(line))
}

fn opening(tag: &Tag<'_>, in_head: bool) -> String {
    match tag {
        Tag::Paragraph => "<p>".to_owned(),
        Tag::Heading { level, .. } => format!("<{level}>"),
        Tag::BlockQuote(None) => "<blockquote>".to_owned(),
        Tag::BlockQuote(Some(kind)) => {
            let word = format!("{kind:?}");
            format!("<blockquote class=\"{}\"><b>{word}</b>", word.to_lowercase())
        }
        Tag::CodeBlock(CodeBlockKind::Fenced(language)) if &**language == "diff" => {
            "<pre class=\"patch\"><code>".to_owned()
        }
        Tag::CodeBlock(_) => "<pre><code>".to_owned(),
        Tag::List(Some(first)) => format!("<ol start=\"{first}\">"),
        Tag::List(None) => "<ul>".to_owned(),
        Tag::Item => "<li>".to_owned(),
        Tag::Strong => "<strong>".to_owned(),
        Tag::Strikethrough => "<del>".to_owned(),
        Tag::Table(_) => "<table>".to_owned(),
        Tag::TableHead | Tag::TableRow => "<tr>".to_owned(),
        Tag::TableCell => (if in_head { "<th>" } else { "<td>" }).to_owned(),
        Tag::Link { dest_url, .. } if is_web(dest_url) => format!("<a href=\"{}\">", escape(dest_url)),
        Tag::Link { .. } => "<a>".to_owned(),
        // Pictures are not loaded; their description stands for them.
        Tag::Emphasis | Tag::Image { .. } => "<em>".to_owned(),
        _ => String::new(),
    }
}

fn closing(tag: TagEnd, in_head: bool) -> String {
    match tag {
        TagEnd::Paragraph => "</p>".to_owned(),
        TagEnd::Heading(level) => format!("</{level}>"),
        TagEnd::BlockQuote(_) => "</blockquote>".to_owned(),
        TagEnd::CodeBlock => "</code></pre>".to_owned(),
        TagEnd::List(true) => "</ol>".to_owned(),
        TagEnd::List(false) => "</ul>".to_owned(),
        TagEnd::Item => "</li>".to_owned(),
        TagEnd::Emphasis | TagEnd::Image => "</em>".to_owned(),
        TagEnd::Strong => "</strong>".to_owned(),
        TagEnd::Strikethrough => "</del>".to_owned(),
        TagEnd::Table => "</table>".to_owned(),
        TagEnd::TableHead | TagEnd::TableRow => "</tr>".to_owned(),
        TagEnd::TableCell => (if in_head { "</th>" } else { "</td>" }).to_owned(),
        TagEnd::Link => "</a>".to_owned(),
        _ => String::new(),
    }
}

/// Raw HTML with comments left out, harmless tags kept, and the rest made visible.
fn tame(raw: &str) -> String {
    let mut out = String::new();
    let mut rest = raw;
    while let Some(at) = rest.find('<') {
        out.push_str(&escape(&rest[..at]));
        rest = &rest[at..];
        if rest.starts_with("<!--") {
            rest = rest.find("-->").map_or("", |end| &rest[end + 3..]);
            continue;
        }
        let end = rest.find('>').map_or(rest.len(), |it| it + 1);
        let (tag, tail) = rest.split_at(end);
        let name = tag.trim_matches(['<', '>', '/', ' ']).to_lowercase();
        let name = name.split_whitespace().next().unwrap_or_default();
        if HARMLESS.contains(&name) {
            let slash = if tag.starts_with("</") { "/" } else { "" };
            let _ = write!(out, "<{slash}{name}>");
        } else {
            out.push_str(&escape(tag));
        }
        rest = tail;
    }
    out + &escape(rest)
}

/// Text with `#12`, `@name` and addresses made into links or bold.
fn linked(text: &str, link: &Link) -> String {
    let one = |word: &str| -> String {
        let bare = word.trim_end_matches(['.', ',', ';', ':', ')', '!', '?']);
        let tail = escape(&word[bare.len()..]);
        let number = bare.strip_prefix('#').filter(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()));
        if let Some(number) = number {
            return format!("<a href=\"/{}/issues/{number}\">#{number}</a>{tail}", link.repo);
        }
        if bare.len() > 1 && bare.starts_with('@') {
            return format!("<b>{}</b>{tail}", escape(bare));
        }
        if is_web(bare) && bare.contains("://") {
            return format!("<a href=\"{0}\">{0}</a>{tail}", escape(bare));
        }
        escape(word)
    };
    text.split_inclusive(' ')
        .map(|it| match it.strip_suffix(' ') {
            Some(word) => one(word) + " ",
            None => one(it),
        })
        .collect()
}

fn is_web(url: &str) -> bool {
    let url = url.to_ascii_lowercase();
    url.starts_with("http://") || url.starts_with("https://") || (url.starts_with('/') && !url.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_no_harm() {
        let link = Link { repo: "octo/app".to_owned(), before: vec!["<old>".to_owned()] };
        let check = |text: &str, html: &str| assert_eq!(render(text, &link), html);
        check("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;");
        check("<img src=x onerror=y>", "&lt;img src=x onerror=y&gt;");
        check("<details onclick=x><summary>s</summary>\n", "<details><summary>s</summary>\n");
        check("[a](javascript:alert)", "<p><a>a</a></p>");
        check("see #2, `#3`", "<p>see <a href=\"/octo/app/issues/2\">#2</a>, <code>#3</code></p>");
        check("- [x] done", "<ul><li><input type=\"checkbox\" disabled checked> done</li></ul>");
        check("a<!-- hidden -->b", "<p>ab</p>");
        let html = render("```suggestion\nnew & <b>\n```", &link);
        assert!(html.contains("&lt;old&gt;</td>") && html.contains("new &amp; &lt;b&gt;</td>"), "{html}");
    }
}
