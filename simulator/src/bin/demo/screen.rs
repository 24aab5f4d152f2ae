//! What is written to the terminal: colour where that is welcome, lines that fit its width.

use std::io::{IsTerminal as _, Write as _};

/// Widest that lines get, however wide the terminal is.
const WIDEST: usize = 100;
const USUAL: usize = 80;

/// Where the demo writes.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    pub colour: bool,
    pub width: usize,
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    /// Names of files, branches and commands.
    Code,
    Accent,
}

/// One line. A reader who has gone away (`| head`) is no error.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl Screen {
    /// Colour and width of standard output. `NO_COLOR` with any value switches colour off.
    pub fn find() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        let width = terminal_size::terminal_size().map_or(USUAL, |(width, _)| usize::from(width.0));
        Self { colour: terminal && !unwanted && !dumb, width: width.clamp(40, WIDEST) }
    }

    pub fn dim(self, text: &str) {
        say(&self.paint(Style::Dim, text));
    }

    pub fn bad(self, text: &str) {
        say(&self.paint(Style::Bad, text));
    }

    /// A heading with a rule to the edge.
    pub fn heading(self, text: &str) {
        let rule = "─".repeat(self.width.saturating_sub(width(text) + 4));
        say("");
        say(&format!("{} {} {}", self.dimmed("──"), self.paint(Style::Bold, text), self.dimmed(&rule)));
    }

    /// Text with the codes of a style around it.
    pub fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Code => "36",
            Style::Accent => "35",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A unified diff, indented, in the usual colours.
    pub fn diff(self, patch: &str) {
        for line in patch.lines() {
            // Object ids and modes say nothing to a reader.
            if line.starts_with("index ") {
                continue;
            }
            let style = match line.as_bytes().first() {
                Some(b'+') if !line.starts_with("+++") => Style::Good,
                Some(b'-') if !line.starts_with("---") => Style::Bad,
                Some(b'@') => Style::Accent,
                Some(b' ') => Style::Plain,
                _ => Style::Dim,
            };
            say(&format!("  {}", self.paint(style, line)));
        }
    }

    fn dimmed(self, text: &str) -> String {
        self.paint(Style::Dim, text)
    }
}

/// Columns that a text without colour takes. Emoji take two; that is as exact as it has to be here.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1f000}'..'\u{20000}').contains(&c) { 2 } else { usize::from(c != '\u{2060}') }).sum()
}

/// The text in one line of at most so many columns.
pub fn fit(text: &str, columns: usize) -> String {
    let text = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ⏎ ");
    if width(&text) <= columns {
        return text;
    }
    let mut kept = String::new();
    for c in text.chars() {
        if columns <= width(&kept) + 2 {
            break;
        }
        kept.push(c);
    }
    kept.trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_to_the_width() {
        assert_eq!(fit("short", 10), "short");
        assert_eq!(fit("a\n  b\n", 10), "a ⏎ b");
        let cut = fit("reacts with 👀 and goes on for long", 16);
        assert!(width(&cut) <= 16 && cut.ends_with('…'), "{cut}");
    }
}
