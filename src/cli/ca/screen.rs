//! What reaches the terminal. People and agents wrote much of it: none of that may speak to the terminal itself.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, IsTerminal as _, Result, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use console::Style;
use serde_json::{Value, json};

use super::trouble::FAILED;
use crate::text;

/// Whether programs read what goes wrong.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on say what goes wrong as JSON.
pub fn use_json() {
    JSON.store(true, Ordering::Relaxed);
}

pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// A text that moves no cursor, colours nothing and shows all that it says. Line breaks and tabs stay.
pub fn harmless(said: &str) -> String {
    let said = text::without_sequences(said);
    let (said, _) = text::without_invisible(&said.replace("\r\n", "\n"));
    // It would begin the line again, over what stands there.
    said.replace('\r', " ")
}

/// The same for all texts in an answer.
pub fn harmless_json(said: &Value) -> Value {
    text::redact_json(said, harmless)
}

/// JSON with the same values, in which such characters are escaped.
pub fn escaped_json(said: &str) -> String {
    let mut out = String::with_capacity(said.len());
    let mut units = [0; 2];
    for c in said.chars() {
        // Outside of texts JSON has no other characters than these.
        if matches!(c, '\n' | '\r') {
            out.push(' ');
        } else if text::is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Print lines for whoever asked. They are harmless already, and may have colours of ours.
pub fn tell(lines: &str) {
    try_tell(lines).unwrap_or_else(|error| unwritten(&error));
}

/// The same for those who have more to say when it can't be printed.
pub fn try_tell(lines: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{lines}").and_then(|()| out.flush())
}

/// Give a program bytes as they are.
pub fn give(bytes: &[u8]) {
    let mut out = std::io::stdout();
    out.write_all(bytes).and_then(|()| out.flush()).unwrap_or_else(|error| unwritten(&error));
}

/// End because nobody gets the answer. A closed pipe (`ca task list | head`) is no error; a full disk is one.
fn unwritten(error: &Error) -> ! {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    let says = format!("the answer could not be written: {error}");
    match is_json() {
        true => tell_problem(&json!({ "code": "unwritten", "detail": says })),
        false => tell_error(&says),
    }
    std::process::exit(FAILED.into());
}

/// Say something beside the answer, to people alone: a script reads none of it.
pub fn hint(words: &str) {
    if std::io::stderr().is_terminal() {
        note(&dim().for_stderr().apply_to(words).to_string());
    }
}

/// Say something that scripts may want in their log as well.
pub fn note(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Say what went wrong.
pub fn tell_error(words: &str) {
    let words = harmless(words);
    note(&Style::new().red().for_stderr().apply_to(format!("ca: {words}")).to_string());
}

/// Say it to a program, on one line.
pub fn tell_problem(problem: &Value) {
    note(&escaped_json(&problem.to_string()));
}

/// Whether the answer is for people.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether a live view can be drawn, and people look at it.
pub fn is_live() -> bool {
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal() && !console::is_dumb()
}

/// Whether somebody can be asked.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

pub fn dim() -> Style {
    Style::new().dim()
}

/// A status in the colour that people expect.
pub fn status(name: &str) -> String {
    let style = match name {
        "completed" | "done" | "ready" | "ok" => Style::new().green(),
        "failed" | "unavailable" => Style::new().red(),
        "cancelled" | "waiting" | "degraded" => Style::new().yellow(),
        "running" | "publishing" => Style::new().cyan(),
        _ => Style::new(),
    };
    style.apply_to(name).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn nothing_that_is_said_speaks_to_the_terminal() {
        let check = |said: &str, shown: &str| assert_eq!(harmless(said), shown, "{said:?}");
        check("plain\n\ttext", "plain\n\ttext");
        check("\u{1b}[31mred\u{1b}[0m \u{9b}2J", "red ");
        check("\u{1b}]0;title\u{7}x\u{1b}]52;c;aGk=\u{1b}\\", "x");
        check("all well\rfailed\u{8}\u{8}", "all well failed");
        check("a\r\nb", "a\nb");
        check("\u{202e}drawkcab\u{200b}", "drawkcab");
        check("a\u{2028}b", "a b");
    }

    #[test]
    fn json_keeps_its_values_and_loses_its_teeth() {
        let said = serde_json::json!({ "a": "x\u{9b}2J\u{202e}\u{7f}\u{e0001}y\r\n", "é": [1, "\u{1b}[2J"] });
        let escaped = escaped_json(&serde_json::to_string_pretty(&said).unwrap());
        assert!(!escaped.chars().any(|c| text::is_invisible(c) || c == '\n' || c == '\r'), "{escaped:?}");
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), said);
    }
}
