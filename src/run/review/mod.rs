//! A review of one commit of a pull request: what is looked at (`read`), what the agent says of it (`look`), what of that is
//! new and where it goes (`settle`), and the posting (`post`).

mod look;
mod passes;
mod post;
mod read;
mod settle;

use super::{ATTEMPTS, Halt, Run};
use crate::report::{self, Outbox};
use crate::task::review::Reviewed;
use crate::task::{Ending, Progress, State};

/// From where the task stands to its ending.
pub async fn review(run: &Run<'_>, outbox: &Outbox<'_>) -> Result<Ending, Halt> {
    let reviewed = match &run.task.progress.reviewed {
        // Made by an earlier attempt, whichever machine that was on.
        Some(reviewed) => reviewed.clone(),
        None => {
            let reviewed = make(run).await?;
            run.record(&Progress { reviewed: Some(reviewed.clone()), ..Progress::default() }).await?;
            reviewed
        }
    };
    run.show(|view| view.reviewed = Some(reviewed.clone()));
    match post::is_begun(run).await? {
        // GitHub may have it.
        true => run.advance(State::Publishing).await?,
        false => run.begin_publishing().await?,
    }
    run.show(|view| view.step = "publishing");
    // An earlier attempt may have come so far, and died before it could keep that the task has ended.
    let review = match reviewed.posted {
        true => reviewed.review,
        false => post::post(run, outbox, &reviewed).await?,
    };
    Ok(Ending { review, ..Ending::new("reviewed", report::review::title(&reviewed)) })
}

async fn make(run: &Run<'_>) -> Result<Reviewed, Halt> {
    if run.job.claimed.attempts >= ATTEMPTS {
        return Err(Halt::End(Ending::new("gave_up", "")));
    }
    run.check_stop()?;
    run.check_host()?;
    run.advance(State::Running).await?;
    let tree = run.checkout().await?;
    let subject = read::read(run, &tree).await?;
    run.check_stop()?;
    if subject.plan.parts.is_empty() {
        // All that was changed is generated, vendored, or not wanted; what was found before may be gone with its file.
        let looked = look::Looked::nothing();
        let sorted = settle::sort(&tree, &subject, &looked).await?;
        return settle::settle(run, &subject, looked, sorted, &[], Vec::new());
    }
    let room = run.open_room(&tree).await?;
    run.remove_left_over(&room.reference).await;
    let seen = async {
        let mut passes = passes::Passes::of(run);
        let looked = look::look(run, &room, &subject, &mut passes).await?;
        let sorted = settle::sort(&tree, &subject, &looked).await?;
        let refuted = look::verify(run, &room, &sorted.new, &mut passes).await?;
        Ok::<_, Halt>((looked, sorted, refuted))
    }
    .await;
    let blocked = room.gate.blocked().into_iter().collect();
    run.close_room(room, &seen).await;
    let (looked, sorted, refuted) = seen?;
    settle::settle(run, &subject, looked, sorted, &refuted, blocked)
}
