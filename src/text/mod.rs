//! Tool: text. What comes in loses what people can't see, what goes out loses what must not leave; templates between.

use crate::clock::Millis;

mod hidden;
mod outgoing;
mod templates;

pub use hidden::{
    Counted, Hidden, Removed, Tally, destination, hidden_ranges, in_added, is_invisible, plain, spelled, visible,
    without_invisible, without_sequences,
};
pub use outgoing::{
    apart, at_home, carried, hold, hold_brought, hold_until, outgoing, redact, redact_held, redact_json, redact_logged,
};
pub use templates::render;

/// GitHub refuses comments above 65,536 characters; some room is left for what it counts differently.
pub const LONGEST_COMMENT: usize = 64_000;

/// Whether a text begins with a marker, as ours do.
pub fn is_marked(text: &str) -> bool {
    text.starts_with("<!-- cloud-agent:")
}

/// A text of ours without the markers that it is found again by.
pub fn without_markers(text: &str) -> String {
    const OPENS: &str = "<!-- cloud-agent:";
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(OPENS) {
        plain.push_str(before);
        rest = marked.split_once("-->").map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.trim().to_owned()
}

/// A block of code in a fence that nothing in it can close.
pub fn fenced(language: &str, code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", code.trim_end_matches('\n'))
}

/// At most `longest` characters, cut at the end of a line where there is one, with a word about the cut.
pub fn cut(text: &str, longest: usize) -> String {
    const TOLD: &str = "\n\n… (cut)";
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let room = longest.saturating_sub(TOLD.chars().count());
    let end = text.char_indices().nth(room).map_or(text.len(), |(at, _)| at);
    let kept = &text[..end];
    let line = kept.rfind('\n').filter(|at| *at > end / 2).unwrap_or(end);
    let mut kept = kept[..line].trim_end().to_owned();
    // A fence that was open would swallow the rest of the comment.
    if kept.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1 {
        kept.push_str("\n```");
    }
    kept + TOLD
}

/// The first line, at most `longest` characters, with an ellipsis for what is gone.
pub fn line(text: &str, longest: usize) -> String {
    let first = text.trim().lines().next().unwrap_or_default().trim();
    let cut_short = first.chars().count() > longest || text.trim().lines().count() > 1;
    let mut kept: String = first.chars().take(longest).collect();
    if cut_short {
        kept.push('…');
    }
    kept
}

/// Micro-dollars as people read them: `0.42`.
pub fn dollars(micros: i64) -> String {
    format!("{:.2}", micros as f64 / 1e6)
}

/// A length of time as people read it: `8 s`, `3 min 20 s`, `1 h 5 min`.
pub fn elapsed(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A moment as people read it where nobody knows their time zone: `14:05 UTC`.
pub fn time_of_day(at: Millis) -> String {
    let minutes = at.div_euclid(60_000).rem_euclid(24 * 60);
    format!("{:02}:{:02} UTC", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_on_a_line_and_fences_closed() {
        let text = format!("intro\n```\n{}", "a line of code\n".repeat(100));
        let cut = cut(&text, 400);
        assert!(cut.chars().count() <= 410, "{}", cut.len());
        assert!(cut.ends_with("a line of code\n```\n\n… (cut)"), "{cut}");
        assert_eq!(super::cut("short", 400), "short");
    }

    #[test]
    fn times_and_money_read_well() {
        assert_eq!(elapsed(8_999), "8 s");
        assert_eq!(elapsed(200_000), "3 min 20 s");
        assert_eq!(elapsed(3_900_000), "1 h 5 min");
        assert_eq!(time_of_day(1_795_269_900_000), "14:05 UTC");
        assert_eq!(dollars(423_000), "0.42");
        assert_eq!(line("  first\nsecond", 20), "first…");
    }
}
