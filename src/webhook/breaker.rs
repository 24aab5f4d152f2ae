//! Before a task is made: whether its thread has seen too much already. Then people are told once, and nothing begins
//! there until somebody who may write says `resume`.

use super::handle::{Desk, Trouble, done, refused_is_fine};
use crate::app::App;
use crate::clock::{self, Millis};
use crate::report;
use crate::store::{Breaker, Decided, DeliveryState, Within};
use crate::task::breaker::{Caps, Cause, Tripped, Weighed, weigh};
use crate::task::{Account, Place, Trigger};

const HOUR: Millis = 3_600_000;
const WAITS: &str = "too much was asked here within an hour: it waits for `resume`";

/// Whether a task may be made.
pub enum May {
    /// Within this, which is held once more when it is made.
    Begin(Within),
    /// Not here, until somebody resumes.
    NotHere(Decided),
    /// Not for this person, for a while.
    NotNow,
}

/// What the operator lets be asked for.
pub fn caps(app: &App) -> Caps {
    let runs = &app.config.runs;
    Caps {
        thread: runs.tasks_per_thread_hour,
        bots: runs.bot_tasks_per_thread_hour,
        person: runs.tasks_per_person_hour,
    }
}

/// Whether somebody's ask, push or click may become a task on this thread.
pub async fn may(desk: &Desk<'_>, place: &Place, by: &Account, trigger: &Trigger) -> Result<May, Trouble> {
    let store = &desk.app.store;
    let by_bot = by.login.ends_with("[bot]");
    let breaker = store.breaker(place).await?;
    if let Some(open) = breaker.as_ref().filter(|it| it.resumed_at.is_none() && it.why.stops(by_bot)) {
        return Ok(May::NotHere(tell(desk, place, open).await?));
    }
    let caps = caps(desk.app);
    let cause = match trigger {
        _ if by_bot => Cause::Bot,
        Trigger::Pull => Cause::Pushed,
        _ => Cause::Asked,
    };
    let lately = clock::now() - HOUR;
    let resumed = breaker.and_then(|it| it.resumed_at).unwrap_or_default();
    let within = Within { caps, cause, since: lately.max(resumed), lately };
    let tally = store.tally(place, within.since, by.id, lately).await?;
    Ok(match weigh(caps, tally, cause) {
        Weighed::Fine => May::Begin(within),
        Weighed::TooMuchOfOne => May::NotNow,
        Weighed::Trips(_) if desk.dry => May::NotHere(done(DeliveryState::Ignored, WAITS)),
        Weighed::Trips(why) => {
            store.trip(place, why).await?;
            match store.breaker(place).await? {
                Some(open) => May::NotHere(tell(desk, place, &open).await?),
                None => May::Begin(within),
            }
        }
    })
}

/// Tell it on the thread, once each time that it opens.
async fn tell(desk: &Desk<'_>, place: &Place, open: &Breaker) -> Result<Decided, Trouble> {
    if desk.dry {
        return Ok(done(DeliveryState::Ignored, WAITS));
    }
    let runs = &desk.app.config.runs;
    let count = match open.why {
        Tripped::Thread => runs.tasks_per_thread_hour,
        Tripped::Bots => runs.bot_tasks_per_thread_hour,
    };
    let (names, at) = (&desk.app.config.github, open.tripped_at);
    report::too_much(&desk.outbox, &desk.repo, names, place.number, open.why, count, at)
        .await
        .or_else(refused_is_fine)?;
    Ok(done(DeliveryState::Ignored, WAITS))
}
