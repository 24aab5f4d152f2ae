//! The conversation as of the ask, where GitHub only shows it as of now: what was said since is left out, and so is a text
//! that was changed since, for nobody can tell what it was when somebody asked.

use serde_json::json;

use super::event::Ask;
use crate::github::{Issue, Remark, ReviewComment};
use crate::text;

/// Comments in the conversation.
pub fn remarks(all: &mut Vec<Remark>, ask: &Ask) {
    all.retain(|it| !is_later(&it.created_at, ask));
    for it in all.iter_mut().filter(|it| is_changed(&it.created_at, &it.updated_at, ask)) {
        it.body = Some(left_out());
    }
}

/// Comments on lines. Those of the review that asks are the ask.
pub fn lines(all: &mut Vec<ReviewComment>, ask: &Ask) {
    let asks = |it: &ReviewComment| ask.review.is_some() && it.pull_request_review_id == ask.review;
    all.retain(|it| asks(it) || !is_later(&it.created_at, ask));
    for it in all.iter_mut().filter(|it| !asks(it) && is_changed(&it.created_at, &it.updated_at, ask)) {
        it.body = Some(left_out());
    }
}

/// An issue that the pull request closes. Of it GitHub says only that something about it has changed, be it a label.
pub fn issue(it: &mut Issue, ask: &Ask) {
    if is_later(&it.updated_at, ask) {
        it.title.clear();
        it.body = Some(left_out());
    }
}

/// GitHub's times are whole seconds: what has the same one counts as before.
fn is_later(at: &str, ask: &Ask) -> bool {
    !ask.asked_at.is_empty() && at > ask.asked_at.as_str()
}

/// For a change the same second counts as after.
fn is_changed(made: &str, changed: &str, ask: &Ask) -> bool {
    !ask.asked_at.is_empty() && changed > made && changed >= ask.asked_at.as_str()
}

fn left_out() -> String {
    text::render("prompt/changed.md", &json!({})).trim().to_owned()
}
