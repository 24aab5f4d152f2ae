//! GitHub's list of deliveries held against ours: what is unknown here is pulled and taken in, the oldest first.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::try_join_all;
use tracing::{info, warn};
use uuid::Uuid;

use super::super::edited::is_edit;
use super::super::event::never_read;
use super::super::payload::Envelope;
use super::super::take::{Arrived, take};
use super::{OVERLAP, Turn};
use crate::clock::{self, Millis};
use crate::github::{Delivered, Error};
use crate::queue::Accepted;
use crate::store::{NewDelivery, Source, Sweep};

/// Payloads pulled in one go, and the pause between two: people's work needs the same calls.
const MOST: usize = 200;
const PAUSE: Duration = Duration::from_millis(100);

/// Take in what was missed. False if there is more.
pub(super) async fn compare(turn: &Turn<'_>, sweep: &Sweep) -> Result<bool> {
    let began = clock::now();
    let window = turn.app.config.github.keeps_deliveries_for().as_millis() as Millis;
    let missed = missed(turn, sweep, (began - window).max(sweep.swept_until - OVERLAP)).await?;
    let busy = busy(turn, &missed).await?;
    let (nothing, asks): (Vec<_>, Vec<_>) = missed.iter().partition(|it| says_nothing(it, &busy).is_some());
    // Their names say enough, so that no call is spent on what they hold.
    for part in nothing.chunks(100) {
        turn.keep().await?;
        let noted = part.iter().map(|it| note(turn, it, says_nothing(it, &busy).unwrap_or_default()));
        try_join_all(noted).await?;
    }
    let mut failed = None;
    for (n, it) in asks.iter().enumerate() {
        if n == MOST {
            info!("Took in {MOST} deliveries that never came; {} more follow", asks.len() - MOST);
            // All before this one is known now.
            let until = failed.or(it.at()).unwrap_or_default().max(sweep.swept_until);
            turn.app.store.swept(turn.app_id, &turn.owner, until).await?;
            return Ok(false);
        }
        turn.keep().await?;
        match pull(turn, it).await {
            // One that GitHub can't show now does not keep the others from being taken in.
            Err(error) if error.downcast_ref::<Error>().is_some_and(|it| !matches!(it, Error::Limited { .. })) => {
                warn!(delivery.guid = it.guid, "A delivery that never came can't be fetched yet: {error:#}");
                failed = failed.or(it.at());
            }
            other => other?,
        }
        tokio::time::sleep(PAUSE).await;
    }
    if !missed.is_empty() {
        info!("Took in {} deliveries that never came, and noted {} to be ignored", asks.len(), nothing.len());
    }
    let until = failed.map_or(began, |at| at.max(sweep.swept_until));
    turn.app.store.swept(turn.app_id, &turn.owner, until).await?;
    Ok(true)
}

/// The repositories in which it matters that something was edited: where a task is under way, or something was asked.
async fn busy(turn: &Turn<'_>, missed: &[Delivered]) -> Result<HashSet<u64>> {
    let mut busy = turn.app.store.busy_repositories().await?;
    let asks = missed.iter().filter(|it| never_read(&it.event, action(it)).is_none());
    busy.extend(asks.filter_map(|it| it.repository_id));
    if turn.app.store.has_waiting_deliveries().await? {
        busy.extend(missed.iter().filter_map(|it| it.repository_id));
    }
    Ok(busy)
}

/// Why nobody needs to see what it holds, if its name says so. Of edits there are many, the bot's own among them.
fn says_nothing(it: &Delivered, busy: &HashSet<u64>) -> Option<&'static str> {
    match is_edit(&it.event, action(it)) {
        true if it.repository_id.is_some_and(|id| busy.contains(&id)) => None,
        true => Some("nothing was asked there"),
        false => never_read(&it.event, action(it)),
    }
}

fn action(it: &Delivered) -> &str {
    it.action.as_deref().unwrap_or_default()
}

/// What GitHub has tried to deliver since `floor` and is not known here, oldest first, one attempt of each event.
async fn missed(turn: &Turn<'_>, sweep: &Sweep, floor: Millis) -> Result<Vec<Delivered>> {
    let mut unknown: Vec<Delivered> = Vec::new();
    let mut elsewhere = HashSet::new();
    let mut page = None;
    loop {
        turn.keep().await?;
        let (listed, next) = turn.app.github.deliveries(page.as_deref()).await?;
        let count = listed.len();
        let recent: Vec<Delivered> = listed.into_iter().filter(|it| it.at().is_none_or(|at| at >= floor)).collect();
        // Newest first: behind an older one there are none that count.
        let reached = recent.len() < count;
        let guids: Vec<&str> = recent.iter().map(|it| it.guid.as_str()).collect();
        let new = turn.app.store.unknown(turn.app_id, &guids).await?;
        for it in recent.iter().filter(|it| new.contains(it.guid.as_str())) {
            // Before this database was there somebody else has taken it, and answered: an earlier one of ours.
            if it.was_taken() && it.at().is_some_and(|at| at < sweep.begun_at) {
                elsewhere.insert(it.guid.clone());
            }
            unknown.push(it.clone());
        }
        page = next;
        if reached || page.is_none() {
            break;
        }
    }
    let mut seen = elsewhere;
    unknown.reverse();
    unknown.retain(|it| seen.insert(it.guid.clone()));
    Ok(unknown)
}

/// Fetch the payload, and take it in as if it had just come. GitHub has answered to us as the App over TLS, so it is as
/// good as signed; the bytes are not those that were.
async fn pull(turn: &Turn<'_>, it: &Delivered) -> Result<()> {
    let payload = match turn.app.github.payload(it.id).await {
        Ok(payload) => payload,
        Err(error) if error.is_final() => {
            warn!(delivery.guid = it.guid, "GitHub does not show a delivery that never came: {error}");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let read = payload.map(|payload| (payload.to_string(), serde_json::from_value::<Envelope>(payload)));
    let Some((raw, Ok(envelope))) = read else {
        return note(turn, it, "GitHub does not show it any more").await;
    };
    let arrived = Arrived {
        delivery_id: Uuid::now_v7(),
        guid: it.guid.clone(),
        event: it.event.clone(),
        content_type: "application/json".to_owned(),
        raw: Bytes::from(raw),
        envelope,
    };
    turn.app.store.note_late(&arrived.delivery_id.to_string(), Source::Pulled).await?;
    let taken = take(turn.app, arrived).await.context("store a delivery that never came")?;
    if taken.accepted == Accepted::New && taken.ignored.is_none() {
        let status = it.status_code.filter(|status| *status > 0);
        let got = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        info!(
            delivery.guid = it.guid,
            "GitHub got {got} when it brought this at {}, so it was fetched", it.delivered_at
        );
    }
    Ok(())
}

/// Keep a row without a body, so that it is known what became of it.
async fn note(turn: &Turn<'_>, it: &Delivered, why: &'static str) -> Result<()> {
    let delivery = NewDelivery {
        delivery_id: Uuid::now_v7(),
        app_id: turn.app_id,
        guid: it.guid.clone(),
        event: it.event.clone(),
        action: it.action.clone(),
        installation_id: it.installation_id.map(|id| id as i64),
        repository: None,
        content_type: "application/json".to_owned(),
        body: Bytes::from(zstd::bulk::compress(b"{}", 1)?),
        received_at: clock::now(),
        ignored: Some(why),
    };
    turn.app.acceptor.accept(delivery).await.map(drop)
}
