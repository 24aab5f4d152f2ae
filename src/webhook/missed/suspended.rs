//! Suspensions that are over. GitHub delivers nothing while an installation is suspended, and never will: what happened
//! meanwhile is looked for in its repositories. What had been delivered and was put aside is taken up. So is an installation
//! looked through by itself that a search of all could not look through.

use anyhow::Result;
use tracing::warn;

use super::super::installation::{LATE, take_up_kept};
use super::{OVERLAP, Turn, listing};
use crate::clock::{self, Millis};
use crate::github::Error;
use crate::store::Suspension;

/// For so long after its end it is looked again what was put aside: somebody may have seen the suspension, and have put
/// something aside only after its end.
const GRACE: Millis = 3_600_000;

/// For so long after its end the search is begun anew when something stands in its way, such as a limit that it has itself used
/// up: it may not go on for ever at the cost of all other work.
const PATIENCE: Millis = 6 * 3_600_000;

/// See which are over. One that can't be looked at now does not keep the others from it.
pub(super) async fn look(turn: &Turn<'_>) -> Result<()> {
    for it in turn.app.store.suspensions(turn.app_id).await? {
        turn.keep().await?;
        if let Err(error) = one(turn, &it).await {
            warn!(installation.id = it.installation, "Can't look yet for what a suspension has kept: {error:#}");
        }
    }
    Ok(())
}

async fn one(turn: &Turn<'_>, it: &Suspension) -> Result<()> {
    let (app, store, id) = (turn.app, &turn.app.store, it.installation);
    match app.github.installation(id).await {
        // It does not come back under this id.
        Err(Error::NotFound(_)) => return Ok(store.forget_suspension(turn.app_id, it).await?),
        Ok(now) if now.is_suspended() => return Ok(()),
        other => drop(other?),
    }
    if it.ended_at.is_none() {
        app.github.forget_installation(id);
        store.suspension_is_over(turn.app_id, id).await?;
    }
    // Nobody waits for what was asked longer ago.
    let since = it.since.map(|since| since.max(clock::now() - LATE));
    take_up_kept(app, id, since.map_or_else(clock::now, |since| since - OVERLAP)).await?;
    match since {
        Some(since) => {
            let began = it.since.unwrap_or_default();
            if let Err(error) = listing::list_one(turn, id, began, since).await {
                if it.ended_at.is_none_or(|ended| ended > clock::now() - PATIENCE) {
                    return Err(error);
                }
                warn!(installation.id = id, "Gave up looking for what a suspension has kept: {error:#}");
            }
            turn.looked.forget(id);
            Ok(store.suspension_was_searched(turn.app_id, id, began).await?)
        }
        None if it.ended_at.is_some_and(|ended| ended < clock::now() - GRACE) => {
            Ok(store.forget_suspension(turn.app_id, it).await?)
        }
        None => Ok(()),
    }
}
