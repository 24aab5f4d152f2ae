//! A stored delivery once more. For real it becomes a new delivery, judged by the rules and against the facts of now; as a
//! rehearsal it is judged the same way, and nothing is done.

use anyhow::{Error, Result};
use uuid::Uuid;

use super::event::{Heard, Names, ignorable};
use super::handle::{Desk, Trouble, decide_at, desk, done, heard, us};
use super::json::json_of;
use super::order::No;
use super::payload::Envelope;
use super::take::{Arrived, take};
use crate::app::App;
use crate::store::{Decided, DeliveryState, Lease, Source, StoredDelivery};
use crate::task::Place;

/// How the GUID of a replay begins. What comes after it are the ids of the delivery that is replayed and of this one: GitHub's
/// own GUID would be a duplicate.
const GUID: &str = "replay:";

/// The delivery that is replayed, by the GUID of the replay.
pub fn original(guid: &str) -> Option<&str> {
    guid.strip_prefix(GUID)?.split(':').next()
}

/// Store a delivery once more; the id of the new one. It is durable when this returns.
pub async fn replay(app: &App, old: StoredDelivery) -> Result<String> {
    let json = json_of(&old.content_type, &old.body).map_err(Error::msg)?;
    let envelope = serde_json::from_slice(&json)?;
    let id = Uuid::now_v7();
    // First, so that whoever looks at it knows. Without the delivery it means nothing, and goes by age.
    app.store.note_late(&id.to_string(), Source::Replayed).await?;
    let guid = format!("{GUID}{}:{id}", old.delivery_id);
    let StoredDelivery { event, content_type, body, .. } = old;
    take(app, Arrived { delivery_id: id, guid, event, content_type, raw: body.into(), envelope }).await?;
    Ok(id.to_string())
}

/// What would be decided on a delivery, and why.
pub async fn rehearse(app: &App, delivery: &StoredDelivery) -> Result<Decided, No> {
    match Box::pin(look(app, delivery)).await {
        Ok(decided) => Ok(decided),
        Err(Trouble::Would(what)) => Ok(done(DeliveryState::Done, &format!("would {what}"))),
        Err(Trouble::Gone(gone)) => Ok(done(DeliveryState::Ignored, gone.says())),
        // Nothing is written without a claim, so it was not.
        Err(Trouble::Lost) => Ok(done(DeliveryState::Done, "would write on GitHub")),
        Err(trouble) => Err(trouble.into()),
    }
}

async fn look(app: &App, delivery: &StoredDelivery) -> Result<Decided, Trouble> {
    let json = json_of(&delivery.content_type, &delivery.body).map_err(Error::msg)?;
    let envelope: Envelope = serde_json::from_slice(&json)?;
    let names = Names { mention: app.config.github.mention.clone() };
    if let Some(why) = ignorable(&delivery.event, &envelope, &names) {
        return Ok(done(DeliveryState::Ignored, why));
    }
    let us = us(app).await?;
    let heard: Heard = match heard(app, delivery, us)? {
        Ok(heard) => heard,
        Err(error) => return Ok(done(DeliveryState::Failed, &format!("the payload is not as expected: {error}"))),
    };
    let lease = Lease { job_id: String::new(), owner: String::new(), epoch: 0 };
    decide_at(|place| Desk { dry: true, ..desk(app, &lease, us, place) }, heard).await
}

/// Whether what asked may make a task.
pub(super) enum Origin {
    /// Under this name.
    Fresh(Option<String>),
    /// It has made one.
    Used,
    /// It has made one that has not ended, and is replayed.
    Open,
}

pub(super) const IS_OPEN: &str = "the task that the same words have made has not ended";

/// The same words make one task, however many deliveries tell of them. An operator who replays one wants another, once the
/// first has ended: it gets a name of its own.
pub(super) async fn origin(desk: &Desk<'_>, place: &Place, origin: Option<String>) -> Result<Origin, Trouble> {
    let Some(origin) = origin else { return Ok(Origin::Fresh(None)) };
    let store = &desk.app.store;
    if store.task_of_origin(place.repository_id, &origin).await?.is_none() {
        return Ok(Origin::Fresh(Some(origin)));
    }
    let replayed = Source::Replayed.name();
    if !desk.dry && store.late_source(desk.delivery_id).await?.as_deref() != Some(replayed) {
        return Ok(Origin::Used);
    }
    Ok(match store.is_origin_open(place, &origin).await? {
        true => Origin::Open,
        false => Origin::Fresh(Some(format!("{origin}@{}", desk.delivery_id))),
    })
}

#[cfg(test)]
mod tests {
    use super::original;

    #[test]
    fn a_replay_names_what_it_replays() {
        assert_eq!(original("replay:a-b:c-d"), Some("a-b"));
        assert_eq!(original("72d3162e-cc78-11e3-81ab-4c9367dc0958"), None);
    }
}
