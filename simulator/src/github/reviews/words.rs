//! How the story tells of reviews: the text above, and each comment below with its place.

use std::fmt;
use std::fmt::Write as _;

use super::{Review, Side, Spot, Verdict};
use crate::github::World;
use crate::github::state::State;
use crate::github::told::indented;

/// `README.md:3`, `README.md:1-3`, `README.md:3 (old)` for the left side, or the bare path of a whole file.
pub(crate) struct SpotWords<'a>(pub &'a Spot);

impl fmt::Display for SpotWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spot { path, line, side, start } = self.0;
        f.write_str(path)?;
        match (start, line) {
            (Some(start), Some(line)) => write!(f, ":{start}-{line}")?,
            (None, Some(line)) => write!(f, ":{line}")?,
            _ => {}
        }
        if *side == Side::Left && line.is_some() { f.write_str(" (old)") } else { Ok(()) }
    }
}

impl World {
    pub(crate) fn review_words(state: &State, review: &Review) -> String {
        let (who, place) = (state.login(review.author), Self::place(state, review.repo, review.number));
        let mut text = match review.verdict {
            Verdict::Pending => format!("{who} begins a review of {place} that nobody can see"),
            Verdict::Comment => format!("{who} reviews {place}"),
            Verdict::Approve => format!("{who} approves {place}"),
            Verdict::RequestChanges => format!("{who} requests changes of {place}"),
        };
        if !review.body.is_empty() {
            text.push_str(": ");
            text.push_str(&indented(&review.body));
        }
        for comment in state.inlines_of_review(review.id) {
            let said = indented(&comment.body).replace('\n', "\n  ");
            let _ = write!(text, "\n  {}: {said}", SpotWords(&comment.spot));
        }
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}
