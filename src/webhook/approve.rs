//! `/ok-to-test COMMIT`: somebody who may write lets work be done on one commit of a pull request.

use super::ask::{self, Asked};
use super::event::Ask;
use super::handle::{Desk, Trouble, done, refused_is_fine};
use crate::clock;
use crate::github::{PullRequest, Reaction};
use crate::report;
use crate::store::{DeliveryState, Source};
use crate::task::{Approval, Command, NotThis, Refusal, names_head, words_digest};

/// Approve the head, if that is what was named; what else was asked for in the same breath comes after.
pub async fn decide(desk: &Desk<'_>, ask: &Ask, said: &str, pull: &PullRequest) -> Result<Asked, Trouble> {
    let head = &pull.head.sha;
    let refusal = match names_head(said, head) {
        Ok(()) => None,
        Err(NotThis::NoCommit) => Some(Refusal::ApproveWhat),
        Err(NotThis::NotTheHead) => Some(Refusal::NotTheHead),
    };
    if let Some(refusal) = refusal {
        desk.would(ask::refusing(refusal))?;
        ask::react(desk, ask, Reaction::Confused).await?;
        let told = ask::tell_refusal(desk, pull.number, &ask.asker, refusal, true, Some(head)).await?;
        return Ok(Asked::Answered(told));
    }
    let at = if ask.asked_at.is_empty() { clock::iso(clock::now()) } else { ask.asked_at.clone() };
    // What was found by looking through the repository brings the text as it is now, and nobody knows as it was then: then no
    // text counts as looked at.
    let late = desk.app.store.late_source(desk.delivery_id).await?;
    let words = match late.as_deref() == Some(Source::Listed.name()) {
        true => String::new(),
        false => words_digest(&ask.title, &ask.body),
    };
    let approval = Approval {
        head_sha: head.clone(),
        by: ask.asker.login.clone(),
        at,
        words,
        base: Some(pull.base.branch.clone()),
    };
    desk.would(format!("approve {head}"))?;
    desk.app.store.approve(&ask.place, &ask.asker, &approval).await?;
    ask::react(desk, ask, Reaction::Rocket).await?;
    let names = &desk.app.config.github;
    let more = matches!(ask.command, Command::Approve { then: Some(_), .. });
    report::approved(&desk.outbox, &desk.repo, names, pull.number, &approval, pull.is_from_fork(), more)
        .await
        .or_else(refused_is_fine)?;
    Ok(Asked::Approved(done(DeliveryState::Done, &format!("approved {head}"))))
}
