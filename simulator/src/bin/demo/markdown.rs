//! Markdown as people see it, for a terminal: what GitHub hides stays hidden, marks become colour, lines are wrapped.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::screen::{Screen, Style, say, width};

/// Print it, indented by two columns.
pub fn print(screen: Screen, text: &str) {
    for line in render(screen, text) {
        say(format!("  {line}").trim_end());
    }
}

/// The lines of a text.
fn render(screen: Screen, text: &str) -> Vec<String> {
    let mut page = Page::new(screen);
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_GFM;
    for event in Parser::new_ext(text, options) {
        page.take(event);
    }
    page.break_block();
    while page.lines.last().is_some_and(|it| it.trim().is_empty()) {
        page.lines.pop();
    }
    page.lines
}

struct Page {
    screen: Screen,
    lines: Vec<String>,
    /// Words of the paragraph in work, each with its style; `\n` is a break.
    words: Vec<(String, Style)>,
    styles: Vec<Style>,
    /// What the next line of a list item starts with.
    bullet: String,
    /// Columns that lists and quotes take on the left.
    indent: Vec<&'static str>,
    code: bool,
    table: Vec<Vec<String>>,
    cell: Option<String>,
}

impl Page {
    fn new(screen: Screen) -> Self {
        Self {
            screen,
            lines: Vec::new(),
            words: Vec::new(),
            styles: Vec::new(),
            bullet: String::new(),
            indent: Vec::new(),
            code: false,
            table: Vec::new(),
            cell: None,
        }
    }

    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code => {
                for line in text.lines() {
                    self.put(&format!("    {}", self.screen.paint(Style::Code, line)));
                }
            }
            Event::Text(text) => self.add(&text, None),
            Event::Code(code) if self.screen.colour => self.add(&code, Some(Style::Code)),
            Event::Code(code) => self.add(&format!("`{code}`"), None),
            Event::SoftBreak | Event::HardBreak => self.words.push(("\n".to_owned(), Style::Plain)),
            Event::Rule => {
                self.break_block();
                let rule = "─".repeat(20);
                self.put(&self.screen.paint(Style::Dim, &rule));
                self.blank();
            }
            Event::TaskListMarker(done) => (if done { "☑ " } else { "☐ " }).clone_into(&mut self.bullet),
            // Of the few tags that the bot writes, only this one changes what is seen.
            Event::InlineHtml(tag) if &*tag == "<sub>" => self.styles.push(Style::Dim),
            Event::InlineHtml(tag) if &*tag == "</sub>" => _ = self.styles.pop(),
            _ => (),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Heading { .. } | Tag::Strong => self.styles.push(Style::Bold),
            Tag::Link { .. } => self.styles.push(Style::Code),
            Tag::BlockQuote(_) => self.indent.push("│ "),
            Tag::Item => {
                self.break_paragraph();
                "• ".clone_into(&mut self.bullet);
                self.indent.push("  ");
            }
            Tag::CodeBlock(kind) => {
                if matches!(kind, CodeBlockKind::Fenced(language) if &**language == "suggestion") {
                    self.put(&self.screen.paint(Style::Dim, "Suggested in its place:"));
                }
                self.code = true;
            }
            Tag::Table(_) => self.table.clear(),
            Tag::TableHead | Tag::TableRow => self.table.push(Vec::new()),
            Tag::TableCell => self.cell = Some(String::new()),
            _ => (),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.break_block();
                self.styles.pop();
            }
            TagEnd::Strong | TagEnd::Link => _ = self.styles.pop(),
            TagEnd::Paragraph => self.break_block(),
            TagEnd::BlockQuote(_) => {
                self.break_paragraph();
                // The empty line after the quote stands outside of it.
                while self.lines.last().is_some_and(|it| it.trim_end() == "│") {
                    self.lines.pop();
                }
                self.indent.pop();
                self.blank();
            }
            TagEnd::Item => {
                self.break_paragraph();
                self.indent.pop();
            }
            TagEnd::List(_) => self.blank(),
            TagEnd::CodeBlock => {
                self.code = false;
                self.blank();
            }
            TagEnd::TableCell => {
                let cell = self.cell.take().unwrap_or_default();
                self.table.last_mut().into_iter().for_each(|row| row.push(cell.clone()));
            }
            TagEnd::Table => self.rows(),
            _ => (),
        }
    }

    fn add(&mut self, text: &str, style: Option<Style>) {
        if let Some(cell) = &mut self.cell {
            cell.push_str(text);
            return;
        }
        let style = style.or(self.styles.last().copied()).unwrap_or(Style::Plain);
        for word in text.split_inclusive(' ') {
            self.words.push((word.to_owned(), style));
        }
    }

    /// A table's rows with their columns below each other.
    fn rows(&mut self) {
        let table = std::mem::take(&mut self.table);
        let columns = table.iter().map(Vec::len).max().unwrap_or(0);
        let wide =
            |column: usize| table.iter().filter_map(|row| row.get(column)).map(|it| width(it)).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(wide).collect();
        for (number, row) in table.iter().enumerate() {
            let pad = |(cell, wide): (&String, &usize)| cell.clone() + &" ".repeat(wide - width(cell).min(*wide));
            let line = row.iter().zip(&widths).map(pad).collect::<Vec<_>>().join("  ");
            let style = if number == 0 { Style::Dim } else { Style::Plain };
            self.put(&self.screen.paint(style, line.trim_end()));
        }
        self.blank();
    }

    fn break_block(&mut self) {
        if self.break_paragraph() {
            self.blank();
        }
    }

    /// Wrap the words so far; false if there were none.
    fn break_paragraph(&mut self) -> bool {
        let words = std::mem::take(&mut self.words);
        if words.is_empty() {
            return false;
        }
        let room = self.screen.width.saturating_sub(4 + self.indent.iter().map(|it| width(it)).sum::<usize>());
        let (mut line, mut used) = (String::new(), 0);
        for (word, style) in words {
            let wide = width(word.trim_end());
            if word == "\n" || (0 < used && room < used + wide) {
                self.put(line.trim_end());
                (line, used) = (String::new(), 0);
            }
            if word != "\n" {
                line.push_str(&self.screen.paint(style, &word));
                used += width(&word);
            }
        }
        self.put(line.trim_end());
        true
    }

    /// One line, below the bullet or quote it belongs to.
    fn put(&mut self, line: &str) {
        let mut margin = self.indent.concat();
        if !self.bullet.is_empty() {
            let kept = margin.len().saturating_sub(2);
            margin.truncate(kept);
            margin.push_str(&std::mem::take(&mut self.bullet));
        }
        let margin = if margin.contains('│') { self.screen.paint(Style::Dim, &margin) } else { margin };
        self.lines.push(margin + line);
    }

    fn blank(&mut self) {
        if self.lines.last().is_some_and(|it| !it.trim().is_empty()) {
            let margin = self.indent.concat();
            self.lines.push(margin.trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_what_github_shows_them() {
        let screen = Screen { colour: false, width: 40 };
        let text = "<!-- hidden -->\n### Opened #2\n\n> fix this\n\nIt adds `now`, and that is quite a long line.\n\
                    - [x] Look\n- [ ] **Run**\n\n| a | b |\n|---|--:|\n| `x` | 1 |\n\n<sub>3 s</sub>";
        let lines = render(screen, text).join("\n");
        let seen = "Opened #2\n\n│ fix this\n\nIt adds `now`, and that is quite a\nlong line.\n\
                    \n☑ Look\n☐ Run\n\na    b\n`x`  1\n\n3 s";
        assert_eq!(lines, seen);
    }
}
