//! What a run does when it can't go on for now: it says so, comes back by itself, and does not do so for ever.

use std::sync::atomic::Ordering;

use tracing::{info, warn};

use super::{Pause, Run};
use crate::clock;
use crate::health::Wrong;
use crate::report::Board;
use crate::task::{Ending, State, Wait, Waiting, WaitsFor};

/// Put the task into the state that says what it waits for, or end it when it has waited enough.
pub async fn wait(run: &Run<'_>, board: Option<&Board<'_>>, wait: Wait) -> Result<(), Pause> {
    if wait.on == WaitsFor::Host {
        run.app.health.suspect();
    }
    let task = run.app.store.task(&run.job.lease().job_id).await.ok().flatten();
    // An answer of the model is a step ahead, after which the waiting begins anew; what was cut before its end is none.
    let before = match run.answered.load(Ordering::Relaxed) {
        true => Waiting::default(),
        // As it stands now: a step of this attempt may have been one ahead.
        false => task.as_ref().map_or_else(|| run.task.waiting.clone(), |task| task.waiting.clone()),
    };
    let limit = run.app.config.runs.wait_limit.0.as_millis() as i64;
    let Some(waiting) = wait.after(&before, clock::now(), limit, chance()) else {
        let ending = task.and_then(|task| task.ending).or_else(|| run.task.ending.clone());
        return end(run, wait, ending.as_ref()).await;
    };
    let until = waiting.until;
    // Its last words may stand there already, and are said once.
    let board = board.filter(|_| task.as_ref().is_some_and(|task| task.ending.is_none()));
    run.log.step("waiting", &format!("{}: {}", wait.on.name(), wait.why));
    let from = State::named(&run.view().state).unwrap_or(run.task.state);
    match run.app.store.wait(run.job.lease(), from, &waiting).await {
        Ok(true) => {
            run.show(|view| {
                State::Waiting.name().clone_into(&mut view.state);
                view.waiting = waiting;
            });
            if let Some(board) = board {
                board.show(&run.view()).await;
            }
        }
        Ok(false) => return Err(Pause::Lost),
        // It is waited all the same: the database may be what is away.
        Err(error) => warn!("Could not write down what the task waits for: {error:#}"),
    }
    Err(Pause::Later(Wait { until, ..wait }))
}

/// The end of waiting is an ending like any other, told by the next claim. Where even telling has been waited for long
/// enough, the store alone knows it.
async fn end(run: &Run<'_>, wait: Wait, ending: Option<&Ending>) -> Result<(), Pause> {
    let store = &run.app.store;
    let lease = run.job.lease();
    if let Some(ending) = ending {
        warn!("Gave up telling how the task ended: {}", wait.why);
        run.log.step("untold", &wait.why);
        // Who follows the log hears no more after the end.
        run.log.flush().await;
        return run.end(ending.state()).await;
    }
    info!(ending = wait.ending.code, "Waited long enough: {}", wait.why);
    run.log.step("ended", &wait.ending.code);
    match store.conclude(lease, &wait.ending).await? {
        true => Err(Pause::Later(wait.until(clock::now()))),
        false => Err(Pause::Lost),
    }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_u128() as u32) / f64::from(u32::MAX)
}

/// To wait for a part of this machine, or for the model, that was seen to be unwell.
pub fn unfit(part: &str, wrong: Wrong) -> Wait {
    let (on, code) = match part {
        "model" if wrong.refused => (WaitsFor::Model, "model_refused_key"),
        "model" => (WaitsFor::Model, "model_unreachable"),
        "disk" => (WaitsFor::Host, "host_disk"),
        "claude" => return no_claude(wrong.says),
        _ => (WaitsFor::Host, "sandbox"),
    };
    Wait::new(on, wrong.says).or_else(Ending::new(code, ""))
}

/// To wait for Claude Code, which is not there or not the one that it should be.
pub fn no_claude(why: String) -> Wait {
    Wait::new(WaitsFor::Host, why).or_else(Ending::new("host_claude", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_that_is_missed_for_too_long_has_an_ending_of_its_own() {
        // Whatever the words say.
        let says = || Wrong::new("it does not take the key");
        for (part, wrong, code) in [
            ("model", Wrong::refused("no"), "model_refused_key"),
            ("model", says(), "model_unreachable"),
            ("disk", says(), "host_disk"),
            ("claude", says(), "host_claude"),
            ("sandbox", says(), "sandbox"),
        ] {
            assert_eq!(unfit(part, wrong).ending.code, code, "{part}");
        }
    }
}
