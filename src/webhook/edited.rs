//! A text was edited, or a pull request pointed at another branch. It changes nothing about what was asked, and whoever asked
//! hears of it with the result.

use super::event::{Heard, Us};
use super::handle::{Desk, Trouble, done};
use super::payload::{Changes, EditedEvent};
use crate::clock;
use crate::store::{ChangeAfter, Decided, DeliveryState};
use crate::task::{Place, speaks};

/// A text that was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    pub place: Place,
    /// `text`, `comment:ID`, `review-comment:ID`, `review:ID`, and `base` where a pull request goes into another branch.
    pub what: Vec<String>,
    /// By GitHub's clock, ISO 8601; empty when the delivery does not say.
    pub at: String,
    /// The text spoke to us before, or does now.
    pub speaks: bool,
}

/// Whether a delivery tells of a text that was edited.
pub fn is_edit(event: &str, action: &str) -> bool {
    const TEXTS: [&str; 5] =
        ["issue_comment", "issues", "pull_request", "pull_request_review", "pull_request_review_comment"];
    action == "edited" && TEXTS.contains(&event)
}

/// Read such a delivery.
pub fn hear(event: &str, payload: &[u8], mention: &str, us: Us) -> Result<Heard, serde_json::Error> {
    let it: EditedEvent = serde_json::from_slice(payload)?;
    if it.common.sender.id == us.bot_id {
        return Ok(Heard::Nothing("it is our own"));
    }
    let Changes { body, title, base } = it.changes;
    let (words, base) = (body.is_some() || title.is_some(), event == "pull_request" && base.is_some());
    if !words && !base {
        return Ok(Heard::Nothing("no text was edited"));
    }
    let Some(thread) = it.issue.or(it.pull_request) else { return Ok(Heard::Nothing("it belongs to no thread")) };
    let (what, subject) = match (event, it.comment, it.review) {
        ("issue_comment", Some(it), _) => (format!("comment:{}", it.id), Some(it)),
        ("pull_request_review_comment", Some(it), _) => (format!("review-comment:{}", it.id), Some(it)),
        ("pull_request_review", _, Some(it)) => (format!("review:{}", it.id), Some(it)),
        _ => ("text".to_owned(), None),
    };
    let what = words.then_some(what).into_iter().chain(base.then(|| "base".to_owned())).collect();
    let text = subject.as_ref().unwrap_or(&thread);
    let before = body.and_then(|it| it.from);
    let says = |text: &Option<String>| text.as_deref().is_some_and(|text| speaks(text, mention));
    let Some(place) = super::event::place(&it.common, thread.number) else {
        return Ok(Heard::Nothing("it names no installation"));
    };
    let speaks = says(&before) || says(&text.body);
    let at = text.updated_at.clone().or(thread.updated_at).unwrap_or_default();
    Ok(Heard::Edited(Box::new(Edited { place, what, at, speaks })))
}

/// Note it for the tasks that it may concern: those of its thread, and one that it may be about to become.
pub async fn decide(desk: &Desk<'_>, it: &Edited) -> Result<Decided, Trouble> {
    let store = &desk.app.store;
    if !it.speaks && store.tasks_of_thread(it.place.repository_id, it.place.number).await?.is_empty() {
        return Ok(done(DeliveryState::Ignored, "nothing was asked there"));
    }
    desk.would("note the edit for the tasks of its thread")?;
    let at = if it.at.is_empty() { clock::iso(clock::now()) } else { it.at.clone() };
    for what in &it.what {
        store.note_change(&it.place, &ChangeAfter { what: what.clone(), at: at.clone(), head_sha: None }).await?;
    }
    Ok(done(DeliveryState::Done, "noted: what was asked before stays as it was"))
}
